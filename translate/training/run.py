"""A training run in its folder: begin or go on, log, show, save, and make models."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

import translate
from translate import bundle
from translate.atomic import replacing
from translate.dataset import Sample
from translate.errors import TranslateError, UsageError
from translate.host import the_host
from translate.method import Batch, Export, Method
from translate.model import SUFFIX, Card, Header
from translate.options import Settings, build
from translate.pipeline.loader import batches, collate
from translate.runtime import pick_device, pick_precision
from translate.training import checkpoint, grid
from translate.training.log import Log
from translate.training.loop import Trainer
from translate.training.phases import set_modes
from translate.training.plan import RunPlan, refuse_changes, store, stored
from translate.training.settings import TrainingSettings

Progress = Callable[[int, Mapping[str, float]], None]
_PREVIEWS = 4  # rows of a sample grid


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
        self._options, self._last = folder / "options.json", folder / "last.pt"
        before = stored(self._options) if resume else {}
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
            "training": self.settings.model_dump(mode="json"),
        }
        refuse_changes(before, self.plan)

        self.trainer = self._trainer(kind, options, pick_device(device))
        # A run that was killed before its first checkpoint begins again.
        if resume and self._last.exists():
            self._take_up(checkpoint.load(self._last))
            if self.trainer.images > self.settings.images:
                raise UsageError(
                    f"{folder}: has seen {self.trainer.images:,} images already, "
                    f"which is more than --images {self.settings.images}"
                )
        self.log = Log(folder / "log.jsonl")
        self._previews: list[Sample] = []

    def _trainer(self, kind: type[Method[Any]], options: Settings, device: torch.device) -> Trainer:
        torch.manual_seed(self.settings.seed)
        method = kind(options, self.dataset.facts)
        method.prepare()
        dtype = pick_precision(self.settings.precision, device)
        return Trainer(method, self.settings, device, dtype)

    def _take_up(self, state: dict[str, Any]) -> None:
        try:
            self.trainer.load_state_dict(state)
        except (LookupError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise TranslateError(f"{self._last}: does not fit this method ({reason})") from None

    def train(self, *, workers: int, progress: Progress) -> list[Path]:
        """Train to the end and return the bundles made.

        Raises:
            Interrupted: after the first Ctrl-C, once everything is saved.
        """
        trainer, settings = self.trainer, self.settings
        with self._watched(), asked_to_stop() as stop, closing(self._steps(workers)) as steps:
            for first, (parts, waited) in enumerate(steps):
                if first == 0:
                    self._begin()
                before = trainer.images
                scalars = trainer.step(parts)
                self.log.add(scalars, images=trainer.images - before, waited=waited)
                self._report(before, progress)
                if stop.is_set():
                    break
            made = self.save()
        if trainer.images < settings.images:
            raise Interrupted(
                f"stopped after {trainer.images:,} of {settings.images:,} images; "
                "the same command with --resume goes on"
            )
        return made

    def _steps(self, workers: int) -> Generator[tuple[list[Batch], float], None, None]:
        """Yield each step's micro-batches and the seconds that they were waited for."""
        trainer, settings = self.trainer, self.settings
        source = batches(
            self.dataset,
            seed=settings.seed,
            start=trainer.images,
            batch_size=settings.batch_size // settings.accumulate,
            workers=workers,
            device=trainer.device,
        )
        with closing(source):
            while trainer.images < settings.images:
                asked = time.monotonic()
                try:
                    parts = list(islice(source, settings.accumulate))
                except Exception:
                    if trainer.images:  # what was learned is not lost with what cannot be read
                        self.save()
                    raise
                yield parts, time.monotonic() - asked

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Tell the plugins when the training is over, however it ends."""
        try:
            yield
        finally:
            the_host().notify("training_ended", run=self.folder, images=self.trainer.images)

    def _begin(self) -> None:
        self._previews = [self.dataset.sample(i, self.settings.seed) for i in range(_PREVIEWS)]
        store(self._options, self.plan)
        self.log.rewind(self.trainer.images)
        the_host().notify(
            "training_started",
            run=self.folder,
            method=self.plan["method"],
            options=self.plan,
            images=self.trainer.images,
        )
        self.log.clear()

    def _report(self, before: int, progress: Progress) -> None:
        """Log, show and save whatever has come due since ``before`` images."""
        now, s = self.trainer.images, self.settings
        scalars: Mapping[str, float] = {}
        if before // s.log_every != now // s.log_every or now >= s.images:
            scalars = self.log.line(now)
            the_host().notify("training_logged", run=self.folder, images=now, scalars=scalars)
        progress(now, scalars)
        if before // s.sample_every != now // s.sample_every or before == 0:
            self.save_grid()
        if before // s.save_every != now // s.save_every and now < s.images:
            self.save()

    def save(self) -> list[Path]:
        """Write the checkpoint and a bundle of every export.

        Raises:
            Diverged: if a weight is no finite number; nothing is written then.
            TranslateError: if a file cannot be written; what was there is untouched.
        """
        self.trainer.check()
        images = self.trainer.images
        checkpoint.save(self._last, self.trainer.state_dict())
        the_host().notify("checkpoint_saved", run=self.folder, path=self._last, images=images)
        made = []
        for name, export in self.trainer.method.exports().items():
            weights = self.network(name, export).state_dict()
            if self.settings.store == "fp16":
                weights = bundle.half(weights)
            made.append(self.folder / f"{name}{SUFFIX}")
            bundle.save_bundle(made[-1], self.header(name, export), weights)
        return made

    def header(self, name: str, export: Export) -> Header:
        """Return what an export's bundle says of itself."""
        plan, card = self.plan, Card.model_validate(self.plan["card"])
        training = {
            "images": self.trainer.images,
            "device": self.trainer.device.type,
            "version": translate.__version__,
            "data": plan["data"],
            "settings": plan["training"],
        }
        folders = ", ".join(Path(folder).name for folder in plan["folders"])
        summary = card.summary or f"trained by {plan['method']} on {folders}"
        return Header(
            method=plan["method"],
            options=plan["options"],
            export=name,
            facts=self.dataset.facts,
            reads=tuple(export.reads),
            mode=export.mode,
            working_size=self.dataset.working_size,
            card=card.model_copy(update={"summary": summary, "training": training}),
        )

    def network(self, name: str, export: Export) -> nn.Module:
        """Return what an export's model is made of: its average, where there is one."""
        average = self.trainer.averages.get(name)
        return average.network if average else export.network

    @torch.inference_mode()
    def save_grid(self) -> None:
        """Write what the exports make of the run's first samples: source | output, by export."""
        trainer, rows = self.trainer, []
        trainer.method.eval()
        for number, sample in enumerate(self._previews):
            batch = collate([sample], [number], trainer.device)
            row = []
            for name, export in trainer.method.exports().items():
                fields = {ours: batch[theirs] for ours, theirs in export.reads.items()}
                source = Batch(fields, batch.seeds)
                output = trainer.method.translate(self.network(name, export), source)
                row += [*(image[0] for image in fields.values()), output[0]]
            rows.append(row)
        set_modes(trainer.method, trainer.stage)
        path = self.folder / "samples" / f"{trainer.images:08}.png"
        grid.save_grid(path, rows)
        the_host().notify("samples_saved", run=self.folder, path=path, images=trainer.images)

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


@contextmanager
def asked_to_stop() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C or SIGTERM into a flag; a second Ctrl-C interrupts at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(signum: int, frame: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before[signal.SIGINT])

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
