"""Event files as TensorBoard reads them; a step is a training image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

_SECONDS = 10  # between writes to the disk, for those who watch


class Boards:
    """Writers by run; an event of a run that has none (it never began) is passed over."""

    def __init__(self) -> None:
        self._writers: dict[Path, SummaryWriter] = {}

    def open(self, run: Path, images: int) -> None:
        """Begin to write, or go on after ``images`` images."""
        self.close(run)  # of an earlier training in this process that ended without a word
        # A killed run may have written past its checkpoint; purging hides that from the curves.
        self._writers[run] = SummaryWriter(
            str(run / "tensorboard"), purge_step=images + 1, flush_secs=_SECONDS
        )

    def scalars(self, run: Path, images: int, scalars: Mapping[str, float]) -> None:
        """Write a line of the log."""
        if writer := self._writers.get(run):
            for name, value in scalars.items():
                writer.add_scalar(name, value, images)

    def alarm(self, run: Path, images: int, name: str, text: str) -> None:
        """Write an alarm as a text."""
        if writer := self._writers.get(run):
            writer.add_text(f"alarms/{name}", text, images)

    def grid(self, run: Path, images: int, path: Path) -> None:
        """Write a sample grid as an image."""
        if writer := self._writers.get(run):
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))  # (H, W, 3) uint8
            writer.add_image("samples", pixels, images, dataformats="HWC")

    def close(self, run: Path) -> None:
        """Write what is left and close the file."""
        if writer := self._writers.pop(run, None):
            writer.close()
