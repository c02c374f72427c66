"""Unpaired pictures of two domains, as CycleGAN reads them."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import albumentations
import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from translate import Batch, Case, EvaluationSet, Export, Sample, UsageError
from translate.pipeline import (
    PixelCache,
    cut,
    draws,
    flip,
    image_files,
    jitter_colour,
    mix,
    read_rgb,
    shuffled,
)
from translate_datasets.cutting import CutOptions, Cutting
from translate_datasets.making import CONSTANT, colour_baselines, grey_of

Pixels = NDArray[np.uint8]


class UnpairedOptions(CutOptions):
    """How pictures become samples."""

    distort: float = Field(
        default=0.0, ge=0, le=1, description="strength of turns and tilts; 1 turns by up to 20°"
    )


class Unpaired(Cutting[UnpairedOptions]):
    """Gives samples {"a": picture, "b": picture}, each domain shuffled on its own.

    ``needs["domains"]`` may name fewer domains; a single one is read from a plain folder too.
    ``needs["input"]`` is "grey" where a model is given greys, and its output held against colours.
    """

    Options = UnpairedOptions

    def __init__(
        self, folders: Sequence[Path], options: UnpairedOptions, needs: Mapping[str, Any]
    ) -> None:
        super().__init__(folders, options, needs)
        wanted: Sequence[str] = needs.get("domains", ("a", "b"))
        self.files = {domain: image_files(f) for domain, f in _folders(folders, wanted).items()}
        every = [file for files in self.files.values() for file in files]
        self._pixels = PixelCache(self._read, every)
        self._local = threading.local()

    @classmethod
    def example(cls, folder: Path, size: int) -> Mapping[str, Any]:
        """Write three smooth pictures a domain, dark ones and bright ones."""
        for domain, least in (("A", 0), ("B", 127)):
            (folder / f"train{domain}").mkdir(parents=True)
            for number in range(3):
                few = np.random.default_rng((number, least)).integers(least, least + 128, (3, 3, 3))
                pixels = cv2.resize(
                    few.astype(np.uint8), (size, size), interpolation=cv2.INTER_CUBIC
                )
                cv2.imwrite(str(folder / f"train{domain}" / f"{number}.png"), pixels)
        return {"mode": "crop", "size": size}

    @classmethod
    def evaluation(
        cls,
        folders: Sequence[Path],
        options: UnpairedOptions,
        needs: Mapping[str, Any],
        export: Export,
        compare: Literal["pairs", "sets"] | None = None,
        side: Literal["A", "B"] | None = None,
    ) -> EvaluationSet:
        """Return the pictures of two sides; or greys of photographs, for methods that colour."""
        if needs.get("input") != "grey" or len(folders) != 1 or compare == "sets":
            return super().evaluation(folders, options, needs, export, compare, side)
        folder = _held_out(folders[0], side or "A")
        files = image_files(folder)
        return EvaluationSet(
            "pairs",
            [
                Case(str(file.relative_to(folder)), partial(_grey, file), partial(read_rgb, file))
                for file in files
            ],
            baselines=colour_baselines([partial(read_rgb, file) for file in files]),
            described=f"{len(files)} photographs in {folder}, made grey; {CONSTANT}",
        )

    def __len__(self) -> int:
        return max(len(files) for files in self.files.values())

    def describe(self) -> str:
        counts = (f"{len(files)} pictures in {domain}" for domain, files in self.files.items())
        return "unpaired: " + ", ".join(counts)

    def sample(self, number: int, seed: int) -> Sample:
        sample = {}
        for stream, (domain, files) in enumerate(self.files.items()):
            place = shuffled(number, len(files), mix(seed, stream))
            file, pixels = self._pixels.at(files, place)
            sample[domain] = self._cut(pixels, mix(seed, stream, number), file)
        return sample

    def on_device(self, batch: Batch) -> Batch:
        images = {}
        for stream, (domain, pictures) in enumerate(batch.tensors.items()):
            chance = draws(batch.seeds, 5, stream)
            if self.options.colour:
                pictures = jitter_colour(pictures, self.options.colour, chance[:, 1:])
            images[domain] = flip(pictures, chance[:, 0]) if self.options.flip else pictures
        return Batch(images, batch.seeds)

    def _read(self, file: Path) -> Pixels:
        pixels = read_rgb(file)
        if self.options.mode != "resize-and-crop":
            return pixels
        squeezed: Pixels = cut(pixels, (0, 0, *pixels.shape[:2]), self.options.load)
        return squeezed

    def _cut(self, pixels: Any, seed: int, file: Path) -> Any:
        height, width = pixels.shape[:2]
        box = self.box(height, width, seed, file)
        if self.options.distort:
            pixels = self._distorted(pixels, seed)
        return cut(pixels, box, self.resized)

    def _distorted(self, pixels: Any, seed: int) -> Any:
        if not isinstance(pixels, np.ndarray):
            raise UsageError("data.distort: works on the CPU; use another --cache than device")
        if not hasattr(self._local, "distort"):  # a thread's own, since it holds random state
            strength = self.options.distort
            self._local.distort = albumentations.Affine(
                rotate=(-20 * strength, 20 * strength),
                shear=(-10 * strength, 10 * strength),
                border_mode=cv2.BORDER_REFLECT_101,
                p=1.0,
            )
        self._local.distort.set_random_seed(seed % 2**32)
        return self._local.distort(image=pixels)["image"]


def _held_out(folder: Path, side: str) -> Path:
    """Return where a folder has what a model of one side is tried on; at last, what trained it."""
    if not folder.is_dir():
        raise UsageError(f"--data {folder}: no such folder")
    inside = [folder / name for name in (f"test{side}", "test", f"train{side}")]
    return next((place for place in inside if place.is_dir()), folder)


def _grey(file: Path) -> Pixels:
    return grey_of(read_rgb(file))


def _folders(folders: Sequence[Path], wanted: Sequence[str]) -> dict[str, Path]:
    """Return each wanted domain's folder."""
    for folder in folders:
        if not os.path.isdir(folder):
            raise UsageError(f"--data {folder}: no such folder")
    if len(folders) == 2:  # a method may want the first side only
        return dict(zip(wanted, folders, strict=False))
    if len(folders) != 1:
        raise UsageError(f"--data: {len(folders)} folders; give one with trainA and trainB, or two")
    inside = {domain: folders[0] / f"train{domain.upper()}" for domain in wanted}
    if all(folder.is_dir() for folder in inside.values()):
        return inside
    if len(wanted) == 1:
        return {wanted[0]: folders[0]}
    raise UsageError(
        f"--data {folders[0]}: needs the folders {_names(wanted)} inside; "
        "or give --data twice, once for each side"
    )


def _names(wanted: Sequence[str]) -> str:
    return " and ".join(f"train{domain.upper()}" for domain in wanted)
