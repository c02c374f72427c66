"""Drawing a scene: digits of somebody's handwriting, cut out, coloured and put on a ground."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from translate_datasets.scene import COLOURS, GROUNDS, SIZES, Scene

Grey = NDArray[np.uint8]  # (H, W): a digit, bright on black
Cover = NDArray[np.float32]  # (H, W) in [0, 1]: how much of a pixel a digit covers

_INK = 64  # the least grey that belongs to a digit
_GAIN = 1.6  # thin lines get pale when they are made small, and their colour with them
_TRIES = 20  # digits that are looked at, to find one that is in one piece


def draw(scene: Scene, pick: Callable[[float], Grey], size: int, seed: int) -> NDArray[np.uint8]:
    """Return a picture (size, size, 3) of a scene.

    A single digit is anywhere; of several, each is in a quarter of its own, so that none touch.

    Args:
        pick: gives a handwritten digit of the scene's kind for a number in [0, 1).
        size: of the sides, 32 or more.
        seed: which digits, and where.
    """
    rng = np.random.default_rng(seed)
    ground, colour = (
        np.array(c, np.float32) for c in (GROUNDS[scene.ground], COLOURS[scene.colour])
    )
    cover = np.zeros((size, size), np.float32)
    half = size // 2
    places = [(0, 0, size)]
    if scene.count > 1:
        quarters = rng.permutation(4)[: scene.count].tolist()
        places = [(quarter // 2 * half, quarter % 2 * half, half) for quarter in quarters]
    height = round(SIZES[scene.size] * size)
    for top, left, side in places:
        digit = _in_one_piece(pick, height, rng)
        free = side - 1 - np.array(digit.shape)  # a pixel stays free all around
        down, right = (
            1 + int(chance * room) for chance, room in zip(rng.random(2), free, strict=True)
        )
        cover[top + down :, left + right :][: digit.shape[0], : digit.shape[1]] = digit
    pixels = ground + cover[..., None] * (colour - ground)
    return np.asarray(pixels.round(), dtype=np.uint8)


def _in_one_piece(pick: Callable[[float], Grey], height: int, rng: np.random.Generator) -> Cover:
    """Return a digit that would not be counted twice."""
    for _ in range(_TRIES):
        digit = cut_out(pick(rng.random()), height)
        pieces, _ = cv2.connectedComponents((digit > 0.5).astype(np.uint8))
        if pieces == 2:  # the first is all that is free
            break
    return digit


def cut_out(grey: Grey, height: int) -> Cover:
    """Return a digit that fills this height, and no more than that in width."""
    rows, columns = (np.flatnonzero((grey >= _INK).any(axis)) for axis in (1, 0))
    if not len(rows):
        return np.zeros((height, height), np.float32)
    part = grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    width = min(height, max(2, round(part.shape[1] * height / part.shape[0])))
    how = cv2.INTER_AREA if height < part.shape[0] else cv2.INTER_LINEAR
    small = cv2.resize(part, (width, height), interpolation=how)
    return np.asarray(np.clip(small * (_GAIN / 255), 0, 1), dtype=np.float32)
