"""What is wrong with a picture, and how much: drawn for each sample from its seed alone.

Source: Wang et al. 2021, arXiv:2107.10833, sections 3.1 and 3.2, with the ranges of 4.1.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from translate.pipeline import draws
from translate_datasets.kernels import RADIUS, bell_kernels, point_kernels, sinc_kernels
from translate_datasets.resampling import WAYS

Fault = Literal["blur", "resize", "noise", "compression", "ringing"]

_SMALLEST_RADIUS = 3  # of a kernel, in pixels
_NARROWEST = 0.2  # a blur's deviation in pixels, which is next to none
_LONG = 0.3  # share of the blurs that are longer than wide
_POINTED, _FLAT = 0.15, 0.15  # shares of them that are no Gaussians
_RINGING = 0.1  # share of the blurs that ring instead
_COLOURED = 0.6  # share of the noises; the others are grey
_BEST_QUALITY, _WORST_QUALITY = 95, 30
_BLUR, _RESIZE, _NOISE, _GRAIN, _CODEC = range(5)  # streams of random numbers


@dataclass(frozen=True)
class Ranges:
    """What one round of faults is drawn from, at full strength.

    Attributes:
        blurred: chance of a blur.
        deviation: of the widest blur, in pixels.
        shrunk, enlarged: chances of either; else the size stays.
        smallest, largest: factors of the size.
        noise: largest deviation, in 8-bit steps.
        photons: largest deviation of white where noise grows with the light, in the same.
    """

    blurred: float
    deviation: float
    shrunk: float
    enlarged: float
    smallest: float
    largest: float
    noise: float
    photons: float


FIRST = Ranges(1.0, 3.0, 0.7, 0.2, 0.15, 1.5, 30.0, 48.0)
SECOND = Ranges(0.8, 1.5, 0.4, 0.3, 0.3, 1.2, 25.0, 40.0)


class Faults:
    """Draws one round of faults.

    Args:
        ranges: what they are drawn from.
        strength: the share of the ranges that is used; at 0 there are no faults.
        without: faults that there are none of.
        stream: the first of five numbers that set the round's random numbers apart.
    """

    def __init__(
        self, ranges: Ranges, strength: float, without: Collection[Fault], *, stream: int
    ) -> None:
        self.ranges, self._stream = ranges, stream
        self.of = {one: 0.0 if one in without else strength for one in get_args(Fault)}

    def kernels(self, seeds: Tensor) -> Tensor:
        """Return what blurs each sample, some by ringing and some not at all: (N, 21, 21)."""
        chance = draws(seeds, 10, self._stream + _BLUR)
        still = points = point_kernels(len(seeds))
        radii = self.radii(chance[:, 0])
        if self.of["blur"]:
            still = self._bells(chance[:, 1:7], radii)
        if self.of["ringing"]:
            rings = sinc_kernels(self.cutoffs(chance[:, 7]), radii)
            still = torch.where(_where(chance[:, 8] < _RINGING), rings, still)
        return torch.where(_where(chance[:, 9] < self.ranges.blurred), still, points)

    def _bells(self, chance: Tensor, radii: Tensor) -> Tensor:
        """Return blurs (N, 21, 21) by numbers (N, 6) in [0, 1)."""
        span = max(0.0, self.ranges.deviation * self.of["blur"] - _NARROWEST)
        deviations = _NARROWEST + span * chance[:, :2]
        long = chance[:, 2] < _LONG
        deviations[:, 1] = torch.where(long, deviations[:, 1], deviations[:, 0])
        angles, shape, amount = math.pi * chance[:, 3], chance[:, 4], chance[:, 5]
        flat = shape >= 1 - _FLAT
        # Half to four times the square for the pointed, one to two times it for the flat.
        powers = torch.where(shape < _POINTED, 0.5 * 8**amount, torch.ones_like(amount))
        return bell_kernels(deviations, angles, torch.where(flat, 1 + amount, powers), flat, radii)

    def radii(self, chance: Tensor) -> Tensor:
        """Return radii of kernels, in whole pixels, by numbers (N,) in [0, 1)."""
        return _SMALLEST_RADIUS + ((RADIUS + 1 - _SMALLEST_RADIUS) * chance).long()

    def cutoffs(self, chance: Tensor) -> Tensor:
        """Return where what rings cuts frequencies off, in radians a pixel, by numbers (N,)."""
        return math.pi * (1 - 2 / 3 * self.of["ringing"] * chance)

    def sizes(self, seeds: Tensor, side: int) -> tuple[list[int], list[str]]:
        """Return the sides that squares of ``side`` get, and how they are brought there."""
        chance, r = draws(seeds, 3, self._stream + _RESIZE), self.ranges
        smaller, larger = chance[:, 0] < r.shrunk, chance[:, 0] >= 1 - r.enlarged
        reach = torch.where(smaller, r.smallest - 1, r.largest - 1) * chance[:, 1]
        factors = 1 + self.of["resize"] * torch.where(smaller | larger, reach, 0.0)
        return [max(1, round(side * factor)) for factor in factors.tolist()], ways(chance[:, 2])

    def noisy(self, images: Tensor, seeds: Tensor) -> Tensor:
        """Return images (N, 3, H, W) in [0, 1] with noise: alike everywhere, or as light makes it.

        Of light it is Poisson's, drawn as the normal one of the same deviation: rounded to 8 bits
        they look the same, and this one is the same on every device.
        """
        if not self.of["noise"]:
            return images
        chance = draws(seeds, 3, self._stream + _NOISE).to(images.device)
        of_light, coloured, amount = chance[..., None, None, None].unbind(1)
        grain = _grain(seeds, self._stream + _GRAIN, images.shape[1:]).to(images.device)
        grain = torch.where(coloured < _COLOURED, grain, grain[:, :1])
        light = torch.where(coloured < _COLOURED, images, images.mean(1, keepdim=True))
        alike = torch.full_like(light, self.ranges.noise)
        growing = self.ranges.photons * light.clamp(min=1e-6).sqrt()  # a slope even where it is 0
        deviations = torch.where(of_light < 0.5, growing, alike)
        return (images + grain * deviations * self.of["noise"] * amount / 255).clamp(0, 1)

    def qualities(self, seeds: Tensor) -> Tensor | None:
        """Return JPEG's quality for each sample, (N,) whole numbers; None: no JPEG."""
        if not self.of["compression"]:
            return None
        worst = _BEST_QUALITY - (_BEST_QUALITY - _WORST_QUALITY) * self.of["compression"]
        chance = draws(seeds, 1, self._stream + _CODEC)[:, 0]
        return (worst + (_BEST_QUALITY - worst) * chance).round()


def ways(chance: Tensor) -> list[str]:
    """Return ways of resizing by numbers (N,) in [0, 1)."""
    return [WAYS[place] for place in (len(WAYS) * chance).long().tolist()]


def _where(which: Tensor) -> Tensor:
    return which[:, None, None]


def _grain(seeds: Tensor, stream: int, shape: torch.Size) -> Tensor:
    """Return normal noise (N, *shape), row i of ``seeds[i]`` and ``stream`` alone."""
    rows = [
        np.random.default_rng((int(seed), stream)).standard_normal(tuple(shape), dtype=np.float32)
        for seed in seeds
    ]
    return torch.from_numpy(np.stack(rows))
