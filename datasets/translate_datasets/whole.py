"""The pairs that a model is tried on: read as in training, but whole."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from translate import Case, EvaluationSet
from translate_datasets.making import (
    CONSTANT,
    Baseline,
    colour_baselines,
    edges_of,
    grey_of,
    unchanged,
)
from translate_datasets.paired import Paired, PairedOptions, Pixels
from translate_datasets.pairing import held_out_pairs, held_out_pictures


class WholePairs(Paired):
    """Gives each pair once, of which nothing is cut, and nothing left to chance.

    Edges are made at the size that the model works at: they are lines of one pixel, which
    shrinking would blur.
    """

    def __init__(
        self, folders: Sequence[Path], options: PairedOptions, needs: Mapping[str, Any]
    ) -> None:
        drawn = options.pairs == "edges" and options.mode != "native"
        self.side = options.size if drawn else math.inf  # of a square with as many pixels at most
        find = held_out_pairs if options.pairs == "folders" else held_out_pictures
        # What has no partner is told to the host, which asks the user.
        whole = options.model_copy(update={"mode": "native", "allow_missing": True})
        super().__init__(find(folders), whole, needs)

    def tried(self) -> EvaluationSet:
        """Return every pair as a case."""
        return EvaluationSet(
            "pairs",
            [
                Case(
                    self._shown(file),
                    partial(self.whole, "a", file),
                    partial(self.whole, "b", file),
                )
                for file in self.files
            ],
            baselines=self.baselines,
            described=self.describe(),
            unmatched=self._missing,
        )

    def describe(self) -> str:
        o = self.options
        text = f"{len(self)} pairs of {' and '.join(map(str, self.folders))}"
        text += {"folders": "", "side-by-side": ", side by side"}.get(o.pairs, f", made {o.pairs}")
        if self.side < math.inf:
            text += f" at {self.side}×{self.side} pixels"
        if o.direction == "b2a":
            text += ", b to a"
        return text + (f"; {CONSTANT}" if "constant colour" in self.baselines else "")

    @property
    def baselines(self) -> Mapping[str, Baseline]:
        """What outputs are measured beside."""
        o = self.options
        if o.pairs == "grey" and o.direction == "a2b" and o.channels_b == 3:
            return colour_baselines([partial(self.whole, "b", file) for file in self.files])
        return {"input unchanged": unchanged}

    def whole(self, field: str, file: Path) -> Pixels:
        """Return a field of the pair that begins with ``file``: (H, W, C)."""
        pixels = self._read(file)
        height, width = pixels.shape[:2]
        scale = self.side / math.sqrt(height * width)
        if scale < 1:
            shape = max(1, round(height * scale)), max(1, round(width * scale))
            pixels = self._resized(pixels, shape, "b")
        halves = dict(self._halves(pixels))
        if self._made:
            make = grey_of if self.options.pairs == "grey" else edges_of
            halves["a"] = make(halves["b"])
        return np.asarray(halves[self._name(field)])

    def _shown(self, file: Path) -> str:
        """Return what to call a pair: its first file's place in the folder that it is from."""
        inside = [folder for folder in self.folders if file.is_relative_to(folder)]
        return str(file.relative_to(inside[0])) if inside else file.name
