"""Measures of an output beside its own target: the mean of what each pair gives."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from importlib.metadata import version
from typing import ClassVar, Generic, Literal, TypeVar

import kornia.metrics
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from translate import Comparison, Measure, Result, Settings, TranslateError
from translate_measures.spaces import AB_OF_LAB, LUMA, RGB, Space

O = TypeVar("O", bound=Settings)  # noqa: E741

Pixels = NDArray[np.float32]  # (H, W, 3) in [0, 255]

_RANGE = 255.0
_BAND_ROWS = 128  # at once: a large picture's dozen maps of doubles fill the memory


class LikenessOptions(Settings):
    """What of two pictures is compared."""

    space: Literal["rgb", "y", "both"] = Field(
        default="rgb",
        description="rgb: all colours; y: luma alone, as papers on super-resolution do; both: "
        "a number for each",
    )
    border: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="pixels left out along each side, of which a network sees too little",
    )


class PairMeasure(Measure[O], Generic[O]):
    """The mean over all pairs of a value that each has, in one space or in several."""

    title: ClassVar[str]
    protocol: ClassVar[str]
    unit: ClassVar[str] = ""
    decimals: ClassVar[int] = 4

    spaces: Sequence[Space] = (RGB,)
    border: int = 0

    def __init__(self, options: O, device: torch.device) -> None:
        super().__init__(options, device)
        self._values: list[list[float]] = []  # a list for each pair

    @abstractmethod
    def value(self, output: Pixels, target: Pixels, space: Space) -> float:
        """Return what is measured of one pair, (H, W, 3) in [0, 255] both."""

    def add(self, comparison: Comparison) -> float:
        """Take in a pair; return its value in the first space."""
        if comparison.target is None:
            raise TranslateError(f"{self.title} needs a target")
        pair = _inside(comparison.output, self.border), _inside(comparison.target, self.border)
        values = [self.value(*pair, space) for space in self.spaces]
        self._values.append(values)
        return values[0]

    def results(self) -> Sequence[Result]:
        columns = zip(*self._values, strict=True)
        return [self._result(*one) for one in zip(self.spaces, columns, strict=False)]

    def _result(self, space: Space, values: Sequence[float]) -> Result:
        count = len(values)
        protocol = f"{self.protocol}, {space.described}, border {self.border}"
        protocol += f", mean of {count:,} pictures"
        if equal := sum(map(math.isinf, values)):
            protocol += f", of which {equal:,} equal their targets"
        mean = math.fsum(values) / count if not equal else math.inf
        title = self.title + space.suffix
        return Result(title, mean, protocol, self.unit, decimals=self.decimals)


class LikenessMeasure(PairMeasure[LikenessOptions]):
    """A pair measure whose space and border can be chosen."""

    Options = LikenessOptions

    def __init__(self, options: LikenessOptions, device: torch.device) -> None:
        super().__init__(options, device)
        self.spaces = {"rgb": (RGB,), "y": (LUMA,), "both": (RGB, LUMA)}[options.space]
        self.border = options.border


class L1(PairMeasure[Settings]):
    """Mean absolute difference, where 1 is the whole range."""

    title, protocol = "L1", "mean absolute difference, 1 = whole range"
    larger_is_better = False

    def value(self, output: Pixels, target: Pixels, space: Space) -> float:
        total = 0.0
        for rows in _bands(len(output)):
            total += float(np.abs(output[rows] - target[rows]).sum(dtype=np.float64))
        return total / output.size / _RANGE


class PSNR(LikenessMeasure):
    """Peak signal-to-noise ratio: 10 log₁₀ (255² / mean squared difference), in dB."""

    title, protocol, unit, decimals = "PSNR", "range 255", "dB", 2

    def value(self, output: Pixels, target: Pixels, space: Space) -> float:
        total, count = 0.0, 0
        for rows in _bands(len(output)):
            difference = space.seen(output[rows]) - space.seen(target[rows])
            total += float(np.square(difference).sum(dtype=np.float64))
            count += difference.size
        return 10 * math.log10(_RANGE**2 * count / total) if total else math.inf


class AB(PairMeasure[Settings]):
    """Distance of colours, whatever their lightness: 0 where equal; greys are 0 from each other."""

    title, protocol, decimals = "ab distance", "mean distance in (a, b) of each pixel", 2
    spaces = (AB_OF_LAB,)
    larger_is_better = False

    def value(self, output: Pixels, target: Pixels, space: Space) -> float:
        total = 0.0
        for rows in _bands(len(output)):
            difference = space.seen(output[rows]) - space.seen(target[rows])
            total += float(np.linalg.norm(difference, axis=2).sum())
        return total / output[..., 0].size


class SSIM(LikenessMeasure):
    """Structural similarity, over windows that lie inside the picture.

    Source: Wang et al. 2004, doi:10.1109/TIP.2003.819861, eq. 13, with its constants and window.
    """

    window: ClassVar[int] = 11
    title = "SSIM"
    protocol = (
        f"range 255, Gaussian window {window}×{window}, deviation 1.5, "
        f"inside the picture only (kornia {version('kornia')})"
    )

    def value(self, output: Pixels, target: Pixels, space: Space) -> float:
        height, width = output.shape[:2]
        if min(height, width) < self.window:
            raise TranslateError(f"{width}×{height} is smaller than the window of SSIM")
        # In doubles, which MPS has none of: the variance of a flat part is a small difference of
        # large numbers.
        device = torch.device("cpu") if self.device.type == "mps" else self.device
        around = self.window - 1
        total, count = 0.0, 0
        for rows in _bands(height - around, around):
            x, y = (
                torch.from_numpy(space.seen(p[rows])).permute(2, 0, 1)[None].double().to(device)
                for p in (output, target)
            )  # (1, C, rows, W)
            values = kornia.metrics.ssim(x, y, self.window, max_val=_RANGE, padding="valid")
            total, count = total + float(values.sum()), count + values.numel()
        return total / count


def _bands(height: int, more: int = 0) -> list[slice]:
    """Return slices that together are all rows, each with ``more`` of those that follow it."""
    tops = range(0, height, _BAND_ROWS)
    return [slice(top, min(top + _BAND_ROWS, height) + more) for top in tops]


def _inside(pixels: Pixels, border: int) -> Pixels:
    """Return pixels (H, W, C) without their border.

    Raises:
        TranslateError: if nothing is left.
    """
    height, width = pixels.shape[:2]
    if min(height, width) <= 2 * border:
        raise TranslateError(f"{width}×{height} has nothing inside a border of {border} pixels")
    return pixels[border : height - border, border : width - border]
