"""The run's log: means since the last line, one JSON object a line."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from translate.atomic import replacing
from translate.errors import TranslateError
from translate.training.processes import average_scalars, rank


class Diverged(TranslateError):
    """Training cannot go on: something is no longer a finite number."""

    def __init__(self, images: int, what: str) -> None:
        super().__init__(
            f"training stopped at {images:,} images: {what}, most often since the learning rate "
            "is too high; what was saved before is intact; begin again with a lower rate "
            "(--set training.players.all.lr=5e-5) or with --precision fp32"
        )


class Log:
    """Collects scalars on the device and writes their means; only a line makes the host wait."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clear()

    def clear(self) -> None:
        """Forget what was collected since the last line."""
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._waited, self._images, self._since = 0.0, 0, time.monotonic()

    def rewind(self, images: int) -> None:
        """Drop the lines past ``images``: a killed run may have logged past its checkpoint.

        Raises:
            TranslateError: if the file cannot be written.
        """
        if self.path.exists() and not rank():
            lines = self.path.read_bytes().splitlines(keepends=True)
            with replacing(self.path) as file:
                file.writelines(line for line in lines if _images_of(line) <= images)

    def add(self, scalars: Mapping[str, Tensor], *, images: int, waited: float) -> None:
        """Take in a step of so many images that waited so many seconds for its data."""
        for name, value in scalars.items():
            value = value.detach().float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1
        self._images += images
        self._waited += waited

    def line(self, images: int) -> dict[str, float]:
        """Append the means since the last line, and return them.

        Raises:
            Diverged: if one is not a finite number.
            TranslateError: if the file cannot be written.
        """
        local = {name: total / self._counts[name] for name, total in self._sums.items()}
        means = {name: float(f"{value:.6g}") for name, value in average_scalars(local).items()}
        for name, mean in means.items():
            if not math.isfinite(mean):
                raise Diverged(images, f"{name} is {mean}")
        seconds = max(time.monotonic() - self._since, 1e-9)
        scalars = {
            "images_per_second": round(self._images / seconds, 3),
            "waiting": round(self._waited / seconds, 4),
            **means,
        }
        self._append({"images": images, **scalars})
        self.clear()
        return scalars

    def alarm(self, images: int, name: str, text: str) -> None:
        """Append what looks wrong.

        Raises:
            TranslateError: if the file cannot be written.
        """
        self._append({"images": images, "alarm": name, "text": text})

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield the lines that are whole."""
        if self.path.exists():
            for line in self.path.read_bytes().splitlines():
                if _images_of(line) < math.inf:
                    yield json.loads(line)

    def _append(self, line: Mapping[str, Any]) -> None:
        if rank():
            return
        try:
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise TranslateError(f"{self.path}: cannot be written ({error.strerror})") from None


def _images_of(line: bytes) -> float:
    try:
        return int(json.loads(line)["images"])
    except (ValueError, LookupError, TypeError):
        return math.inf  # a line cut short by the kill
