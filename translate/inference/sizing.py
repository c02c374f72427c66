"""Working size: a large picture is translated small, and what was made is brought back large."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from translate.pipeline.lab import lab_to_rgb, rgb_to_lab

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


def enlarge(pixels: NDArray[Any], output: Tensor) -> NDArray[Any]:
    """Return an output at the size and depth of ``pixels``, of which nothing is kept.

    Args:
        pixels: (H, W, C) uint8 or uint16.
        output: (C', h, w) float in [-1, 1].
    """
    nothing = np.zeros((*pixels.shape[:2], len(output)), pixels.dtype)
    return apply_change(nothing, output + 1)


def keep_lightness(pixels: NDArray[Any], output: Tensor) -> NDArray[Any]:
    """Return integer pixels in the colours that an output has at a smaller size.

    Each pixel's lightness stays what it was. Colours are enlarged bilinearly, a band of rows at
    a time, so that the picture is never whole in floats.

    Args:
        pixels: (H, W, 3) uint8 or uint16.
        output: (3, h, w) float in [-1, 1].
    """
    height, width = pixels.shape[:2]
    top = int(np.iinfo(pixels.dtype).max)
    small = rgb_to_lab(output[None].float())[0, 1:].permute(1, 2, 0).numpy()  # (h, w, 2)
    wide = cv2.resize(np.ascontiguousarray(small), (width, len(small)))  # bilinear
    colours = torch.from_numpy(np.asarray(wide).reshape(len(small), width, 2)).permute(2, 0, 1)
    out = np.empty_like(pixels)
    for start in range(0, height, _BAND_ROWS):
        rows = torch.arange(start, min(start + _BAND_ROWS, height))
        place = ((rows + 0.5) * len(small) / height - 0.5).clamp(0, len(small) - 1)
        above = place.long()
        below = (above + 1).clamp(max=len(small) - 1)
        share = (place - above)[:, None]
        ab = torch.lerp(colours[:, above], colours[:, below], share)  # (2, rows, W)
        band = torch.from_numpy(pixels[start : start + _BAND_ROWS].astype(np.float32))
        lightness = rgb_to_lab(band.permute(2, 0, 1)[None] / (top / 2) - 1)[0, :1]
        made = lab_to_rgb(torch.cat([lightness, ab])[None])[0].permute(1, 2, 0)
        out[start : start + _BAND_ROWS] = ((made + 1) * (top / 2)).round().numpy()
    return out
