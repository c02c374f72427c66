"""The same small part of each picture of a row: what enlarging is looked at by."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from PIL import Image

from translate.evaluation.measure import Comparison, Pixels

_SIDE = 128  # of a part, in the output's pixels
_ZOOM = 2  # each of which is shown as so many


def crops(comparison: Comparison, others: Mapping[str, Pixels]) -> dict[str, Image.Image]:
    """Return the part of input, other outputs, output and target where they tell most, by title.

    That is where the output differs most from the first of the others, or else from the target.
    All pixels stay square: the input's are as much larger as it is smaller.

    Args:
        others: what other ways made of the same input, as large as the output.
    """
    output, source, target = comparison.output, comparison.source, comparison.target
    scale = 1 if source is None else len(output) // len(source)
    height, width = (min(side, _SIDE) // scale * scale for side in output.shape[:2])
    beside = next((one for one in (*others.values(), target) if one is not None), output)
    top, left = _most_different(output, beside, (height, width), scale)
    shown = {**others, "output": output} | ({} if target is None else {"target": target})
    rows, columns = slice(top, top + height), slice(left, left + width)
    parts = {title: (pixels[rows, columns], _ZOOM) for title, pixels in shown.items()}
    if source is not None:
        small = source[top // scale :, left // scale :][: height // scale, : width // scale]
        parts = {"input": (small, _ZOOM * scale), **parts}
    return {title: _enlarged(part, times) for title, (part, times) in parts.items()}


def _most_different(x: Pixels, y: Pixels, shape: tuple[int, int], step: int) -> tuple[int, int]:
    """Return the top left corner of the part of ``shape`` in which x and y differ most, in all.

    It is a multiple of ``step``, so that the part is one of whole input pixels.
    """
    height, width = shape
    total = cv2.integral(cv2.absdiff(x, y).sum(axis=2))  # (H + 1, W + 1), in doubles
    bottom, top = total[height::step], total[:-height:step]
    sums = bottom[:, width::step] - bottom[:, :-width:step]
    sums -= top[:, width::step] - top[:, :-width:step]
    row, column = np.unravel_index(np.argmax(sums), sums.shape)
    return int(row) * step, int(column) * step


def _enlarged(pixels: Pixels, times: int) -> Image.Image:
    whole = np.rint(pixels).clip(0, 255).astype(np.uint8)
    return Image.fromarray(whole.repeat(times, axis=0).repeat(times, axis=1))
