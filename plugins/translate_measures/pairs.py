"""Measures of an output beside its own target: the mean of what each pair gives."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from importlib.metadata import version
from typing import ClassVar

import kornia.metrics
import numpy as np
import torch
from numpy.typing import NDArray

from translate import Comparison, Measure, Result, Settings, TranslateError
from translate.pipeline import rgb_to_lab

Pixels = NDArray[np.float32]  # (H, W, 3) in [0, 255]

_RANGE = 255.0
_BAND_ROWS = 128  # at once: a large picture's dozen maps of doubles fill the memory


class PairMeasure(Measure[Settings]):
    """The mean over all pairs of a value that each has."""

    title: ClassVar[str]
    protocol: ClassVar[str]
    space: ClassVar[str] = "RGB"
    unit: ClassVar[str] = ""
    decimals: ClassVar[int] = 4

    def __init__(self, options: Settings, device: torch.device) -> None:
        super().__init__(options, device)
        self._values: list[float] = []

    @abstractmethod
    def value(self, output: Pixels, target: Pixels) -> float:
        """Return what is measured of one pair, (H, W, 3) in [0, 255] both."""

    def add(self, comparison: Comparison) -> float:
        if comparison.target is None:
            raise TranslateError(f"{self.title} needs a target")
        value = self.value(comparison.output, comparison.target)
        self._values.append(value)
        return value

    def results(self) -> Sequence[Result]:
        if not self._values:
            return []
        count = len(self._values)
        protocol = f"{self.protocol}, {self.space}, border 0, mean of {count:,} pictures"
        if equal := sum(map(math.isinf, self._values)):
            protocol += f", of which {equal:,} equal their targets"
        mean = math.fsum(self._values) / count if not equal else math.inf
        return [Result(self.title, mean, protocol, self.unit, decimals=self.decimals)]


class L1(PairMeasure):
    """Mean absolute difference, where 1 is the whole range."""

    title, protocol = "L1", "mean absolute difference, 1 = whole range"
    larger_is_better = False

    def value(self, output: Pixels, target: Pixels) -> float:
        return float(np.abs(output - target).mean(dtype=np.float64)) / _RANGE


class PSNR(PairMeasure):
    """Peak signal-to-noise ratio: 10 log₁₀ (255² / mean squared difference), in dB."""

    title, protocol, unit, decimals = "PSNR", "range 255", "dB", 2

    def value(self, output: Pixels, target: Pixels) -> float:
        squared = float(np.square(output - target).mean(dtype=np.float64))
        return 10 * math.log10(_RANGE**2 / squared) if squared else math.inf


class AB(PairMeasure):
    """Distance of colours, whatever their lightness: 0 where equal; greys are 0 from each other."""

    title, protocol, decimals = "ab distance", "mean distance in (a, b) of each pixel", 2
    space = "CIE Lab of sRGB, white D65"
    larger_is_better = False

    def value(self, output: Pixels, target: Pixels) -> float:
        total = 0.0
        for top in range(0, len(output), _BAND_ROWS):
            bands = (pixels[top : top + _BAND_ROWS] for pixels in (output, target))
            x, y = (
                rgb_to_lab(torch.from_numpy(band).permute(2, 0, 1)[None].double() / 127.5 - 1)
                for band in bands
            )  # (1, 3, rows, W)
            total += float((x - y)[0, 1:].norm(dim=0).sum())
        return total / output[..., 0].size


class SSIM(PairMeasure):
    """Structural similarity, over windows that lie inside the picture.

    Source: Wang et al. 2004, doi:10.1109/TIP.2003.819861, eq. 13, with its constants and window.
    """

    window: ClassVar[int] = 11
    title = "SSIM"
    protocol = (
        f"range 255, Gaussian window {window}×{window}, deviation 1.5, "
        f"inside the picture only (kornia {version('kornia')})"
    )

    def value(self, output: Pixels, target: Pixels) -> float:
        height, width = output.shape[:2]
        if min(height, width) < self.window:
            raise TranslateError(f"{width}×{height} is smaller than the window of SSIM")
        # In doubles, which MPS has none of: the variance of a flat part is a small difference of
        # large numbers.
        device = torch.device("cpu") if self.device.type == "mps" else self.device
        around = self.window - 1
        total, count = 0.0, 0
        for top in range(0, height - around, _BAND_ROWS):
            rows = slice(top, top + _BAND_ROWS + around)
            x, y = (
                torch.from_numpy(p[rows]).permute(2, 0, 1)[None].double().to(device)
                for p in (output, target)
            )  # (1, 3, rows, W)
            values = kornia.metrics.ssim(x, y, self.window, max_val=_RANGE, padding="valid")
            total, count = total + float(values.sum()), count + values.numel()
        return total / count
