"""What is made of photographs: greys and edges as inputs, and one colour for all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from translate import TranslateError
from translate.pipeline import lab_to_rgb, rgb_to_lab

Baseline = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # (H, W, 3) in [0, 255], both
CONSTANT = "constant colour: their own mean, which a model does not know"

_BAND_ROWS = 256  # of a large photograph at once, so that few floats are held
_TASTED = 100  # photographs that tell the mean colour
_TASTED_SIDE = 256  # about as many of their rows and columns


def as_grey(images: Tensor) -> Tensor:
    """Return the greys (N, 1, H, W) in [-1, 1] that are as light as images (N, C, H, W)."""
    if images.shape[1] == 1:
        return images
    lab = rgb_to_lab(images)
    return lab_to_rgb(torch.cat([lab[:, :1], torch.zeros_like(lab[:, 1:])], 1))[:, :1]


def as_edges(images: Tensor) -> Tensor:
    """Return Canny's edges (N, 1, H, W) of images in [-1, 1]: black (-1) lines on white (1).

    Source: Canny 1986; the lines are what kornia finds with its usual thresholds.
    """
    from kornia.filters import canny

    _, edges = canny((images + 1) / 2)
    drawn: Tensor = 1 - 2 * edges
    return drawn


def grey_of(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the grey (H, W, 1) of a photograph (H, W, C), both uint8."""
    return _by_bands(pixels, as_grey).round().astype(np.uint8)


def edges_of(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the edges (H, W, 1) of a photograph (H, W, C), both uint8."""
    return _pixels(as_edges(_images(pixels))).round().astype(np.uint8)


def colour_baselines(
    photographs: Sequence[Callable[[], NDArray[np.uint8]]],
) -> Mapping[str, Baseline]:
    """Return what colours of greys are measured beside, for photographs (H, W, 3)."""
    return {"grey": unchanged, "constant colour": ConstantColour(photographs)}


def unchanged(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the input as it is."""
    return pixels


class ConstantColour:
    """Gives every pixel its own lightness and one colour: the mean one of some photographs.

    Args:
        photographs: give (H, W, 3) uint8; some hundred of them are looked at, when first needed.
    """

    def __init__(self, photographs: Sequence[Callable[[], NDArray[np.uint8]]]) -> None:
        self._photographs = photographs[:: max(1, len(photographs) // _TASTED)]

    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (H, W, 3) in [0, 255] of (H, W, 3) in [0, 255]."""
        return _by_bands(pixels, self._coloured)

    def _coloured(self, images: Tensor) -> Tensor:
        lightness = rgb_to_lab(images)[:, :1]
        return lab_to_rgb(
            torch.cat([lightness, self._colour.expand(-1, *lightness.shape[2:])[None]], 1)
        )

    @cached_property
    def _colour(self) -> Tensor:
        """The mean (a, b) of the photographs, each of which counts the same: (2, 1, 1)."""
        found = []
        for photograph in self._photographs:
            try:
                pixels = photograph()
            except TranslateError:
                continue  # it is reported as the target that it is
            step = max(1, math.isqrt(pixels.shape[0] * pixels.shape[1]) // _TASTED_SIDE)
            found.append(rgb_to_lab(_images(pixels[::step, ::step]))[0, 1:].mean((1, 2)))
        return torch.stack(found or [torch.zeros(2)]).mean(0)[:, None, None]


def _by_bands(pixels: NDArray[Any], make: Callable[[Tensor], Tensor]) -> NDArray[np.float32]:
    """Return what ``make`` gives for each pixel by itself: (H, W, C') in [0, 255]."""
    starts = range(0, len(pixels), _BAND_ROWS)
    bands = [_pixels(make(_images(pixels[top : top + _BAND_ROWS]))) for top in starts]
    return np.concatenate(bands)


def _images(pixels: NDArray[Any]) -> Tensor:
    """Return (1, C, H, W) in [-1, 1] of (H, W, C) in [0, 255]."""
    values = np.ascontiguousarray(pixels, dtype=np.float32)
    return torch.from_numpy(values).permute(2, 0, 1)[None] / 127.5 - 1


def _pixels(images: Tensor) -> NDArray[np.float32]:
    """Return (H, W, C) in [0, 255] of (1, C, H, W) in [-1, 1]."""
    return np.asarray(((images[0] + 1) * 127.5).permute(1, 2, 0), dtype=np.float32)
