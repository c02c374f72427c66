"""Decoded pictures kept as bytes, so that each file is decoded once in a training run."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from translate.errors import ImageError, UsageError
from translate.files import show, system_reason
from translate.pipeline.seeds import mix

Pixels = NDArray[np.uint8]
Files = tuple[Path | str, ...]  # all that a picture's pixels come from, and how they are read
STORES = ("memory", "file", "device", "none")
_LIMIT = 4 * 2**30  # bytes, in memory
_SHARE = 0.6  # of a GPU's free memory; the rest is for the networks
_TASTED = 4  # pictures decoded to tell how large all will be


class Store(Protocol):
    """Where decoded pictures are kept."""

    limit: float  # bytes

    def get(self, files: Files) -> Any:
        """Return what is kept for ``files``, or None."""

    def put(self, files: Files, pixels: Pixels) -> Any:
        """Keep ``pixels`` if there is room, and return what is to be used for them."""


class InMemory:
    """Keeps arrays; past ``limit`` bytes it keeps nothing more."""

    def __init__(self, limit: float = _LIMIT) -> None:
        self.limit = limit
        self._kept: dict[Files, Any] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, files: Files) -> Any:
        return self._kept.get(files)

    def put(self, files: Files, pixels: Pixels) -> Any:
        with self._lock:
            if files not in self._kept and self._bytes + pixels.nbytes <= self.limit:
                self._kept[files] = self._moved(pixels)
                self._bytes += pixels.nbytes
        return self._kept.get(files, pixels)

    def _moved(self, pixels: Pixels) -> Any:
        return pixels


class OnDevice(InMemory):
    """Keeps tensors (H, W, C) uint8 on the device, where they are cut."""

    def __init__(self, device: torch.device) -> None:
        free = torch.cuda.mem_get_info(device)[0] * _SHARE if device.type == "cuda" else _LIMIT
        super().__init__(free)
        self.device = device

    def put(self, files: Files, pixels: Pixels) -> Any:
        kept = super().put(files, pixels)
        return kept if isinstance(kept, Tensor) else self._moved(pixels)

    def _moved(self, pixels: Pixels) -> Tensor:
        return torch.from_numpy(np.array(pixels)).to(self.device)  # torch wants it writable


class InFiles:
    """Keeps one file a picture, mapped into memory: for sets larger than it.

    Processes share them, and so do later runs with the same folder. A changed picture has another
    name here. Where nothing more can be written, that is said once, and what is not kept yet is
    decoded each time: a cache is a convenience.
    """

    limit = float("inf")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._full = False
        self._lock = threading.Lock()

    def get(self, files: Files) -> Pixels | None:
        try:
            pixels: Pixels = np.load(self._place(files), mmap_mode="r")
        except Exception:  # a damaged file fails in whatever part of numpy meets the damage
            return None
        return pixels if pixels.dtype == np.uint8 and pixels.ndim == 3 else None

    def put(self, files: Files, pixels: Pixels) -> Pixels:
        if not self._full:
            try:
                self._write(self._place(files), pixels)
            except OSError as error:
                self._give_up(error)
        return pixels

    def _place(self, files: Files) -> Path:
        key = 0
        for path in files:
            if isinstance(path, str):
                key = mix(key, *path.encode())
                continue
            about = path.stat()
            key = mix(key, *os.fsencode(path.resolve()), about.st_size, about.st_mtime_ns)
        return self.folder / f"{key:015x}.npy"

    def _write(self, place: Path, pixels: Pixels) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # Other threads and processes may write the same picture now: each under a name of its own.
        part = place.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
        # Not straight into the file, where numpy does not notice that the disk is full.
        whole = io.BytesIO()
        np.save(whole, pixels)
        try:
            with part.open("wb") as file:
                file.write(whole.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            part.replace(place)
        finally:
            part.unlink(missing_ok=True)

    def _give_up(self, error: OSError) -> None:
        with self._lock:
            if not self._full:
                self._full = True
                print(
                    f"{show(self.folder)}: cannot be written: {system_reason(error)}; "
                    "what it does not hold is decoded again each time",
                    file=sys.stderr,
                    flush=True,
                )


class Nowhere:
    """Keeps nothing: every picture is decoded each time."""

    limit = 0.0

    def get(self, files: Files) -> None:
        return None

    def put(self, files: Files, pixels: Pixels) -> Pixels:
        return pixels


def make_store(name: str, *, folder: Path, device: torch.device) -> Store:
    """Return the store called ``name``; ``folder`` is where files would go.

    Raises:
        UsageError: if there is no such store.
    """
    match name:
        case "memory":
            return InMemory()
        case "file":
            return InFiles(folder)
        case "device":
            return OnDevice(device)
        case "none":
            return Nowhere()
    raise UsageError(f"--cache {name}: there are {', '.join(STORES)}")


class PixelCache:
    """Keeps what ``read`` returns for a path, in memory unless the user wants it elsewhere.

    Args:
        read: decodes a file to (H, W, C) uint8.
        files: all that will be asked for, to tell beforehand how much there is.
        partners: the other file that the pixels of one come from, where there is one.
        variant: which of several caches this is, where a data set keeps more of the same files.
    """

    def __init__(
        self,
        read: Callable[[Path], Pixels],
        files: Sequence[Path] = (),
        partners: Mapping[Path, Path] | None = None,
        variant: str = "",
    ) -> None:
        self.store: Store = InMemory()
        self._read = read
        self._files, self._partners = tuple(files), partners or {}
        self._variant = (variant,) if variant else ()
        self._bad: set[Path] = set()
        self._lock = threading.Lock()

    def __call__(self, path: Path) -> Any:
        """Return the pixels of ``path``: an array, or a tensor where the device keeps them.

        They are shared and must not be written to.
        """
        partner = (self._partners[path],) if path in self._partners else ()
        files = (path, *partner, *self._variant)
        kept = self.store.get(files)
        return self.store.put(files, self._read(path)) if kept is None else kept

    def at(self, files: Sequence[Path], place: int) -> tuple[Path, Any]:
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

    def bytes(self) -> int:
        """Return about how many bytes all files will take, from the first that can be read."""
        tasted = []
        for file in self._files[:: max(1, len(self._files) // _TASTED)]:
            try:
                pixels = self(file)
            except ImageError as error:
                self._report(file, error)
            else:
                tasted.append(pixels.nbytes)
        return int(sum(tasted)) * len(self._files) // max(1, len(tasted))

    def describe(self) -> str:
        """Say how much is to be kept; nothing, if that is not known.

        Raises:
            UsageError: if the device has no room for it.
        """
        limit = self.store.limit
        need = self.bytes() if limit else 0
        if not need:
            return ""
        about = f"about {_size(need)} for {len(self._files):,} pictures"
        if need <= limit:
            return about
        if isinstance(self.store, OnDevice):
            raise UsageError(
                f"--cache device: {about}, but {_size(limit)} are to spare there; "
                "use --cache memory or --cache file"
            )
        return f"{about}, {_size(limit)} at most: the others are decoded again each time"

    def _report(self, file: Path, error: ImageError) -> None:
        with self._lock:
            if file not in self._bad:
                self._bad.add(file)
                print(f"left out: {error}", file=sys.stderr, flush=True)


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{count / 2**20:.0f} MB"
