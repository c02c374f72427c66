"""Measures of all outputs beside real pictures: distances between two sets of features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from translate import Comparison, Measure, Result, Settings, TranslateError
from translate_measures.distances import frechet_distance, kernel_distances
from translate_measures.inception import extractor

_FEW = 2000  # pictures; FID of fewer is so much too high that it can only be compared with its like


class SetOptions(Settings):
    """What a distance between features needs."""

    inception: Path = Field(
        description="weights of FID's Inception network, given by --inception FILE"
    )


class KIDOptions(SetOptions):
    """The same, and how the distance is averaged."""

    subset: int = Field(
        default=100, ge=2, description="pictures in a subset; more change the deviation, not KID"
    )
    subsets: int = Field(
        default=100, ge=1, le=10_000, description="subsets; more make the mean steadier"
    )


class SetMeasure(Measure[SetOptions]):
    """Keeps the features of all outputs and of all real pictures."""

    Options = SetOptions
    larger_is_better = False

    def __init__(self, options: SetOptions, device: torch.device) -> None:
        super().__init__(options, device)
        self.features = extractor(options.inception, device)
        self._outputs: list[Tensor] = []
        self._real: list[Tensor] = []

    def add(self, comparison: Comparison) -> None:
        self._outputs.append(self.features(comparison.output))

    def add_real(self, pixels: NDArray[np.float32]) -> None:
        self._real.append(self.features(pixels))

    def stacked(self) -> tuple[Tensor, Tensor]:
        """Return the features of the outputs (N, D) and of the real pictures (M, D)."""
        for what, found in (("outputs", self._outputs), ("real pictures", self._real)):
            if len(found) < 2:
                raise TranslateError(f"{len(found)} {what}; a set has at least 2")
        return torch.stack(self._outputs), torch.stack(self._real)

    def protocol(self) -> str:
        outputs, real = len(self._outputs), len(self._real)
        return f"{self.features.protocol}, {outputs:,} outputs, {real:,} real pictures"


class FID(SetMeasure):
    """Fréchet Inception distance."""

    def results(self) -> Sequence[Result]:
        outputs, real = self.stacked()
        protocol = self.protocol()
        if min(len(outputs), len(real)) < _FEW:
            protocol += f" (under {_FEW:,}: too high, compare at these counts only)"
        distance = frechet_distance(outputs, real)
        return [Result(self.features.title("FID"), distance, protocol, decimals=2)]


class KID(SetMeasure):
    """Kernel Inception distance, the mean over random subsets, and its deviation."""

    Options = KIDOptions

    def results(self) -> Sequence[Result]:
        outputs, real = self.stacked()
        assert isinstance(self.options, KIDOptions)
        size = min(self.options.subset, len(outputs), len(real))
        # Where a subset is everything, all are the same.
        count = self.options.subsets if size < max(len(outputs), len(real)) else 1
        distances = kernel_distances(outputs, real, size=size, count=count)
        subsets = "subset" if count == 1 else "subsets"
        return [
            Result(
                self.features.title("KID"),
                float(distances.mean()),
                f"{self.protocol()}, cubic kernel, {count} {subsets} of {size}",
                deviation=float(distances.std(correction=0)) if count > 1 else None,
                decimals=5,
            )
        ]
