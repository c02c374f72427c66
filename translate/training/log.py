"""The run's log: means since the last line, one JSON object a line."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from translate.errors import TranslateError


class Log:
    """Collects scalars on the device and writes their means; only a line makes the host wait."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._waited = 0.0
        self._since = time.monotonic()
        self._images = 0

    def add(self, scalars: Mapping[str, Tensor]) -> None:
        for name, value in scalars.items():
            value = value.detach().float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def count(self, images: int, waited: float) -> None:
        """Take in a step of so many images that waited so many seconds for its data."""
        self._images += images
        self._waited += waited

    def line(self, images: int) -> dict[str, float]:
        """Append the means since the last line, and return them.

        Raises:
            TranslateError: if one is not a number; the checkpoint before is intact.
        """
        names = list(self._sums)
        values = torch.stack([self._sums[n] / self._counts[n] for n in names]).tolist()
        seconds = time.monotonic() - self._since
        scalars = dict(zip(names, values, strict=True))
        speed = {
            "images_per_second": round(self._images / seconds, 3),
            "waiting": round(self._waited / seconds, 4),
        }
        with self.path.open("a") as file:
            file.write(json.dumps({"images": images, **speed, **scalars}) + "\n")
        self.clear()
        for name, value in scalars.items():
            if not math.isfinite(value):
                raise TranslateError(
                    f"training stopped at {images:,} images: {name} is {value}; the last "
                    "checkpoint is intact (a lower learning rate or --precision fp32 may help)"
                )
        return scalars | speed

    def clear(self) -> None:
        self._sums, self._counts = {}, {}
        self._waited, self._images, self._since = 0.0, 0, time.monotonic()
