"""What the exported networks make of the run's first few samples: to look at, and as numbers."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from translate.dataset import Dataset
from translate.method import Batch
from translate.pipeline.loader import collate
from translate.training.grid import save_grid
from translate.training.loop import Trainer
from translate.training.observe import observe, outputs, source_of
from translate.training.phases import set_modes

_WATCHED = 8  # samples whose outputs are compared
_SHOWN = 4  # rows of a grid


class Previews:
    """The run's first samples, always the same ones."""

    def __init__(self, trainer: Trainer, dataset: Dataset[Any]) -> None:
        self.trainer, self.dataset = trainer, dataset

    @cached_property
    def _samples(self) -> list[Batch]:
        """Each sample on its own: they may differ in size."""
        seed, device = self.trainer.settings.seed, self.trainer.device
        return [
            self.dataset.on_device(collate([self.dataset.sample(i, seed)], [i], device))
            for i in range(_WATCHED)
        ]

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
        """Write source | output, by export; and the target, where a sample has it."""
        trainer, rows = self.trainer, []
        trainer.method.eval()
        for sample in self._samples[:_SHOWN]:
            row = []
            for name, export in trainer.method.exports().items():
                source = source_of(trainer.method, export, sample)
                made = outputs(trainer.method, name, trainer.network(name, export), source)
                row += [*(t[0] for t in source.tensors.values() if t.ndim == 4), made[0]]
                if self.dataset.aligned and export.like:
                    row.append(sample[export.like][0])
            rows.append(row)
        set_modes(trainer.method, trainer.stage)
        save_grid(path, rows)
        return path
