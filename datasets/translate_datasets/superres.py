"""Photographs to learn enlarging from: high resolution, and low, made of it or given."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
import torch
from albumentations.augmentations.pixel.functional import unsharp_mask
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
    cut,
    draws,
    flip,
    mix,
    random_box,
    read_rgb,
    shuffled,
)
from translate_datasets.degrading import Degradation
from translate_datasets.enlarging import given_pairs, resized, to_enlarge
from translate_datasets.faults import Fault
from translate_datasets.images import smooth_picture
from translate_datasets.pairing import training_pictures

Pixels = NDArray[np.uint8]
Share = Annotated[float, Field(gt=0, lt=1)]

_MARGIN = 12  # low-resolution pixels beside a sample, on both sides together
_PLACES = 8  # where it may lie between them: as many as JPEG's blocks have pixels
_DOUBLE = 2  # sides between both rounds of faults, for one of low resolution
_WINDOW, _SHRUNK = 13, 14  # streams of random numbers
_MASK = {"ksize": 51, "sigma": 0, "threshold": 10}  # of unsharp masking, as Real-ESRGAN has it


class SuperResOptions(Settings):
    """How photographs become samples."""

    size: int = Field(
        default=128, ge=16, le=1024, description="sides of a sample in high resolution, in pixels"
    )
    shrink: tuple[Share, ...] = Field(
        default=(),
        description="shares of their size at which pictures are learned from, too: few pictures "
        "become more, and shrunk ones are sharper",
    )
    low: Literal["bicubic", "practical", "given"] = Field(
        default="bicubic",
        description="bicubic: made as the benchmarks' is; practical: blurred, noisy and "
        "compressed, too, as pictures on the web are; given: read from a second folder",
    )
    strength: float = Field(
        default=1.0, ge=0, le=1, description="of practical: how much is wrong at most; 1 is a lot"
    )
    without: tuple[Fault, ...] = Field(
        default=(), description="of practical: what is never wrong with the pictures"
    )
    sharpen: float = Field(
        default=0.0,
        ge=0,
        le=2,
        description="sharpen the high resolution before, for crisper outputs; Real-ESRGAN: 0.5",
    )
    flip: bool = Field(default=True, description="mirror half of the samples")
    turn: bool = Field(default=True, description="turn half of the samples by a quarter")


class SuperRes(Dataset[SuperResOptions]):
    """Gives samples {"high": picture, "low": the same at a ``scale``-th of its size}.

    Bicubic's is made of whole pictures, once, as that of the benchmarks is: a sample made of a
    cut alone would have borders of its own. That and what is given is kept with its high
    resolution as one picture of more channels, one pixel of which holds a low-resolution pixel
    and all that it stands for, so that no cut can part them.

    What is practical is made anew for each sample, of a cut that is a little larger: blurs reach
    over its borders, and the blocks of JPEG begin anywhere. Beyond the picture it is mirrored.
    """

    Options = SuperResOptions
    aligned = True

    def __init__(
        self, folders: Sequence[Path], options: SuperResOptions, needs: Mapping[str, Any]
    ) -> None:
        super().__init__(folders, options, needs)
        self.scale = int(needs.get("scale", 4))
        unit = math.lcm(
            self.scale * int(needs.get("multiple_of", 1)), int(needs.get("high_multiple_of", 1))
        )
        if options.size % unit:
            raise UsageError(f"data.size={options.size}: this method needs a multiple of {unit}")
        for folder in folders:
            if not os.path.isdir(folder):
                raise UsageError(f"--data {folder}: no such folder")
        self._partners: dict[Path, Path] = {}
        if options.low == "given" and options.shrink:
            raise UsageError("data.shrink: low resolution that is given is of one size; leave it")
        if options.low == "given":
            self._partners = dict(given_pairs(folders, self.scale))
            self.files = list(self._partners)
        else:
            sources = [high if (high := folder / "HR").is_dir() else folder for folder in folders]
            self.files = [file for source in sources for file in training_pictures(source)]
        self._degradation = Degradation(options.strength, options.without)
        self._pixels = tuple(
            PixelCache(partial(self._read, share=share), self.files, self._partners, variant)
            for share, variant in ((1.0, ""), *((share, f"{share}") for share in options.shrink))
        )

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
        what = "pairs" if self._partners else "pictures"
        text = f"superres: {len(self.files):,} {what}, to be enlarged {self.scale} times"
        return f"{text} ({self.options.low})" if self.options.low != "bicubic" else text

    def sample(self, number: int, seed: int) -> Sample:
        place = shuffled(number, len(self.files), seed)
        which = mix(seed, number, _SHRUNK) % len(self._pixels)
        _, pixels = self._pixels[which].at(self.files, place)
        if self.options.low == "practical":
            return self._degraded(pixels, mix(seed, number))
        side = self.options.size // self.scale
        height, width = pixels.shape[:2]
        top, left, *_ = random_box(height, width, side, mix(seed, number))
        part = pixels[top : top + side, left : left + side]
        return {"low": part[..., :3], "high": _unfolded(part[..., 3:], self.scale)}

    def _degraded(self, pixels: Any, seed: int) -> Sample:
        """Return a sample whose low resolution is as the first round of faults leaves it."""
        if not isinstance(pixels, np.ndarray):
            raise UsageError("data.low=practical works on the CPU; use another --cache than device")
        size, scale = self.options.size, self.scale
        height, width = pixels.shape[:2]
        top, left, *_ = random_box(height, width, size, seed)
        down, right = (_begin(torch.tensor([seed])) * scale).tolist()
        side = size + _MARGIN * scale
        wide = _mirrored(pixels, top - down, left - right, side)
        between = side // scale * min(scale, _DOUBLE)
        return {
            "low": self._degradation.first(wide, seed, between),
            "high": wide[down : down + size, right : right + size],
            "down": down // scale,  # not drawn again on the device, where seeds may be others
            "right": right // scale,
        }

    def on_device(self, batch: Batch) -> Batch:
        fields = dict(batch.tensors)
        if self.options.low == "practical":
            places = fields.pop("down"), fields.pop("right")
            fields["low"] = self._finished(fields["low"], places, batch.seeds)
        chance = draws(batch.seeds, 3, 0)
        for name, images in fields.items():
            if self.options.flip:
                images = flip(images, chance[:, 0])
            if self.options.turn:
                images = _turn(images, chance[:, 1:])
            fields[name] = images
        return Batch(fields, batch.seeds)

    def _finished(self, images: Tensor, places: tuple[Tensor, Tensor], seeds: Tensor) -> Tensor:
        """Return low resolution (N, 3, h, w) in [-1, 1] of what the first round left of it."""
        side = self.options.size // self.scale
        low = self._degradation.second((images + 1) / 2, seeds, side + _MARGIN)
        steps, numbers = torch.arange(side, device=low.device), torch.arange(len(low))
        rows, columns = (place[:, None] + steps for place in places)
        cut = low[numbers[:, None, None], :, rows[:, :, None], columns[:, None]]  # (N, h, w, 3)
        return (cut * 255).round().permute(0, 3, 1, 2) / 127.5 - 1  # 8 bits, as real inputs have

    def _read(self, file: Path, share: float) -> Pixels:
        """Return a picture, and its low resolution with it as (h, w, 3 + 3·scale²).

        Args:
            share: of its sides; more, where it would be too small for a sample.
        """
        high, scale, size = read_rgb(file), self.scale, self.options.size
        height, width = high.shape[:2]
        if min(height, width) < size:
            raise ImageError(f"{file}: {width}×{height} is smaller than data.size={size}")
        share = max(share, size / min(height, width))
        if share < 1:
            shape = max(size, round(height * share)), max(size, round(width * share))
            high = np.asarray(cut(high, (0, 0, height, width), shape), dtype=np.uint8)
        rows, columns = (side // scale for side in high.shape[:2])
        low = self._given(file, high) if self._partners else None
        if self.options.sharpen:
            high = unsharp_mask(high, alpha=self.options.sharpen, **_MASK)
        if self.options.low == "practical":
            return high
        high = high[: rows * scale, : columns * scale]
        low = resized(high, down=scale) if low is None else low
        return np.concatenate([low, _folded(high, scale)], axis=-1)

    def _given(self, file: Path, high: Pixels) -> Pixels:
        """Return the low resolution that comes with a picture."""
        low = read_rgb(self._partners[file])
        height, width = low.shape[:2]
        if (height * self.scale, width * self.scale) != high.shape[:2]:
            raise UsageError(
                f"{self._partners[file]}: {width}×{height} pixels, of which {self.scale} times as "
                f"many are not the {high.shape[1]}×{high.shape[0]} of {file}"
            )
        return low


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


def _begin(seed: Tensor) -> Tensor:
    """Return where a sample begins in what is degraded, (2,) in low-resolution pixels."""
    return (_MARGIN - _PLACES) // 2 + (_PLACES * draws(seed, 2, _WINDOW)[0]).long()


def _mirrored(pixels: Pixels, top: int, left: int, side: int) -> Pixels:
    """Return a square of a picture, which is mirrored where the square reaches beyond it."""
    height, width = pixels.shape[:2]
    rows = max(0, -top), max(0, top + side - height)
    columns = max(0, -left), max(0, left + side - width)
    part = pixels[max(0, top) : top + side, max(0, left) : left + side]
    return np.pad(part, (rows, columns, (0, 0)), "symmetric")


def _turn(images: Tensor, chance: Tensor) -> Tensor:
    """Turn square images (N, C, S, S) by a quarter where ``chance`` (N, 2) says so.

    To swap the axes and to turn upside down are, with mirroring, all eight ways to lay a square.
    """
    swapped, upset = ((chance < 0.5).to(images.device)[:, :, None, None, None]).unbind(1)
    images = torch.where(swapped, images.transpose(2, 3), images)
    return torch.where(upset, images.flip(2), images)
