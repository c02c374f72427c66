"""Comparing pictures band by band, so that fine texture counts beside colour and layout."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from translate.losses.precision import wide


def frequency_bands(images: Tensor, count: int) -> list[Tensor]:
    """Return a Laplacian pyramid: ``count`` - 1 bands from fine to coarse, and what is left.

    Args:
        images: (N, C, H, W) with sides of at least 2^(count - 1).
        count: at least 1.

    Returns:
        Tensors whose sides halve from one to the next; resizing and adding them gives the images.

    Source: Burt and Adelson 1983, with 2×2 means as the low-pass filter.
    """
    bands = []
    for _ in range(count - 1):
        low = F.avg_pool2d(images, 2, ceil_mode=True)
        bands.append(images - _resize(low, images))
        images = low
    return [*bands, images]


def band_distance(x: Tensor, y: Tensor, weights: Sequence[float]) -> Tensor:
    """Return the weighted sum of the bands' mean absolute differences, a scalar.

    Args:
        x, y: (N, C, H, W), same shape.
        weights: one a band, fine to coarse.
    """
    bands = frequency_bands(wide(x) - wide(y), len(weights))
    terms = [w * band.abs().mean() for w, band in zip(weights, bands, strict=True)]
    return torch.stack(terms).sum()


def _resize(low: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(low, size=like.shape[-2:], mode="bilinear", align_corners=False)
