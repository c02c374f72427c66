"""What of two pictures is compared: all colours, luma alone, or colours without their lightness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from translate.pipeline import rgb_to_lab

Pixels = NDArray[np.float32]  # (H, W, 3) in [0, 255]

_LUMA = np.array([65.481, 128.553, 24.966]) / 255  # of red, green and blue


@dataclass(frozen=True, eq=False)
class Space:
    """A way to see a picture, pixel by pixel.

    Attributes:
        suffix: of the name of a number that is taken in it.
        described: in the protocol's words.
        seen: (H, W, 3) in [0, 255] to (H, W, C).
    """

    suffix: str
    described: str
    seen: Callable[[Pixels], NDArray[np.floating]]


def luma(pixels: Pixels) -> Pixels:
    """Return the luma (H, W, 1) of (H, W, 3) in [0, 255]: whole numbers in [16, 235].

    Y = 16 + (65.481 R + 128.553 G + 24.966 B) / 255, rounded as MATLAB's rgb2ycbcr rounds it of
    8 bits, which the figures of papers are taken with.

    Source: ITU-R BT.601-7, sections 2.5.1 and 2.5.3.
    """
    y = np.rint(16 + pixels.astype(np.float64) @ _LUMA)
    return y[..., None].astype(np.float32)


def _lab_colours(pixels: Pixels) -> NDArray[np.float64]:
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None].double() / 127.5 - 1
    return np.asarray(rgb_to_lab(images)[0, 1:].permute(1, 2, 0))


RGB = Space("", "RGB", lambda pixels: pixels)
LUMA = Space(" Y", "luma Y of ITU-R BT.601 in [16, 235], rounded", luma)
AB_OF_LAB = Space("", "CIE Lab of sRGB, white D65", _lab_colours)
