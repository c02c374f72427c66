"""Photographs to learn enlarging from: high resolution, and the low resolution made of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from translate import (
    Batch,
    Dataset,
    EvaluationSet,
    Export,
    ImageError,
    Sample,
    Settings,
    UsageError,
)
from translate.pipeline import (
    PixelCache,
    bicubic,
    draws,
    flip,
    image_files,
    mix,
    random_box,
    read_rgb,
    shuffled,
)
from translate_datasets.enlarging import to_enlarge
from translate_datasets.images import smooth_picture

Pixels = NDArray[np.uint8]


class SuperResOptions(Settings):
    """How photographs become samples."""

    size: int = Field(
        default=128, ge=16, le=1024, description="sides of a sample in high resolution, in pixels"
    )
    flip: bool = Field(default=True, description="mirror half of the samples")
    turn: bool = Field(default=True, description="turn half of the samples by a quarter")


class SuperRes(Dataset[SuperResOptions]):
    """Gives samples {"high": picture, "low": the same at a ``scale``-th of its size}.

    Low resolution is made of whole pictures, once, as that of the benchmarks is: a sample made
    of a cut alone would have borders of its own. Both are kept as one picture of more channels,
    one pixel of which holds a low-resolution pixel and all that it stands for.
    """

    Options = SuperResOptions
    aligned = True

    def __init__(
        self, folders: Sequence[Path], options: SuperResOptions, needs: Mapping[str, Any]
    ) -> None:
        super().__init__(folders, options, needs)
        self.scale = int(needs.get("scale", 4))
        unit = self.scale * int(needs.get("multiple_of", 1))
        if options.size % unit:
            raise UsageError(f"data.size={options.size}: this method needs a multiple of {unit}")
        for folder in folders:
            if not os.path.isdir(folder):
                raise UsageError(f"--data {folder}: no such folder")
        self.files = [file for folder in folders for file in image_files(folder)]
        self._pixels = PixelCache(self._read, self.files)

    @classmethod
    def example(cls, folder: Path, size: int) -> Mapping[str, Any]:
        """Write four smooth pictures."""
        folder.mkdir(parents=True)
        for number in range(4):
            cv2.imwrite(str(folder / f"{number}.png"), smooth_picture(number, size))
        return {"size": size}

    @classmethod
    def evaluation(
        cls,
        folders: Sequence[Path],
        options: SuperResOptions,
        needs: Mapping[str, Any],
        export: Export,
        compare: Literal["pairs", "sets"] | None = None,
        side: Literal["A", "B"] | None = None,
    ) -> EvaluationSet:
        """Return photographs with their low resolution, made of them or given."""
        if side is not None:
            raise UsageError(f"--input {side}: it is always the low resolution that is enlarged")
        if compare == "sets":
            return super().evaluation(folders, options, needs, export, compare, side)
        return to_enlarge(folders, int(needs.get("scale", 4)))

    def __len__(self) -> int:
        return len(self.files)

    def describe(self) -> str:
        return f"superres: {len(self.files):,} pictures, to be enlarged {self.scale} times"

    def sample(self, number: int, seed: int) -> Sample:
        place = shuffled(number, len(self.files), seed)
        _, packed = self._pixels.at(self.files, place)
        side = self.options.size // self.scale
        height, width = packed.shape[:2]
        top, left, *_ = random_box(height, width, side, mix(seed, number))
        part = packed[top : top + side, left : left + side]
        return {"low": part[..., :3], "high": _unfolded(part[..., 3:], self.scale)}

    def on_device(self, batch: Batch) -> Batch:
        fields = dict(batch.tensors)
        chance = draws(batch.seeds, 3, 0)
        for name, images in fields.items():
            if self.options.flip:
                images = flip(images, chance[:, 0])
            if self.options.turn:
                images = _turn(images, chance[:, 1:])
            fields[name] = images
        return Batch(fields, batch.seeds)

    def _read(self, file: Path) -> Pixels:
        """Return a picture and its low resolution as one, (h, w, 3 + 3·scale²)."""
        high = read_rgb(file)
        scale = self.scale
        rows, columns = (side // scale for side in high.shape[:2])
        if min(rows, columns) * scale < self.options.size:
            raise ImageError(
                f"{file}: {high.shape[1]}×{high.shape[0]} is smaller than data.size="
                f"{self.options.size}"
            )
        high = high[: rows * scale, : columns * scale]
        return np.concatenate([shrunk(high, scale), _folded(high, scale)], axis=-1)


def shrunk(high: Pixels, scale: int) -> Pixels:
    """Return (H, W, 3) uint8 at a ``scale``-th of its size, as the benchmarks' inputs are made."""
    x = torch.from_numpy(np.array(high)).permute(2, 0, 1)[None].float()  # torch wants it writable
    low = bicubic(x, down=scale)[0].round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(low.permute(1, 2, 0).numpy())


def _folded(high: Pixels, scale: int) -> Pixels:
    """Return (h·s, w·s, 3) as (h, w, 3·s²)."""
    rows, columns = (side // scale for side in high.shape[:2])
    parts = high.reshape(rows, scale, columns, scale, 3).swapaxes(1, 2)
    return parts.reshape(rows, columns, -1)


def _unfolded(packed: Any, scale: int) -> Any:
    """Return (h, w, 3·s²), an array or a tensor, as (h·s, w·s, 3)."""
    rows, columns = packed.shape[:2]
    parts = packed.reshape(rows, columns, scale, scale, 3).swapaxes(1, 2)
    return parts.reshape(rows * scale, columns * scale, 3)


def _turn(images: Tensor, chance: Tensor) -> Tensor:
    """Turn square images (N, C, S, S) by a quarter where ``chance`` (N, 2) says so.

    To swap the axes and to turn upside down are, with mirroring, all eight ways to lay a square.
    """
    swapped, upset = ((chance < 0.5).to(images.device)[:, :, None, None, None]).unbind(1)
    images = torch.where(swapped, images.transpose(2, 3), images)
    return torch.where(upset, images.flip(2), images)
