"""A training run in its folder: begin or go on, log, show, save, and make models."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

import translate
from translate import bundle
from translate.errors import TranslateError, UsageError
from translate.home import models_folder
from translate.host import the_host
from translate.method import Batch, Export, Method
from translate.model import SUFFIX, Card, Header
from translate.options import Settings, build
from translate.pipeline.loader import batches, collate
from translate.pipeline.seeds import mix
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
    """A run's folder with its trainer: made by ``begin``, ended by ``train``."""

    def __init__(self, folder: Path, plan: RunPlan, *, device: str, resume: bool) -> None:
        """Build the data set, the method and, when resuming, the state it stopped at.

        Raises:
            UsageError: if the folder holds a run already, or another one than is to go on.
        """
        self.folder = folder
        before = stored(folder / "options.json") if resume else None
        if before is None and (folder / "options.json").exists():
            raise UsageError(f"{folder}: holds a run already; --resume goes on with it")
        self.settings = build(TrainingSettings, plan.training, what="training")
        kind = the_host().load_method(plan.method)
        options = build(kind.Options, plan.options, what=plan.method)
        entry = the_host().dataset(plan.dataset or the_host().method(plan.method).data)
        reader = entry.load()
        data_options = build(reader.Options, plan.data, what="data")
        self.dataset = reader([Path(f) for f in plan.folders], data_options, kind.data(options))
        self.plan = plan.as_dict() | {
            "folders": [str(Path(f).resolve()) for f in plan.folders],
            "options": options.model_dump(mode="json"),
            "data": data_options.model_dump(mode="json"),
            "training": self.settings.model_dump(mode="json"),
        }
        if before is not None:
            refuse_changes(before, json.loads(json.dumps(self.plan)))
        self.trainer = self._trainer(kind, options, pick_device(device))
        if resume:
            self.trainer.load_state_dict(checkpoint.load(folder / "last.pt"))
        self.log = Log(folder / "log.jsonl")
        self._prepare_folder()

    def _trainer(
        self, kind: type[Method[Any]], options: Settings, device: torch.device
    ) -> Trainer:
        torch.manual_seed(self.settings.seed)
        method = kind(options, self.dataset.facts)
        method.prepare()
        dtype = pick_precision(self.settings.precision, device)
        return Trainer(method, self.settings, device, dtype)

    def _prepare_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            store(self.folder / "options.json", self.plan)
            # A killed run may have logged past its last checkpoint.
            if self.log.path.exists():
                lines = self.log.path.read_text().splitlines(keepends=True)
                kept = [ln for ln in lines if _images_of(ln) <= self.trainer.images]
                self.log.path.write_text("".join(kept))
        except OSError as error:
            raise TranslateError(f"{self.folder}: {error.strerror or error}") from None

    def train(self, *, workers: int, progress: Progress) -> list[Path]:
        """Train to the end and return the bundles made.

        Raises:
            Interrupted: after the first Ctrl-C, once everything is saved.
        """
        trainer, settings = self.trainer, self.settings
        the_host().notify(
            "training_started", run=self.folder, method=self.plan["method"], options=self.plan
        )
        micro = max(1, settings.batch_size // settings.accumulate)
        source = batches(
            self.dataset, seed=settings.seed, start=trainer.images, batch_size=micro,
            workers=workers, device=trainer.device,
        )
        self.log.clear()
        with asked_to_stop() as stop:
            while trainer.images < settings.images and not stop.is_set():
                before = trainer.images
                asked = time.monotonic()
                parts = list(islice(source, settings.accumulate))
                waited = time.monotonic() - asked
                self.log.add(trainer.step(parts))
                self.log.count(trainer.images - before, waited)
                self._report(before, progress)
        source.close()
        made = self.save()
        if trainer.images < settings.images:
            raise Interrupted(
                f"stopped after {trainer.images:,} of {settings.images:,} images; "
                "the same command with --resume goes on"
            )
        return made

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
        """Write the checkpoint and a bundle of every export."""
        path = self.folder / "last.pt"
        checkpoint.save(path, self.trainer.state_dict())
        images = self.trainer.images
        the_host().notify("checkpoint_saved", run=self.folder, path=path, images=images)
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
        card = Card.model_validate(self.plan["card"])
        training = {
            "images": self.trainer.images, "device": self.trainer.device.type,
            "version": translate.__version__, "data": self.plan["data"],
            "settings": self.plan["training"],
        }
        summary = card.summary or f"trained by {self.plan['method']} on " + ", ".join(
            Path(folder).name for folder in self.plan["folders"]
        )
        return Header(
            method=self.plan["method"], options=self.plan["options"], export=name,
            facts=self.dataset.facts, reads=tuple(export.reads), mode=export.mode,
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
        trainer = self.trainer
        samples = [self.dataset.sample(i, mix(self.settings.seed, i)) for i in range(_PREVIEWS)]
        rows = []
        trainer.method.eval()
        for sample in samples:
            batch = collate([sample], [0], trainer.device)
            row = []
            for name, export in trainer.method.exports().items():
                source = Batch({ours: batch[theirs] for ours, theirs in export.reads.items()},
                               batch.seeds)
                output = trainer.method.translate(self.network(name, export), source)
                row += [*(image[0] for image in source.tensors.values()), output[0]]
            rows.append(row)
        set_modes(trainer.method, trainer.stage)
        grid.save_grid(self.folder / "samples" / f"{trainer.images:08}.png", rows)

    def install(self, names: Sequence[str], made: Sequence[Path]) -> list[Path]:
        """Copy the bundles made to the user's own models, under these names."""
        installed = []
        for name, path in zip(names, made, strict=False):
            target = models_folder() / f"{name}{SUFFIX}"
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.part")
            part.write_bytes(path.read_bytes())
            os.replace(part, target)
            installed.append(target)
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


def _images_of(line: str) -> int:
    try:
        return int(json.loads(line)["images"])
    except (ValueError, KeyError, TypeError):
        return 2**63
