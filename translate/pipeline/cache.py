"""Decoded pictures kept in memory, so that each file is decoded once in a training run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


class PixelCache:
    """Keeps what ``read`` returns for a path, up to ``limit`` bytes; past that it reads again."""

    def __init__(self, read: Callable[[Path], Pixels], *, limit: int = 4 * 2**30) -> None:
        self._read = read
        self._limit = limit
        self._kept: dict[Path, Pixels] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def __call__(self, path: Path) -> Pixels:
        """Return the pixels of ``path``; the array is shared and must not be written to."""
        kept = self._kept.get(path)
        if kept is not None:
            return kept
        pixels = self._read(path)
        with self._lock:
            if path not in self._kept and self._bytes + pixels.nbytes <= self._limit:
                self._kept[path] = pixels
                self._bytes += pixels.nbytes
        return pixels
