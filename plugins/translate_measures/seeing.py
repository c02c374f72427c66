"""What a picture of a scene shows, as far as it can be told without reading its digits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from translate_datasets.scene import COLOURS, GROUNDS, SIZES, Colour

Pixels = NDArray[np.float32]  # (H, W, 3) in [0, 255]
Box = tuple[int, int, int, int]  # left, top, width, height

CROP = 24  # pixels of the sides of a digit's crop
_DIGIT = 20  # of its longer side there
_FAINT = 40.0  # the least distance from the ground's colour, in RGB, that shows
_EDGE = 0.4  # the share of the greatest distance from which on a pixel belongs to a digit
_CORE = 0.8  # and from which on it has the digit's own colour
_SPECK = 8 / 32**2  # the share of a picture that is too small for a digit


@dataclass(frozen=True, eq=False)
class Sight:
    """What is seen.

    Attributes:
        ground: the name of the nearest colour.
        count: of digits.
        colour, size: the names of the nearest ones; None where there is no digit.
        crops: (count, CROP, CROP) uint8, each digit bright on black.
    """

    ground: str
    count: int
    colour: str | None
    size: str | None
    crops: NDArray[np.uint8]


def look(pixels: Pixels) -> Sight:
    """Return what a picture shows.

    The ground is the median of the outermost pixels. What differs from it clearly are digits, one
    for each piece that is no speck. Their colour is the median of what differs most, their size
    that of the median height.
    """
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    ground = np.median(border, axis=0)
    distance = np.linalg.norm(pixels - ground, axis=2)
    most = np.quantile(distance, 1 - _SPECK / 2)
    share = (distance / max(most, _FAINT)).clip(0, 1)  # (H, W): how much of a pixel is digit
    pieces, boxes = _pieces(share)
    if not boxes:
        return Sight(_nearest(ground, GROUNDS), 0, None, None, np.zeros((0, CROP, CROP), np.uint8))
    inside = np.where(np.isin(pieces, list(boxes)), share, 0)
    core = pixels[inside >= _CORE * inside.max()]  # pale digits have one, too
    height = float(np.median([box[3] for box in boxes.values()])) / len(pixels)
    return Sight(
        _nearest(ground, GROUNDS),
        len(boxes),
        _nearest(np.median(core, axis=0), COLOURS),
        min(SIZES, key=lambda name: abs(SIZES[name] - height)),
        np.stack([_crop(share, pieces, label, box) for label, box in boxes.items()]),
    )


def _pieces(share: NDArray[np.float32]) -> tuple[NDArray[np.int32], dict[int, Box]]:
    """Return which piece each pixel (H, W) belongs to, and the box of each that is no speck."""
    mask = (share >= _EDGE).astype(np.uint8)
    _, pieces, found, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    least = _SPECK * share.size
    boxes = {
        label: (left, top, width, height)
        for label, (left, top, width, height, area) in enumerate(found.tolist())
        if label and area >= least  # the first is the ground
    }
    return np.asarray(pieces, dtype=np.int32), boxes


def _crop(
    share: NDArray[np.float32], pieces: NDArray[np.int32], label: int, box: Box
) -> NDArray[np.uint8]:
    left, top, width, height = box
    inside = np.s_[top : top + height, left : left + width]
    alone = np.where(np.isin(pieces[inside], (0, label)), share[inside], 0)
    scale = _DIGIT / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    digit = cv2.resize(alone.astype(np.float32) * 255, size, interpolation=how)
    crop = np.zeros((CROP, CROP), np.uint8)
    down, right = (CROP - size[1]) // 2, (CROP - size[0]) // 2
    crop[down : down + size[1], right : right + size[0]] = digit.round()
    return crop


def _nearest(colour: NDArray[np.float32], names: Mapping[str, Colour]) -> str:
    return min(names, key=lambda name: float(np.linalg.norm(colour - np.array(names[name]))))
