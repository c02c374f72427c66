"""The sheet: rows of input, output and target, with their names, as one picture to look at."""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from translate.atomic import replacing
from translate.errors import UsageError
from translate.evaluation.crops import crops
from translate.evaluation.measure import Comparison, Pixels
from translate.files import show, system_reason

Order = Literal["first", "best", "worst"]

_CELL = 256  # pixels of a cell's longer side at most
_GAP = 4
_TEXT = 14
_LINE = _TEXT + 2 * _GAP


class Sheet:
    """Keeps the rows that belong on the sheet, small, and draws them.

    Args:
        rows: how many at most.
        order: the first ones, or those with the best or worst values.
        by: the measure whose values these are, written beside the names.
        cropped: show the same small part of each picture, large, and of other outputs, too.
    """

    def __init__(
        self,
        path: Path,
        *,
        rows: int,
        order: Order,
        by: str | None,
        larger_is_better: bool,
        cropped: bool = False,
    ) -> None:
        """Look whether the sheet can be written.

        Raises:
            UsageError: if it cannot.
        """
        if path.suffix.lower() != ".png":
            raise UsageError(f"--sheet {show(path)}: the sheet is a PNG; give a name with .png")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = system_reason(error)
            raise UsageError(f"--sheet {show(path)}: cannot be written: {reason}") from None
        self.path, self.rows, self.order, self.by = path, rows, order, by
        self.cropped = cropped
        self._sign = -1.0 if (order == "best") == larger_is_better else 1.0
        # Smallest first, by what to sort by; the number keeps equal ones in order.
        self._kept: list[tuple[float, int, str, dict[str, Image.Image]]] = []
        self._seen = 0

    def add(
        self,
        comparison: Comparison,
        values: Mapping[str, float],
        others: Mapping[str, Pixels] | None = None,
    ) -> None:
        """Take in an output with its values by measure, if it belongs there as far as is known.

        Args:
            others: what baselines made of the same input.
        """
        value = None if self.by is None else values.get(self.by)
        if self.order != "first" and value is None:
            return
        key = 0.0 if self.order == "first" or value is None else self._sign * value
        place = key, self._seen
        self._seen += 1
        if len(self._kept) == self.rows and place > self._kept[-1][:2]:
            return
        cells = crops(comparison, others or {}) if self.cropped else _whole(comparison)
        text = show(comparison.name)
        if value is not None:
            text += f"  {self.by} {value:.4g}"
        bisect.insort(self._kept, (*place, text, cells), key=lambda row: row[:2])
        del self._kept[self.rows :]

    def save(self) -> None:
        """Draw the rows and write them; nothing where there are none.

        Raises:
            TranslateError: if the file cannot be written.
        """
        if not self._kept:
            return
        rows = [(text, cells) for _, _, text, cells in self._kept]
        titles = max((tuple(cells) for _, cells in rows), key=len)
        width = max(cell.width for _, cells in rows for cell in cells.values()) + _GAP
        heights = [max(cell.height for cell in cells.values()) + _LINE + _GAP for _, cells in rows]
        sheet = Image.new("RGB", (len(titles) * width + _GAP, sum(heights) + _LINE), "white")
        draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_TEXT)
        for column, title in enumerate(titles):
            draw.text((column * width + _GAP, _GAP), title, "black", font)
        top = _LINE
        for (text, cells), height in zip(rows, heights, strict=True):
            draw.text((_GAP, top + _GAP), text, "black", font)
            for column, cell in enumerate(cells.values()):
                sheet.paste(cell, (column * width + _GAP, top + _LINE))
            top += height
        with replacing(self.path) as file:
            sheet.save(file, format="PNG")


def _whole(comparison: Comparison) -> dict[str, Image.Image]:
    """Return input, output and target, as far as there are, by title."""
    output, given, target = comparison.output, comparison.source, comparison.target
    cells = {} if given is None else {"input": _cell(given, output)}
    cells["output"] = _cell(output)
    return cells if target is None else {**cells, "target": _cell(target)}


def _cell(pixels: Pixels, like: Pixels | None = None) -> Image.Image:
    """Return pixels as large as ``like`` would be shown, never larger than a cell."""
    height, width = (pixels if like is None else like).shape[:2]
    scale = min(1.0, _CELL / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(np.rint(pixels).clip(0, 255).astype(np.uint8))
    if image.size == size:
        return image
    # A small input is shown in its own pixels.
    enlarged = image.width < size[0]
    return image.resize(size, Image.Resampling.NEAREST if enlarged else Image.Resampling.BOX)
