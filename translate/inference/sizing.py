"""Working size: a large picture is translated small, and only the change is brought back large."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

_BAND_ROWS = 256  # rows composed at once, so that no whole picture of floats is ever held


def working_shape(height: int, width: int, size: int | None) -> tuple[int, int]:
    """Return the (height, width) to translate at: at most ``size``² pixels, same proportions.

    Pixels are counted, not sides, because that is what bounds time and memory, and because
    square training pictures were squeezed from oblong ones.
    """
    if size is None or height * width <= size * size:
        return height, width
    scale = size / math.sqrt(height * width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def shrink(pixels: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Return (H, W, C) integer pixels at a smaller (height, width), by area averages."""
    if pixels.shape[:2] == shape:
        return pixels
    small = cv2.resize(pixels, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(small).reshape(*shape, pixels.shape[2])


def apply_change(pixels: NDArray[Any], change: Tensor) -> NDArray[Any]:
    """Return integer pixels with a change that was made at a smaller size.

    The picture keeps its own detail: the change alone is enlarged (bicubic), and added.

    Args:
        pixels: (H, W, C) uint8 or uint16.
        change: (C, h, w) float in [-2, 2], where 2 is the whole range of ``pixels``.
    """
    height, width = pixels.shape[:2]
    top = np.iinfo(pixels.dtype).max
    rows, columns = (_enlarging(change.shape[1], height), _enlarging(change.shape[2], width))
    wide = (change.float() * (top / 2)) @ columns.T  # (C, h, W)
    out = np.empty_like(pixels)
    for start in range(0, height, _BAND_ROWS):
        band = slice(start, start + _BAND_ROWS)
        added = (rows[band] @ wide).permute(1, 2, 0).numpy()  # (rows, W, C)
        out[band] = np.clip(np.rint(added + pixels[band]), 0, top)
    return out


def _enlarging(small: int, large: int) -> Tensor:
    """Return the (large, small) matrix of bicubic interpolation along one side."""
    unit = torch.eye(small)[None, None]  # (1, 1, small, small)
    return F.interpolate(unit, size=(large, small), mode="bicubic", align_corners=False)[0, 0]
