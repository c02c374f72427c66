"""A training run in its folder: begin or go on, log, show, save, and make models."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from translate.atomic import replacing, sweep
from translate.errors import TranslateError, UsageError
from translate.files import parts_left
from translate.host import the_host
from translate.interrupts import Interrupts
from translate.method import Batch, Method
from translate.options import Settings, build
from translate.pipeline.cache import make_store
from translate.pipeline.loader import batches
from translate.runtime import pick_device, pick_precision
from translate.training import checkpoint, processes
from translate.training.health import Health, patience
from translate.training.initial import begin_from
from translate.training.log import Diverged, Log
from translate.training.loop import Trainer
from translate.training.plan import RunPlan, refuse_changes, store, stored
from translate.training.previews import Previews
from translate.training.saving import LAST, Saver
from translate.training.settings import TrainingSettings

Progress = Callable[[int, Mapping[str, float]], None]


class Interrupted(TranslateError):
    """The run was asked to stop, and saved before it did."""

    exit_code = 130


class Run:
    """A run's folder with its trainer; nothing is written before ``train`` has its first batch."""

    def __init__(self, folder: Path, plan: RunPlan, *, device: str, resume: bool) -> None:
        """Build the data set, the method and, when resuming, the state it stopped at.

        Raises:
            UsageError: if the folder holds a run already, or another one than is to go on.
        """
        if os.path.exists(folder) and not os.path.isdir(folder):
            raise UsageError(f"{folder}: is a file; name a folder for the run")
        self.folder = folder
        self._options, self._last = folder / "options.json", folder / LAST
        before = stored(self._options) if resume else {}
        if plan.init and before.get("init") == os.path.abspath(plan.init):
            plan = replace(plan, init=before["init"])  # a path, although it may be gone by now
        if not resume and os.path.exists(self._options):
            raise UsageError(f"{folder}: holds a run already; --resume goes on with it")

        self.settings = build(TrainingSettings, plan.training, what="training")
        kind = the_host().load_method(plan.method)
        options = build(kind.Options, plan.options, what=plan.method)
        reader = the_host().load_dataset(plan.dataset or the_host().method(plan.method).data)
        data = build(reader.Options, plan.data, what="data")
        self.dataset = reader([Path(f) for f in plan.folders], data, kind.data(options))
        self.plan = plan.as_dict() | {
            "folders": [str(Path(f).resolve()) for f in plan.folders],
            "found": self.dataset.describe(),
            "options": options.model_dump(mode="json"),
            "data": data.model_dump(mode="json"),
            "training": self.settings.model_dump(mode="json", exclude_none=True),
        }
        refuse_changes(before, self.plan)

        self.begun_from = ""  # what --init gave
        # A run that was killed before its first checkpoint begins again.
        going_on = resume and self._last.exists()
        self.trainer = self._trainer(kind, options, pick_device(device), going_on=going_on)
        if going_on:
            self._take_up(checkpoint.load(self._last))
            if self.trainer.overshot:
                raise UsageError(
                    f"{folder}: has seen {self.trainer.images:,} images already, "
                    f"which is more than --images {self.settings.images}"
                )
        self.log = Log(folder / "log.jsonl")
        self.saver = Saver(folder, self.plan, self.trainer, self.dataset)
        self.previews = Previews(self.trainer, self.dataset)
        judges = [player.phase.name for player in self.trainer.players if player.critics]
        self.health = Health(judges, patience=patience(self.settings))
        if going_on and not processes.rank():
            sweep(parts_left(folder.iterdir()))
        processes.meet()  # before one of them writes what the others look for

    def _trainer(
        self, kind: type[Method[Any]], options: Settings, device: torch.device, *, going_on: bool
    ) -> Trainer:
        share = self.settings.accumulate * processes.count()
        if self.settings.batch_size % share:
            raise UsageError(
                f"--batch-size {self.settings.batch_size}: must be a multiple of {share}, for "
                f"{processes.count()} processes and training.accumulate={self.settings.accumulate}"
            )
        torch.manual_seed(self.settings.seed)
        method = kind(options, self.dataset.facts)
        method.prepare()
        if self.plan["init"] and not going_on:
            self.begun_from = begin_from(method, self.plan["init"])
        dtype = pick_precision(self.settings.precision, device, without_bf16=torch.float16)
        return Trainer(method, self.settings, device, dtype)

    def _take_up(self, state: dict[str, Any]) -> None:
        try:
            self.trainer.load_state_dict(state)
        except (LookupError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise TranslateError(f"{self._last}: does not fit this method ({reason})") from None

    def keep_pictures(self, cache: str) -> str:
        """Keep decoded pictures where the user wants them; say how much that is.

        Raises:
            UsageError: if there is no such place, or no room in it.
        """
        # A file's pixels depend on how it is read, too.
        how = [type(self.dataset).__name__, self.plan["data"], dict(self.dataset.needs)]
        key = hashlib.sha256(json.dumps(how, sort_keys=True, default=str).encode()).hexdigest()
        folder = self.folder / "cache" / key[:8]
        return self.dataset.keep(make_store(cache, folder=folder, device=self.trainer.device))

    def train(
        self,
        *,
        workers: int,
        progress: Progress,
        say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
    ) -> list[Path]:
        """Train to the end and return the bundles made (in the process that writes).

        Raises:
            Interrupted: after the first Ctrl-C, once everything is saved.
        """
        trainer, settings = self.trainer, self.settings
        for player in trainer.players:
            if player.phase.since >= settings.images and not processes.rank():
                say(
                    f"{player.phase.name} learns nothing in this run: it begins at "
                    f"{player.phase.since:,} images, and the run ends at {settings.images:,}"
                )
        with (
            Interrupts() as interrupts,
            self._watched(),
            closing(self._steps(workers)) as steps,
        ):
            for first, (parts, waited) in enumerate(steps):
                if first == 0:
                    self._begin()
                before = trainer.images
                try:
                    scalars = trainer.step(parts)
                except Exception:
                    if not trainer.images and not processes.rank():
                        self._options.unlink(missing_ok=True)  # it never was a run
                    raise
                self.log.add(scalars, images=trainer.images - before, waited=waited)
                self._report(before, progress, say)
                if processes.any_of(bool(interrupts)):
                    break
            made = self._save()
        if trainer.images < settings.images:
            raise Interrupted(
                f"stopped after {trainer.images:,} of {settings.images:,} images; "
                "the same command with --resume goes on"
            )
        return made

    def batches(self, workers: int) -> Generator[Batch, None, None]:
        """Yield this process's micro-batches from where the run stands, without end."""
        return batches(
            self.dataset,
            seed=self.settings.seed,
            start=self.trainer.images,
            batch_size=self.settings.batch_size // self.settings.accumulate,
            workers=workers,
            device=self.trainer.device,
            rank=processes.rank(),
            processes=processes.count(),
        )

    def _steps(self, workers: int) -> Generator[tuple[list[list[Batch]], float], None, None]:
        """Yield each step's batches, in micro-batches, and the seconds that they took to come."""
        trainer, settings = self.trainer, self.settings
        with closing(self.batches(workers)) as source:
            while trainer.images < settings.images:
                asked = time.monotonic()
                try:
                    parts = [
                        list(islice(source, settings.accumulate)) for _ in range(trainer.updates())
                    ]
                except Exception:
                    if trainer.images:  # what was learned is not lost with what cannot be read
                        self._save()
                    raise
                yield parts, time.monotonic() - asked

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Log why a training stops by itself, and tell the plugins when it is over."""
        try:
            yield
        except Diverged as error:
            self._alarm("diverged", str(error))
            raise
        finally:
            self._notify("training_ended", images=self.trainer.images)

    def _notify(self, event: str, **arguments: Any) -> None:
        if not processes.rank():
            the_host().notify(event, run=self.folder, **arguments)

    def _alarm(self, name: str, text: str) -> None:
        images = self.trainer.images
        self.log.alarm(images, name, text)
        self._notify("training_alarmed", images=images, alarm=name, text=text)

    def _begin(self) -> None:
        if not processes.rank():
            store(self._options, self.plan)
            self.saver.describe()
        self.log.rewind(self.trainer.images)
        self.health.replay(self.log.lines())
        self._notify(
            "training_started",
            method=self.plan["method"],
            options=self.plan,
            images=self.trainer.images,
        )
        self.log.clear()

    def _report(self, before: int, progress: Progress, say: Callable[[str], None]) -> None:
        """Log, show and save whatever has come due since ``before`` images."""
        now, s = self.trainer.images, self.settings
        scalars: Mapping[str, float] = {}

        def due(every: int) -> bool:
            return before // every != now // every

        if due(s.log_every) or now >= s.images:
            self.log.add(self.previews.observe(), images=0, waited=0)
            scalars = self.log.line(now)
            self._notify("training_logged", images=now, scalars=scalars)
            for alarm in self.health.line(now, scalars):
                self._alarm(alarm.name, alarm.text)
                if not processes.rank():
                    say(f"alarm: {alarm.text}")
        progress(now, scalars)
        if (due(s.sample_every) or before == 0) and not processes.rank():
            path = self.previews.save(self.folder / "samples" / f"{now:08}.png")
            self._notify("samples_saved", path=path, images=now)
        kept = s.snapshot_every and due(s.snapshot_every)
        if kept or (due(s.save_every) and now < s.images):
            made = self._save()
            if kept and made:
                self.saver.snapshot(made)

    def _save(self) -> list[Path]:
        return [] if processes.rank() else self.saver.save()

    @staticmethod
    def install(names: Sequence[str], made: Sequence[Path], *, overwrite: bool) -> list[Path]:
        """Copy the first bundles made to the user's own models, under these names.

        Raises:
            UsageError: if a name has been taken meanwhile.
        """
        installed = []
        for name, path in zip(names, made, strict=False):
            installed.append(the_host().own_path(name, overwrite=overwrite))
            with replacing(installed[-1]) as file:
                file.write(path.read_bytes())
        return installed
