"""Tiles: a large picture goes through the network in parts that join without a seam.

Each is seen with a halo, clipped at the picture's own border, so that every output pixel is
computed from the pixels, and the border, that it would be computed from in the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from translate.method import Fit

Slices = tuple[slice, slice]  # of rows and columns

SMALLEST = 16  # input pixels a side, below which lack of memory is no matter of tiles


@dataclass(frozen=True)
class Span:
    """One side of a tile, in input pixels: what it gives, and what it must see for that."""

    start: int
    stop: int
    first: int
    last: int

    def inner(self, scale: int) -> slice:
        """Return where in the tile's own output stands what it gives."""
        return slice((self.start - self.first) * scale, (self.stop - self.first) * scale)

    def place(self, scale: int) -> slice:
        """Return where in the whole output that belongs."""
        return slice(self.start * scale, self.stop * scale)


@dataclass(frozen=True)
class Tile:
    """A part of a picture."""

    rows: Span
    columns: Span

    @property
    def seen(self) -> Slices:
        """What the network is given, in the padded picture."""
        return slice(self.rows.first, self.rows.last), slice(self.columns.first, self.columns.last)

    def outputs(self, scale: int) -> int:
        """Return how many pixels the network makes of it."""
        height = self.rows.last - self.rows.first
        return height * (self.columns.last - self.columns.first) * scale * scale

    @property
    def own(self) -> Slices:
        """What it is to give, in the input."""
        return self.place(1)

    def inner(self, scale: int) -> Slices:
        """Return where in the tile's own output stands what it gives."""
        return self.rows.inner(scale), self.columns.inner(scale)

    def place(self, scale: int) -> Slices:
        """Return where in the whole output that belongs."""
        return self.rows.place(scale), self.columns.place(scale)


def tiles(shape: tuple[int, int], padded: tuple[int, int], side: int, fit: Fit) -> list[Tile]:
    """Return the tiles of a picture, row by row, each at most about ``side`` pixels wide and high.

    Args:
        shape: (height, width) that results are wanted for.
        padded: (height, width) of what the network takes; multiples of ``fit.multiple_of``.
    """
    rows, columns = (
        list(_spans(length, end, side, fit)) for length, end in zip(shape, padded, strict=True)
    )
    return [Tile(row, column) for row in rows for column in columns]


def _spans(length: int, end: int, side: int, fit: Fit) -> Iterator[Span]:
    """Yield equal parts of ``length``, as far as multiples allow, so that none is a sliver."""
    step = fit.multiple_of
    units = -(-length // step)
    count = -(-units // max(1, side // step))
    if count == 1:
        yield Span(0, length, 0, end)
        return
    halo = -(-(fit.halo or 0) // step) * step
    least = -(-fit.minimum // step) * step
    for number in range(count):
        start, stop = (units * place // count * step for place in (number, number + 1))
        first, last = max(0, start - halo), min(end, stop + halo)
        last = min(end, max(last, first + least))
        first = max(0, min(first, last - least))
        yield Span(start, min(stop, length), first, last)


def usual_side(fit: Fit, pixels: int) -> int:
    """Return the side of a tile whose output has about ``pixels`` pixels, its halo among them.

    Where the halo is wide it has more: no narrower than the halo, or nearly all would be halo.
    """
    halo = fit.halo or 0
    return max(int(pixels**0.5) // fit.scale - 2 * halo, halo, SMALLEST)


def is_lack_of_memory(error: BaseException) -> bool:
    """Say whether memory was lacking; a CPU's allocator has no exception of its own."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "allocate memory" in str(error)
    )
