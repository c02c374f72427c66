"""Colours beneath transparency: nobody sees them, but what enlarges a picture mixes them in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_SEEN = 16 / 255  # alpha from which a colour is taken as it is; below, it has few bits if any
_BAND_ROWS = 256  # even, as one row of the next coarser level is two of this
_TINY = np.float32(1e-30)
_REACH = 5  # pixels, of the square in which alpha is looked at


def seen_colours(pixels: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Return pixels in which what is transparent has the colours that are seen nearby.

    Colours are weighted by their alpha and averaged over ever larger squares until something is
    seen (a pyramid); so what stands beneath full transparency has no say. What is seen well stays
    as it is. Only quarters of the picture and less are ever held in floats.

    Args:
        pixels: (H, W, C) uint8 or uint16.
        alpha: (H, W), of the same dtype.

    Source: Gortler et al. 1996, "The Lumigraph", section 3.4 (pull and push).
    """
    full = _SEEN * np.iinfo(alpha.dtype).max
    if alpha.min() >= full:
        return pixels
    height, width, channels = pixels.shape
    coarse = np.zeros((-(-height // 2), -(-width // 2), channels + 1), np.float32)
    for band in _bands(height):
        weight = _weight(alpha[band], full)
        sums = np.concatenate([pixels[band] * weight, weight], axis=2)  # (rows, W, C + 1)
        half = _halved(sums)
        coarse[band.start // 2 : band.start // 2 + len(half)] = half
    nearby = _doubled(np.rint(_everywhere(coarse)).astype(pixels.dtype), height, width)
    out = nearby
    for band in _bands(height):
        weight = _weight(alpha[band], full)
        other = out[band].astype(np.float32)
        out[band] = np.rint(other + weight * (pixels[band] - other))
    return out


def even(alpha: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where (H, W) alpha is the same in all of the square around a pixel."""
    square = np.ones((_REACH, _REACH), np.uint8)
    return np.asarray(cv2.erode(alpha, square) == cv2.dilate(alpha, square))


def _bands(height: int) -> Iterator[slice]:
    return (slice(top, min(top + _BAND_ROWS, height)) for top in range(0, height, _BAND_ROWS))


def _weight(alpha: NDArray[Any], full: float) -> Floats:
    """Return (rows, W, 1) in [0, 1]."""
    weight: Floats = np.minimum(alpha.astype(np.float32) / np.float32(full), 1)
    return weight[..., None]


def _everywhere(sums: Floats) -> Floats:
    """Return (h, w, C) colours of (h, w, C + 1) weighted colours and their weights."""
    weight = sums[..., -1:]
    own = np.asarray(sums[..., :-1] / np.maximum(weight, _TINY), np.float32)
    if max(weight.shape) == 1 or weight.min() >= 0.25:
        return own
    nearby = _doubled(_everywhere(_halved(sums)), *own.shape[:2])
    share = np.minimum(4 * weight, 1)
    return np.asarray(nearby + share * (own - nearby), np.float32)


def _halved(sums: Floats) -> Floats:
    """Return means over squares of two; what a last odd row or column lacks weighs nothing."""
    height, width, channels = sums.shape
    if height % 2 or width % 2:
        sums = np.pad(sums, [(0, height % 2), (0, width % 2), (0, 0)])
    size = (sums.shape[1] // 2, sums.shape[0] // 2)
    halved = np.asarray(cv2.resize(sums, size, interpolation=cv2.INTER_AREA), np.float32)
    return halved.reshape(size[1], size[0], channels)


def _doubled(values: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Return (h, w, C) values twice as large, bilinearly, cut to (height, width)."""
    rows, columns, channels = values.shape
    doubled = np.asarray(cv2.resize(values, (2 * columns, 2 * rows)))
    cut = doubled.reshape(2 * rows, 2 * columns, channels)[:height, :width]
    return np.ascontiguousarray(cut)
