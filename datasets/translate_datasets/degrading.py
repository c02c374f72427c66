"""Low resolution as the world makes it: blurred, resized, noisy and compressed, and that twice.

The first round is done in the reader's threads, at any size and with a real codec; the second on
the device, a batch at once and differentiable.

Source: Wang et al. 2021, arXiv:2107.10833, sections 3.2 and 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import cv2
import numpy as np
import torch
from albumentations.augmentations.pixel import functional as pixelwise
from kornia.enhance import jpeg_codec_differentiable
from kornia.filters import filter2d
from numpy.typing import NDArray
from torch import Tensor

from translate.pipeline import draws
from translate_datasets.faults import FIRST, SECOND, Fault, Faults, ways
from translate_datasets.kernels import RADIUS, point_kernels, sinc_kernels
from translate_datasets.resampling import matrices, resampled

Pixels = NDArray[np.uint8]

_INTERPOLATIONS = {
    "area": cv2.INTER_AREA,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
}
_FIRST, _SECOND, _BACK, _END = 1, 6, 11, 12  # streams of random numbers
_RINGING = 0.8  # share of the samples that ring at the end
_NOTHING = 1e-3  # a kernel's rim that weighs less does not show


class Degradation:
    """Makes low resolution of high, in two rounds of faults.

    Args:
        strength: 1 is as published, 0 has no faults.
        without: faults that there are none of.
    """

    def __init__(self, strength: float = 1.0, without: Collection[Fault] = ()) -> None:
        self._first = Faults(FIRST, strength, without, stream=_FIRST)
        self._second = Faults(SECOND, strength, without, stream=_SECOND)

    def first(self, pixels: Pixels, seed: int, side: int) -> Pixels:
        """Return a square (S, S, 3) after the first round, brought to (side, side, 3)."""
        seeds, faults = torch.tensor([seed]), self._first
        pixels = pixelwise.convolve(pixels, _trimmed(faults.kernels(seeds)[0].numpy()))
        [size], [way] = faults.sizes(seeds, len(pixels))
        pixels = _resized(pixels, size, way)
        image = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
        noisy = (faults.noisy(image, seeds)[0] * 255).round().to(torch.uint8)
        pixels = noisy.permute(1, 2, 0).numpy()
        qualities = faults.qualities(seeds)
        if qualities is not None:
            # The codec takes the first channel for blue.
            coded = pixelwise.image_compression(pixels[..., ::-1], int(qualities[0]), ".jpg")
            pixels = np.ascontiguousarray(coded[..., ::-1])
        [way] = ways(draws(seeds, 1, _BACK)[:, 0])
        return _resized(pixels, side, way)

    def second(self, images: Tensor, seeds: Tensor, side: int) -> Tensor:
        """Return images after the second round, differentiable.

        Args:
            images: squares (N, 3, S, S) in [0, 1] after the first round, S above 10.
            seeds: (N,) of the samples.
            side: of the low resolution.

        Returns:
            (N, 3, side, side) in [0, 1], not rounded to 8 bits.
        """
        faults, chance = self._second, draws(seeds, 5, _END)
        x = _filtered(images, faults.kernels(seeds))
        sizes, there = faults.sizes(seeds, side)
        # One canvas for all sizes, so that a sample is the same in any batch.
        canvas = math.ceil(side * faults.ranges.largest)
        whole, back = [images.shape[-1]] * len(sizes), [side] * len(sizes)
        x = resampled(x, matrices(whole, sizes, there, (canvas, images.shape[-1]))).clamp(0, 1)
        x = faults.noisy(x, seeds)
        early = chance[:, 0] < 0.5
        x = self._compressed(x, seeds, early)
        x = resampled(x, matrices(sizes, back, ways(chance[:, 1]), (side, canvas))).clamp(0, 1)
        x = _filtered(x, self._last_rings(chance[:, 2:]))
        return self._compressed(x, seeds, ~early)

    def _compressed(self, images: Tensor, seeds: Tensor, which: Tensor) -> Tensor:
        """Return images, of which those that (N,) bools name have been through JPEG."""
        qualities = self._second.qualities(seeds)
        if qualities is None or not which.any():
            return images
        places = which.nonzero()[:, 0].to(images.device)
        wanted = qualities[which].to(images.device).double()
        # In doubles, since its steps would make much of what a batch's size does to last bits.
        coded = jpeg_codec_differentiable(images[places].double().contiguous(), wanted)
        return images.index_copy(0, places, coded.clamp(0, 1).to(images.dtype))

    def _last_rings(self, chance: Tensor) -> Tensor:
        """Return what rings at the end, (N, 21, 21), by numbers (N, 3) in [0, 1)."""
        points, faults = point_kernels(len(chance)), self._second
        if not faults.of["ringing"]:
            return points
        rings = sinc_kernels(faults.cutoffs(chance[:, 0]), faults.radii(chance[:, 1]))
        return torch.where((chance[:, 2] < _RINGING)[:, None, None], rings, points)


def _filtered(images: Tensor, kernels: Tensor) -> Tensor:
    """Return images in [0, 1], each convolved with its own kernel, mirrored at their borders."""
    filtered: Tensor = filter2d(images, kernels.to(images.device), "reflect")
    return filtered.clamp(0, 1)


def _resized(pixels: Pixels, side: int, way: str) -> Pixels:
    resized = cv2.resize(pixels, (side, side), interpolation=_INTERPOLATIONS[way])
    return np.asarray(resized, dtype=np.uint8)


def _trimmed(kernel: NDArray[Any]) -> NDArray[Any]:
    """Return a kernel without the rim of it that does not show: small ones are much faster."""
    weights = np.abs(kernel)
    for radius in range(1, RADIUS):
        inner = slice(RADIUS - radius, RADIUS + radius + 1)
        if weights.sum() - weights[inner, inner].sum() < _NOTHING:
            return np.ascontiguousarray(kernel[inner, inner] / kernel[inner, inner].sum())
    return kernel
