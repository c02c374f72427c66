"""Working size: a large picture is translated small, and only the change is brought back large."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

_BAND_ROWS = 256  # rows composed at once, so that few floats are held beside the integers


def working_shape(height: int, width: int, size: int | None) -> tuple[int, int]:
    """Return the (height, width) to translate at: about ``size``² pixels, same proportions.

    Pixels are counted, not sides, because that is what bounds time and memory, and because
    square training pictures were squeezed from oblong ones. The thinnest of strips is shortened
    further, since no side falls below one pixel.
    """
    if size is None or height * width <= size * size:
        return height, width
    scale = size / math.sqrt(height * width)
    rows, columns = round(height * scale), round(width * scale)
    if rows < 1 or columns < 1:
        return min(max(rows, 1), size * size), min(max(columns, 1), size * size)
    return rows, columns


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
    out = np.empty_like(pixels)
    for channel, small in enumerate((change.float() * (top / 2)).numpy()):
        large = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))
        for start in range(0, height, _BAND_ROWS):
            band = slice(start, start + _BAND_ROWS)
            total = np.rint(large[band] + pixels[band, :, channel])
            out[band, :, channel] = total.clip(0, top)
    return out
