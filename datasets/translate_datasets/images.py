"""Pictures of one kind in a folder, as a GAN reads them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from translate import (
    Batch,
    Case,
    Dataset,
    EvaluationSet,
    Export,
    Facts,
    Sample,
    Settings,
    UsageError,
)
from translate.pipeline import (
    PixelCache,
    cut,
    draws,
    flip,
    image_files,
    jitter_colour,
    mix,
    random_box,
    read_rgb,
    shuffled,
    zoom_box,
)

Pixels = NDArray[np.uint8]
O = TypeVar("O", bound="PictureOptions")  # noqa: E741

GROUNDS = {"black": 0, "grey": 128, "white": 255}  # what transparent pictures may be laid on
_MADE = 2000  # pictures that an evaluation looks at
_USUAL = 64  # pixels of a sample's sides, where neither the user nor the method says


class PictureOptions(Settings):
    """How pictures become square samples."""

    size: int | None = Field(
        default=None, ge=8, le=4096, description="sides in pixels, where the method does not say"
    )
    mode: Literal["square", "squeeze", "zoom"] = Field(
        default="square",
        description="square: the largest square, at a random place; squeeze: all of the picture; "
        "zoom: a random share of it",
    )
    zoom: float = Field(default=0.5, gt=0, le=1, description="smallest share of the area zoom cuts")
    channels: Literal[1, 3] = Field(default=3, description="1 reads pictures as grey")
    flip: bool = Field(default=True, description="mirror half of the samples; not where it shows")
    colour: float = Field(default=0.0, ge=0, le=1, description="strength of colour changes")


class Pictures(Dataset[O], Generic[O]):
    """What single pictures have in common, wherever they come from."""

    def __init__(self, folders: Sequence[Path], options: O, needs: Mapping[str, Any]) -> None:
        super().__init__(folders, options, needs)
        self.size = side_of(options.size, needs)

    @property
    def channels(self) -> int:
        return self.options.channels

    @property
    def facts(self) -> Facts:
        return Facts(channels=self.channels)

    @property
    def working_size(self) -> int | None:
        return self.size

    def on_device(self, batch: Batch) -> Batch:
        images, o = batch["image"], self.options
        if o.flip or o.colour:
            chance = draws(batch.seeds, 5, 0)
            if o.colour and self.channels == 3:
                images = jitter_colour(images, o.colour, chance[:, 1:])
            if o.flip:
                images = flip(images, chance[:, 0])
        return Batch({**batch.tensors, "image": images}, batch.seeds, batch.texts)

    def cut(self, pixels: Any, seed: int) -> Any:
        """Return the sample that this seed makes of (H, W, C) uint8."""
        height, width = pixels.shape[:2]
        match self.options.mode:
            case "square":
                box = random_box(height, width, min(height, width), seed)
            case "zoom":
                box = zoom_box(height, width, seed, share=self.options.zoom)
            case _:
                box = 0, 0, height, width
        return cut(pixels, box, self.size)

    def read(self, file: Path) -> Pixels:
        """Return a file's pixels (H, W, C), in as many channels as samples have."""
        return in_channels(read_rgb(file), self.channels)


class Images(Pictures[PictureOptions]):
    """Gives samples {"image": picture}, shuffled."""

    Options = PictureOptions

    def __init__(
        self, folders: Sequence[Path], options: PictureOptions, needs: Mapping[str, Any]
    ) -> None:
        super().__init__(folders, options, needs)
        for folder in folders:
            if not os.path.isdir(folder):
                raise UsageError(f"--data {folder}: no such folder")
        self.files = [file for folder in folders for file in image_files(folder)]
        self._pixels = PixelCache(self.read, self.files)

    @classmethod
    def example(cls, folder: Path, size: int) -> Mapping[str, Any]:
        """Write four smooth pictures."""
        folder.mkdir(parents=True)
        for number in range(4):
            cv2.imwrite(str(folder / f"{number}.png"), smooth_picture(number, size))
        return {}

    @classmethod
    def evaluation(
        cls,
        folders: Sequence[Path],
        options: PictureOptions,
        needs: Mapping[str, Any],
        export: Export,
        compare: Literal["pairs", "sets"] | None = None,
        side: Literal["A", "B"] | None = None,
    ) -> EvaluationSet:
        """Return as many pictures to be made as there are real ones, up to a bound."""
        channels = 1 if export.mode[1] == "L" else 3
        data = cls(folders, options.model_copy(update={"channels": channels}), needs)
        count = min(len(data), _MADE)
        return EvaluationSet(
            "sets",
            [Case(f"seed {seed}", None, seed=seed) for seed in range(count)],
            [partial(data.whole, place) for place in range(len(data))],
            described=f"{count:,} pictures, beside {len(data):,} real ones",
        )

    def whole(self, place: int) -> Any:
        """Return a picture as it is in samples, but always the same."""
        return self.cut(self.read(self.files[place]), place)

    def __len__(self) -> int:
        return len(self.files)

    def describe(self) -> str:
        return f"images: {len(self.files):,} pictures"

    def sample(self, number: int, seed: int) -> Sample:
        place = shuffled(number, len(self.files), seed)
        _, pixels = self._pixels.at(self.files, place)
        return {"image": self.cut(pixels, mix(seed, number))}


def side_of(size: int | None, needs: Mapping[str, Any]) -> int:
    """Return a sample's sides in pixels: the method's, the option's, or the usual ones.

    Raises:
        UsageError: if method and option differ.
    """
    made: int | None = needs.get("size")
    if size and made and size != made:
        raise UsageError(f"data.size={size}: the method makes {made} pixels; leave it")
    return made or size or _USUAL


def in_channels(pixels: Pixels, channels: int) -> Pixels:
    """Return (H, W, 3) as grey, where one channel is wanted: (H, W, channels)."""
    if channels == pixels.shape[2]:
        return pixels
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)[..., None]


def smooth_picture(number: int, size: int) -> Pixels:
    """Return a picture (size, size, 3) for examples, another one for each number."""
    few = np.random.default_rng(number).integers(0, 256, (3, 3, 3), dtype=np.uint8)
    large = cv2.resize(few, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, dtype=np.uint8)
