"""Axes: from values to places, with ticks at round numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

_DECADES = 100  # highest over lowest value from which an axis is logarithmic, where it may be


@dataclass(frozen=True)
class Axis:
    """Maps ``low`` to ``high`` onto 0 to 1."""

    low: float
    high: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Return where ``value`` is, 0 to 1 within the axis."""
        if self.logarithmic:
            low, high = math.log10(self.low), math.log10(self.high)
            return (math.log10(value) - low) / (high - low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return round values within the axis."""
        if not self.logarithmic:
            return _round_steps(self.low, self.high)
        first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
        every = max(1, math.ceil((last - first) / 5))
        return [10.0**power for power in range(first, last + 1, every)]


def fit(values: list[float], *, may_be_logarithmic: bool = False) -> Axis:
    """Return an axis that holds all ``values``, with a little room."""
    low, high = min(values), max(values)
    if may_be_logarithmic and low > 0 and high / low >= _DECADES:
        room = (high / low) ** 0.04
        return Axis(low / room, high * room, logarithmic=True)
    room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return Axis(0.0 if 0 <= low < room else low - room, high + room)


def _round_steps(low: float, high: float) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten, in two to six intervals."""
    rough = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def figures(value: float) -> str:
    """Return a value in few characters.

    >>> [figures(v) for v in (0.0, 0.25, 1234.5, 0.0002, -3.14159, 2e9)]
    ['0', '0.25', '1234', '2e-4', '-3.142', '2e9']
    """
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    digits, _, power = f"{value:.2e}".partition("e")
    return f"{float(digits):g}e{int(power)}"


def count(number: float) -> str:
    """Return a number of images in few characters.

    >>> [count(n) for n in (0, 800, 2000, 12500, 1_500_000)]
    ['0', '800', '2k', '12.5k', '1.5M']
    """
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{unit}"
    return f"{number:g}"
