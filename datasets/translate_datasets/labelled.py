"""Pictures of several classes: a folder for each, or the files of MNIST."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from translate import Case, EvaluationSet, Export, Facts, Sample, TranslateError, UsageError
from translate.pipeline import PixelCache, image_files, mix, shuffled
from translate_datasets.idx import read_idx, shape_of
from translate_datasets.images import PictureOptions, Pictures, Pixels, smooth_picture

_NAMES = "classes.txt"  # names of the classes of IDX files, one a line
_SHOWN = 10  # classes in a description
_MADE = 200  # pictures of each class that an evaluation looks at


class LabelledOptions(PictureOptions):
    """How pictures become labelled samples."""

    flip: bool = Field(default=False, description="mirror half of the samples; not for letters")


class Labelled(Pictures[LabelledOptions]):
    """Gives samples {"image": picture, "label": number of its class}, shuffled.

    A folder holds one folder for each class, or IDX files as MNIST has; either inside ``train``
    or directly.
    """

    Options = LabelledOptions

    def __init__(
        self, folders: Sequence[Path], options: LabelledOptions, needs: Mapping[str, Any]
    ) -> None:
        super().__init__(folders, options, needs)
        self.source = find_source(folders, self.read)
        self._cache = self.source.cache  # where keep() looks for it

    @classmethod
    def example(cls, folder: Path, size: int) -> Mapping[str, Any]:
        """Write two smooth pictures for each of three classes."""
        for number in range(6):
            place = folder / f"class-{number % 3}"
            place.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(place / f"{number}.png"), smooth_picture(number, size))
        return {}

    @property
    def channels(self) -> int:
        return self.source.channels or self.options.channels

    @property
    def facts(self) -> Facts:
        return Facts(channels=self.channels, classes=self.source.classes)

    @classmethod
    def evaluation(
        cls,
        folders: Sequence[Path],
        options: LabelledOptions,
        needs: Mapping[str, Any],
        export: Export,
        compare: Literal["pairs", "sets"] | None = None,
        side: Literal["A", "B"] | None = None,
    ) -> EvaluationSet:
        """Return pictures of every class to be made, beside all real ones.

        Where a folder has pictures for testing, no model has learned from those.
        """
        channels = 1 if export.mode[1] == "L" else 3
        data = cls(folders, options.model_copy(update={"channels": channels}), needs)
        sources = [data.source]
        with contextlib.suppress(UsageError):
            sources.append(find_source(folders, data.read, split="test"))
        if any(one.classes != data.source.classes for one in sources):
            raise UsageError(f"--data {folders[0]}: other classes for testing than for training")
        places = [(source, place) for source in sources for place in range(len(source))]
        classes = data.source.classes
        return EvaluationSet(
            "classes",
            [
                Case(f"{name}, seed {seed}", None, value=name, seed=seed, label=label)
                for seed in range(_MADE)
                for label, name in enumerate(classes)
            ],
            [partial(data.whole, source, place) for source, place in places],
            labels=[source.label(place) for source, place in places],
            unseen=sum(map(len, sources[1:])),
            described=f"{_MADE} pictures of each of {len(classes)} classes, beside {len(places):,} "
            "real ones",
        )

    def whole(self, source: ClassFolders | IdxFiles, place: int) -> Any:
        """Return a picture as it is in samples, but always the same."""
        return self.cut(source.at(place)[0], place)

    def __len__(self) -> int:
        return len(self.source)

    def describe(self) -> str:
        classes = self.source.classes
        names = ", ".join(classes[:_SHOWN]) + (", …" if len(classes) > _SHOWN else "")
        return f"labelled: {len(self):,} pictures of {len(classes)} classes ({names})"

    def sample(self, number: int, seed: int) -> Sample:
        pixels, label = self.source.at(shuffled(number, len(self), seed))
        return {"image": self.cut(pixels, mix(seed, number)), "label": label}


class ClassFolders:
    """Pictures in one folder for each class, which are numbered in the order of their names."""

    channels = None  # as the options say

    def __init__(self, folder: Path, read: Callable[[Path], Pixels]) -> None:
        self.classes = tuple(place.name for place in class_folders(folder))
        found = [
            (file, label)
            for label, name in enumerate(self.classes)
            for file in image_files(folder / name)
        ]
        self.files, self._labels = [file for file, _ in found], dict(found)
        self.cache = PixelCache(read, self.files)

    def __len__(self) -> int:
        return len(self.files)

    def label(self, place: int) -> int:
        """Return the class of a picture."""
        return self._labels[self.files[place]]

    def at(self, place: int) -> tuple[Any, int]:
        """Return a picture (H, W, C) and its class; the next one, if it cannot be read."""
        file, pixels = self.cache.at(self.files, place)
        return pixels, self._labels[file]


class IdxFiles:
    """Grey pictures and their classes in two IDX files, kept in memory once they are asked for."""

    channels, cache = 1, None

    def __init__(self, images: Path, labels: Path) -> None:
        self.images = images
        self.labels = read_idx(labels)
        shape = shape_of(images)
        if self.labels.ndim != 1 or len(shape) != 3 or not min(shape):
            raise UsageError(f"{images}: not pictures with a label each, but {shape}")
        if shape[0] != len(self.labels):
            raise UsageError(f"{labels}: {len(self.labels):,} labels for {shape[0]:,} pictures")
        self.classes = _class_names(images.parent, int(self.labels.max()) + 1)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def _pixels(self) -> NDArray[np.uint8]:
        return read_idx(self.images)

    def label(self, place: int) -> int:
        """Return the class of a picture."""
        return int(self.labels[place])

    def at(self, place: int) -> tuple[Any, int]:
        """Return a picture (H, W, 1) and its class."""
        return self._pixels[place][..., None], int(self.labels[place])


def find_source(
    folders: Sequence[Path], read: Callable[[Path], Pixels], *, split: str = "train"
) -> ClassFolders | IdxFiles:
    """Return the labelled pictures of a folder.

    Args:
        read: decodes a picture's file.
        split: "train" or "test"; class folders may also lie in no folder of that name, and are
            for training then.

    Raises:
        UsageError: if the folder holds no such pictures.
    """
    if len(folders) != 1:
        raise UsageError(f"--data: {len(folders)} folders; give one with a folder for each class")
    [folder] = folders
    if not os.path.isdir(folder):
        raise UsageError(f"--data {folder}: no such folder")
    for place in (folder, folder / "raw", folder / "MNIST" / "raw"):
        if files := _idx_files(place, split):
            return IdxFiles(*files)
    inside = folder / split
    if inside.is_dir() and class_folders(inside):
        return ClassFolders(inside, read)
    if split == "train" and len(class_folders(folder)) > 1:
        return ClassFolders(folder, read)
    raise UsageError(
        f"--data {folder}: needs two or more folders with pictures, one for each class, or the "
        f"IDX files of MNIST (…{split}-images-idx3-ubyte and …labels-idx1-ubyte, or .gz)"
    )


def class_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, hidden ones left out, in a fixed order."""
    inside = (place for place in folder.iterdir() if place.name[0] != ".")
    return sorted(place for place in inside if place.is_dir())


def _idx_files(folder: Path, split: str) -> tuple[Path, Path] | None:
    """Return the files of pictures and of labels, if they are there."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    for word in {"train": ("train",), "test": ("t10k", "test")}[split]:
        pair = [
            file
            for kind in ("images", "labels")
            for file in [f for f in files if f"{word}-{kind}-idx" in f.name][:1]  # .gz comes second
        ]
        if len(pair) == 2:
            return pair[0], pair[1]
    return None


def _class_names(folder: Path, count: int) -> tuple[str, ...]:
    """Return the classes' names: their numbers, where no file has others."""
    path = folder / _NAMES
    if not path.is_file():
        return tuple(map(str, range(count)))
    try:
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as error:
        raise TranslateError(f"{path}: cannot be read ({error})") from None
    if len(names) < count or len(set(names)) < len(names) or not all(names):
        raise UsageError(f"{path}: needs {count} different names, one a line")
    return names
