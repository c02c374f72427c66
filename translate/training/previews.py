"""What the exported networks make of the run's first few samples: to look at, and as numbers."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from translate.dataset import Dataset
from translate.method import Batch, Export
from translate.pipeline.loader import collate
from translate.pipeline.seeds import mix
from translate.training.grid import save_grid
from translate.training.loop import Trainer
from translate.training.observe import observe, outputs, source_of
from translate.training.phases import set_modes

_WATCHED = 8  # samples whose outputs are compared
_SHOWN = 4  # rows of a grid
_SIDE = 8  # pictures along a side of a grid of what is made of no picture


class Previews:
    """The run's first samples, always the same ones."""

    def __init__(self, trainer: Trainer, dataset: Dataset[Any]) -> None:
        self.trainer, self.dataset = trainer, dataset

    @cached_property
    def _samples(self) -> list[Batch]:
        return [self._sample(number) for number in range(_WATCHED)]

    def _sample(self, number: int) -> Batch:
        """Return a sample on its own: they may differ in size."""
        seed, device = self.trainer.settings.seed, self.trainer.device
        return self.dataset.on_device(
            collate([self.dataset.sample(number, seed)], [mix(seed, number)], device)
        )

    @cached_property
    def _together(self) -> Batch:
        """All samples as one batch, each picture cut to the size that all have."""
        tensors: dict[str, Tensor] = {}
        for field, first in self._samples[0].tensors.items():
            parts = [sample[field] for sample in self._samples]
            if first.ndim == 4:
                height, width = (min(part.shape[side] for part in parts) for side in (2, 3))
                parts = [part[..., :height, :width] for part in parts]
            tensors[field] = torch.cat(parts)
        texts = {
            field: [sample.texts[field][0] for sample in self._samples]
            for field in self._samples[0].texts
        }
        seeds = torch.cat([sample.seeds for sample in self._samples])
        return Batch(tensors, seeds, texts)

    def observe(self) -> dict[str, Tensor]:
        """Return numbers of what the networks, as they are now, make of the samples."""
        trainer = self.trainer
        networks = {name: e.network for name, e in trainer.method.exports().items()}
        scalars = observe(trainer.method, networks, self._together, aligned=self.dataset.aligned)
        set_modes(trainer.method, trainer.stage)
        return scalars

    @torch.inference_mode()
    def save(self, path: Path) -> Path:
        """Write source | output, by export; and the target, where a sample has it.

        What is made of no picture is small, or has nothing beside it: a square of those, in the
        order of their labels.
        """
        trainer = self.trainer
        trainer.method.eval()
        rows = self._rows() if self._reads_pictures else self._square()
        set_modes(trainer.method, trainer.stage)
        save_grid(path, rows)
        return path

    @property
    def _reads_pictures(self) -> bool:
        exports = self.trainer.method.exports().values()
        sample = self._samples[0]
        return any(t.ndim == 4 for e in exports for t in self._read_by(e, sample).tensors.values())

    def _read_by(self, export: Export, sample: Batch) -> Batch:
        return source_of(self.trainer.method, export, sample)

    def _square(self) -> list[list[Tensor]]:
        """Return rows of what all exports make of the first samples, ordered by label."""
        made: list[tuple[list[int], Tensor]] = []
        for sample in map(self._sample, range(_SIDE**2)):
            for name, export in self.trainer.method.exports().items():
                source = self._read_by(export, sample)
                label = [int(t) for t in source.tensors.values() if t.ndim == 1]
                network = self.trainer.network(name, export)
                made.append((label, outputs(self.trainer.method, name, network, source)[0]))
        made.sort(key=lambda one: one[0])
        pictures = [picture for _, picture in made]
        return [pictures[start : start + _SIDE] for start in range(0, len(pictures), _SIDE)]

    def _rows(self) -> list[list[Tensor]]:
        trainer, rows = self.trainer, []
        for sample in self._samples[:_SHOWN]:
            row = []
            for name, export in trainer.method.exports().items():
                source = self._read_by(export, sample)
                made = outputs(trainer.method, name, trainer.network(name, export), source)
                row += [*(t[0] for t in source.tensors.values() if t.ndim == 4), made[0]]
                if self.dataset.aligned and export.like:
                    row.append(sample[export.like][0])
            rows.append(row)
        return rows
