"""Cutting samples out of pictures: where, and how; on the CPU, or where the picture lies."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import torch.nn.functional as F
from torch import Tensor

Box = tuple[int, int, int, int]  # top, left, height, width
_TRIES = 10


def random_box(height: int, width: int, size: int, seed: int) -> Box:
    """Return a square of ``size`` at a random place of a picture that is no smaller."""
    down, right = np.random.default_rng(seed).random(2)
    return int(down * (height - size + 1)), int(right * (width - size + 1)), size, size


def zoom_box(
    height: int, width: int, seed: int, *, share: float, ratio: tuple[float, float] = (0.8, 1.25)
) -> Box:
    """Return a random part of a picture: at least ``share`` of its area, sides in ``ratio``.

    Source: the crops of Szegedy et al. 2014, arXiv:1409.4842, section 6.
    """
    numbers = np.random.default_rng(seed).random((_TRIES, 4))
    low, high = (math.log(side) for side in ratio)
    for area_at, ratio_at, down, right in numbers.tolist():
        area = (share + (1 - share) * area_at) * height * width
        proportion = math.exp(low + (high - low) * ratio_at)
        h, w = round(math.sqrt(area / proportion)), round(math.sqrt(area * proportion))
        if 0 < h <= height and 0 < w <= width:
            return int(down * (height - h + 1)), int(right * (width - w + 1)), h, w
    return 0, 0, height, width


def cut(
    pixels: Any, box: Box, size: int | tuple[int, int] | None = None, *, nearest: bool = False
) -> Any:
    """Return a part of (H, W, C) uint8, resized to ``size`` (or height and width) if given.

    A tensor is cut and resized where it lies. ``nearest`` mixes no colours: for labels.
    """
    top, left, height, width = box
    part = pixels[top : top + height, left : left + width]
    shape = (size, size) if isinstance(size, int) else size
    if shape is None or (height, width) == shape:
        return part
    if isinstance(part, Tensor):
        planes = part.permute(2, 0, 1)[None].float()
        how = {"mode": "nearest-exact"} if nearest else {"mode": "bicubic", "antialias": True}
        resized = F.interpolate(planes, shape, **how)
        return resized[0].round().clamp(0, 255).to(part.dtype).permute(1, 2, 0)
    smaller = height > shape[0] and width > shape[1]
    how_cv = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    how_cv = cv2.INTER_NEAREST_EXACT if nearest else how_cv
    return cv2.resize(part, shape[::-1], interpolation=how_cv).reshape(*shape, -1)
