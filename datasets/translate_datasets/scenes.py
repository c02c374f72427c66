"""Scenes of handwritten digits, made as they are needed: captions that a program can check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from pydantic import Field

from translate import Case, Dataset, EvaluationSet, Export, Facts, Sample, Settings, UsageError
from translate.pipeline import mix, read_rgb, shuffled
from translate_datasets.drawing import Grey, draw
from translate_datasets.idx import write_idx
from translate_datasets.images import Pixels, side_of
from translate_datasets.labelled import IdxFiles, find_source
from translate_datasets.scene import Scene, all_scenes, describe, kept_out

_LEAST = 32  # pixels of the sides, below which small digits cannot be told
_MADE = 500  # captions of either kind, learned and kept out, that an evaluation asks for
_REAL = 3000, 1000  # pictures beside them: of digits to learn from, and of others
_DRAWN = 1000  # stands where the seeds of training have a sample's number


class ScenesOptions(Settings):
    """What scenes are like."""

    size: int | None = Field(
        default=None,
        ge=_LEAST,
        le=256,
        description="sides in pixels, where the method does not say",
    )
    unseen: float = Field(
        default=0.1, ge=0, le=0.5, description="share of colours of digits that are never shown"
    )


class Scenes(Dataset[ScenesOptions]):
    """Gives samples {"image": picture, "text": caption}, drawn from the IDX files of MNIST."""

    Options = ScenesOptions

    def __init__(
        self, folders: Sequence[Path], options: ScenesOptions, needs: Mapping[str, Any]
    ) -> None:
        super().__init__(folders, options, needs)
        self.size = side_of(options.size, needs)
        if self.size < _LEAST:
            raise UsageError(f"scenes of {self.size} pixels: digits cannot be told below {_LEAST}")
        self.digits = Digits(folders)
        unseen = kept_out(options.unseen)
        self.scenes = [s for s in all_scenes() if (s.colour, s.digit) not in unseen]
        self.unseen = [s for s in all_scenes() if (s.colour, s.digit) in unseen]

    @classmethod
    def example(cls, folder: Path, size: int) -> Mapping[str, Any]:
        """Write printed digits, a few of each, where handwritten ones are expected."""
        write_printed_digits(folder)
        return {"size": max(size, _LEAST)}

    @classmethod
    def evaluation(
        cls,
        folders: Sequence[Path],
        options: ScenesOptions,
        needs: Mapping[str, Any],
        export: Export,
        compare: Literal["pairs", "sets"] | None = None,
        side: Literal["A", "B"] | None = None,
    ) -> EvaluationSet:
        """Return captions of scenes that were learned and of such that never were.

        Beside them are pictures of learned scenes, and others of all scenes with the digits of
        the test files.
        """
        data = cls(folders, options, needs)
        test = Digits(folders, split="test")
        asked = [(scene, False) for scene in data.drawn(data.scenes, _MADE)]
        asked += [(scene, True) for scene in data.drawn(data.unseen, _MADE)]
        first, others = _REAL
        real = [(scene, data.digits) for scene in data.drawn(data.scenes, first)]
        real += [(scene, test) for scene in data.drawn(all_scenes(), others)]
        cases = [
            Case(
                f"{describe(scene)}, seed {seed}",
                None,
                value=describe(scene),
                seed=seed,
                unseen=kept,
            )
            for seed, (scene, kept) in enumerate(asked)
        ]
        return EvaluationSet(
            "captions",
            cases,
            [
                partial(
                    draw, scene, partial(digits.pick, scene.digit), data.size, mix(seed, _DRAWN)
                )
                for seed, (scene, digits) in enumerate(real)
            ],
            captions=[describe(scene) for scene, _ in real],
            unseen=others,
            described=f"{len(cases):,} scenes, beside {len(real):,} real ones",
        )

    @staticmethod
    def drawn(scenes: Sequence[Scene], count: int) -> list[Scene]:
        """Return so many of some scenes, all equally often, but for one; none of none."""
        return [scenes[shuffled(n, len(scenes), 0)] for n in range(count if scenes else 0)]

    @property
    def facts(self) -> Facts:
        return Facts(channels=3)

    @property
    def working_size(self) -> int | None:
        return self.size

    def __len__(self) -> int:
        return len(self.digits)

    def describe(self) -> str:
        text = f"scenes: {len(self.scenes):,} captions, drawn with {len(self):,} digits"
        return text + (f"; {len(self.unseen):,} captions kept out" if self.unseen else "")

    def sample(self, number: int, seed: int) -> Sample:
        scene = self.scenes[shuffled(number, len(self.scenes), seed)]
        pick = partial(self.digits.pick, scene.digit)
        picture = draw(scene, pick, self.size, mix(seed, number))
        return {"image": picture, "text": describe(scene)}


class Digits:
    """Handwritten digits by their kind.

    Raises:
        UsageError: if a folder has no IDX files of all ten.
    """

    def __init__(
        self, folders: Sequence[Path], *, split: Literal["train", "test"] = "train"
    ) -> None:
        source = find_source(folders, read_rgb, split=split)
        if not isinstance(source, IdxFiles):
            raise UsageError(f"--data {folders[0]}: scenes are made of MNIST's IDX files")
        self._source = source
        self._places = [np.flatnonzero(source.labels == digit) for digit in range(10)]
        lacks = [digit for digit, places in enumerate(self._places) if not len(places)]
        if lacks or len(source.classes) > 10:
            found = f"no {lacks[0]} among them" if lacks else f"but {len(source.classes)} classes"
            raise UsageError(f"{source.images}: scenes need the digits 0 to 9; {found}")

    def __len__(self) -> int:
        return len(self._source)

    def pick(self, digit: int, chance: float) -> Grey:
        """Return one of a kind of digits, (H, W), for a number in [0, 1)."""
        places = self._places[digit]
        pixels, _ = self._source.at(int(places[int(chance * len(places))]))
        grey: Grey = pixels[..., 0]
        return grey


def write_printed_digits(folder: Path, *, each: int = 4) -> None:
    """Write IDX files as MNIST's, of printed digits in several strengths."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.arange(10 * each, dtype=np.uint8) % 10
    pictures = np.stack([_printed(int(digit), n // 10) for n, digit in enumerate(labels)])
    for word in ("train", "t10k"):
        write_idx(folder / f"{word}-images-idx3-ubyte", pictures)
        write_idx(folder / f"{word}-labels-idx1-ubyte", labels)


def _printed(digit: int, variant: int) -> Pixels:
    pixels = np.zeros((28, 28), np.uint8)
    font, strength = cv2.FONT_HERSHEY_SIMPLEX, 2 + variant % 2
    cv2.putText(pixels, str(digit), (6, 23), font, 0.7 + 0.05 * variant, 255, strength)
    return pixels
