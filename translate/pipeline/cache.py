"""Decoded pictures kept in memory, so that each file is decoded once in a training run."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from translate.errors import ImageError, UsageError

Pixels = NDArray[np.uint8]


class PixelCache:
    """Keeps what ``read`` returns for a path, up to ``limit`` bytes; past that it reads again."""

    def __init__(self, read: Callable[[Path], Pixels], *, limit: int = 4 * 2**30) -> None:
        self._read = read
        self._limit = limit
        self._kept: dict[Path, Pixels] = {}
        self._bytes = 0
        self._bad: set[Path] = set()
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

    def at(self, files: Sequence[Path], place: int) -> tuple[Path, Pixels]:
        """Return the file at ``place`` with its pixels, or the next file that can be read.

        One bad file among thousands must not end a long run. It is reported, once.

        Raises:
            UsageError: if none can be read.
        """
        for step in range(len(files)):
            file = files[(place + step) % len(files)]
            try:
                return file, self(file)
            except ImageError as error:
                self._report(file, error)
        raise UsageError(f"{files[0].parent}: none of its pictures can be read")

    def _report(self, file: Path, error: ImageError) -> None:
        with self._lock:
            if file not in self._bad:
                self._bad.add(file)
                print(f"left out: {error}", file=sys.stderr, flush=True)
