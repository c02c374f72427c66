"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from translate.files import megabytes

if TYPE_CHECKING:
    from translate.training.run import Run

_SECONDS_BETWEEN_LINES = 10.0
_SHOWN = 4  # losses beside the bar; all are in the log


class _WithBar:
    """Has a bar where somebody looks at a terminal; what is left of it goes when it is left."""

    _bar: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._bar:
            self._bar.stop()


class TrainingProgress(_WithBar):
    """Called after every step with the images seen and, where a line was logged, its scalars."""

    def __init__(self, run: Run, *, quiet: bool) -> None:
        self.total, self.start = run.settings.images, run.trainer.images
        self.quiet = quiet
        self._began = self._printed = time.monotonic()
        self._losses = ""
        if quiet:
            return
        trainer = run.trainer
        count = sum(p.numel() for p in trainer.method.parameters())
        self._say(
            f"{run.dataset.describe()}; {run.plan['method']}, {count / 1e6:.2f} M parameters, "
            f"{str(trainer.dtype).removeprefix('torch.')} on {trainer.device}"
        )
        if run.begun_from:
            self._say(f"beginning with {run.begun_from}")
        if self.start:
            self._say(f"going on from {self.start:,} of {self.total:,} images")
        if sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task("training", total=self.total, note="")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __call__(self, images: int, scalars: Mapping[str, float]) -> None:
        losses = [f"{k} {v:.3f}" for k, v in scalars.items() if "/" in k]
        self._losses = "  ".join(losses[:_SHOWN]) or self._losses
        now = time.monotonic()
        speed = (images - self.start) / max(now - self._began, 1e-9)
        left = timedelta(seconds=int(max(0, self.total - images) / speed))
        note = f"{images:,}/{self.total:,}  {speed:.1f} images/s  {left} left  {self._losses}"
        if self._bar:
            self._bar.update(self._task, completed=images, note=note)
        elif not self.quiet and (now - self._printed > _SECONDS_BETWEEN_LINES):
            self._printed = now
            self._say(note)

    def say(self, text: str) -> None:
        """Print a line, above the bar where there is one."""
        if self._bar:
            self._bar.console.print(text, soft_wrap=True, markup=False, highlight=False)
        elif not self.quiet or text.startswith("alarm"):
            self._say(text)

    @staticmethod
    def _say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class Downloading(_WithBar):
    """A bar of the bytes of a download; it shows once the first have come."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        self.total, self.quiet = total, quiet
        if sys.stderr.isatty() and not quiet:
            self._bar = Progress(
                BarColumn(),
                TextColumn("{task.fields[note]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True, highlight=False, markup=False, emoji=False),
                transient=True,
            )
            self._task = self._bar.add_task("", total=total, note="")

    def advance(self, count: int) -> None:
        """Show that so many bytes have come."""
        if self._bar:
            self._bar.start()
            note = f"{megabytes(count)} of {megabytes(self.total)}"
            self._bar.update(self._task, completed=count, note=note)
            if count == self.total:  # what is made of it then takes a while of its own
                self._bar.stop()

    def print(self, text: str) -> None:
        """Print a line above the bar, as it is."""
        if self._bar:
            self._bar.console.print(text, soft_wrap=True)
        elif not self.quiet:
            print(text, file=sys.stderr, flush=True)


class Counter(_WithBar):
    """Counts pictures; when it is quiet, it prints what it is told to print and nothing else."""

    def __init__(self, total: int, *, quiet: bool = False) -> None:
        self.total, self.quiet = total, quiet
        self._began = self._printed = time.monotonic()
        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        if sys.stderr.isatty() and not quiet:
            self._bar = Progress(
                TextColumn("{task.completed}/{task.total}"),
                BarColumn(),
                TextColumn("{task.fields[note]}"),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=total, note="")
            self._bar.start()

    def advance(self, written: int, failed: int) -> None:
        """Show that so many pictures are done."""
        done, now = written + failed, time.monotonic()
        speed = done / max(now - self._began, 1e-9)
        note = f"{speed:.1f} images/s" + (f", {failed} failed" if failed else "")
        if self._bar:
            self._bar.update(self._task, completed=done, note=note)
        elif not self.quiet and now - self._printed > _SECONDS_BETWEEN_LINES:
            self._printed = now
            self.print(f"{done}/{self.total}  {note}")

    def print(self, text: str) -> None:
        """Print a line above the bar, as it is."""
        if self._bar:
            self._console.print(text, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)
