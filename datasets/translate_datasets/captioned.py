"""Pictures with captions, as methods read them that make pictures of texts."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from pydantic import Field, field_validator

from translate import Case, EvaluationSet, Export, Sample, UsageError
from translate.pipeline import PixelCache, mix, read_rgb, shuffled
from translate_datasets.captions import captions_in, refuse_missing
from translate_datasets.images import (
    GROUNDS,
    PictureOptions,
    Pictures,
    Pixels,
    in_channels,
    smooth_picture,
)

_MADE = 1000  # captions of either kind, learned and held out, that an evaluation asks for
_WORDS = 1  # stands beside a sample's seed where its words are drawn


class CaptionedOptions(PictureOptions):
    """How pictures with captions are found and become samples."""

    flip: bool = Field(
        default=False, description="mirror half of the samples; not where captions tell sides"
    )
    ground: Literal["white", "grey", "black"] = Field(
        default="white", description="what transparent pictures are laid on"
    )
    captions_from: str | None = Field(
        default=None, description="the column of a list that has the captions, if not by its name"
    )
    where: dict[str, str | tuple[str, ...]] = Field(
        default_factory=dict, description="take the rows of a list that have these values only"
    )
    allow_missing: bool = Field(
        default=False, description="go on without pictures that have no caption, and the reverse"
    )
    hold_out: float = Field(
        default=0.0, ge=0, le=0.9, description="share of the pictures kept for evaluation"
    )
    templates: tuple[str, ...] = Field(
        default=("{}",),
        min_length=1,
        description="what captions are put into while learning, one drawn for each sample",
    )
    drop_words: float = Field(
        default=0.0, ge=0, le=1, description="share of samples whose caption loses a word"
    )

    @field_validator("templates")
    @classmethod
    def _have_a_place(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        for template in templates:
            if "{}" not in template:
                raise ValueError(f"{template!r} has no {{}}, where the caption goes")
        return templates


class Captioned(Pictures[CaptionedOptions]):
    """Gives samples {"image": picture, "text": one of its captions}, shuffled."""

    Options = CaptionedOptions

    def __init__(
        self, folders: Sequence[Path], options: CaptionedOptions, needs: Mapping[str, Any]
    ) -> None:
        super().__init__(folders, options, needs)
        found = captions_in(
            [_part(folder, "train") for folder in folders],
            column=options.captions_from,
            where=options.where,
        )
        where = " and ".join(map(str, folders))
        if not options.allow_missing:
            refuse_missing(found, where)
        self.missing = [*found.bare, *found.lost]
        self.captions = found.captions
        held = {file for file in self.captions if is_held_out(file, options.hold_out)}
        self.files = [file for file in self.captions if file not in held]
        self.held_out = [file for file in self.captions if file in held]
        if not self.captions:
            asked = ", and the values of data.where" if options.where else ""
            raise UsageError(f"{where}: no picture has a caption{asked}")
        if not self.files:
            raise UsageError(f"data.hold_out={options.hold_out}: nothing is left to learn from")
        self._pixels = PixelCache(self.read, self.files)

    @classmethod
    def example(cls, folder: Path, size: int) -> Mapping[str, Any]:
        """Write four smooth pictures, each with two captions."""
        folder.mkdir(parents=True)
        for number, word in enumerate(("first", "second", "third", "fourth")):
            cv2.imwrite(str(folder / f"{number}.png"), smooth_picture(number, size))
            (folder / f"{number}.txt").write_text(f"the {word} picture\npicture number {number}\n")
        return {}

    @classmethod
    def evaluation(
        cls,
        folders: Sequence[Path],
        options: CaptionedOptions,
        needs: Mapping[str, Any],
        export: Export,
        compare: Literal["pairs", "sets"] | None = None,
        side: Literal["A", "B"] | None = None,
    ) -> EvaluationSet:
        """Return captions, each with the picture that it is of, beside all real ones.

        No model has learned from those that are held out, or from a folder's ``test``.
        """
        # What lacks its partner is told to the host, which asks the user.
        channels = 1 if export.mode[1] == "L" else 3
        options = options.model_copy(update={"allow_missing": True, "channels": channels})
        data = cls(folders, options, needs)
        learned, unseen = data.files, data.held_out
        captions, missing = dict(data.captions), data.missing
        if any((folder / "test").is_dir() for folder in folders):
            options = options.model_copy(update={"hold_out": 0.0})
            test = cls([_part(folder, "test") for folder in folders], options, needs)
            unseen = [*unseen, *test.files]
            captions |= test.captions
            missing = [*missing, *test.missing]
        cases = [
            Case(
                f"{file.name}: {captions[file][0]}",
                None,
                partial(data.whole, file),
                value=captions[file][0],
                seed=seed,
                unseen=kept,
            )
            for files, kept in ((learned, False), (unseen, True))
            for seed, file in enumerate(files[:: max(1, math.ceil(len(files) / _MADE))])
        ]
        files = [*learned, *unseen]
        return EvaluationSet(
            "captions",
            cases,
            [partial(data.whole, file) for file in files],
            captions=[captions[file][0] for file in files],
            unseen=len(unseen),
            unmatched=missing,
            described=f"{len(cases):,} captions, beside {len(files):,} pictures, {len(unseen):,} "
            "of which no model has learned from",
        )

    def whole(self, file: Path) -> Any:
        """Return a picture as it is in samples, but always the same."""
        return self.cut(self.read(file), 0)

    def __len__(self) -> int:
        return len(self.files)

    def describe(self) -> str:
        count = sum(len(self.captions[file]) for file in self.files)
        text = f"captioned: {len(self):,} pictures with {count:,} captions"
        if self.held_out:
            text += f", {len(self.held_out):,} held out"
        return text + (f", {len(self.missing):,} without a partner" if self.missing else "")

    def sample(self, number: int, seed: int) -> Sample:
        file, pixels = self._pixels.at(self.files, shuffled(number, len(self), seed))
        captions, drawn = self.captions[file], mix(seed, number)
        return {
            "image": self.cut(pixels, drawn),
            "text": self.worded(captions[mix(drawn) % len(captions)], mix(drawn, _WORDS)),
        }

    def worded(self, caption: str, seed: int) -> str:
        """Return a caption as somebody else might have put it: less exactly, or in a sentence."""
        which, whether, where = np.random.default_rng(seed).random(3)
        words = caption.split()
        if whether < self.options.drop_words and len(words) > 1:
            place = int(where * len(words))
            caption = " ".join(words[:place] + words[place + 1 :])
        templates = self.options.templates
        return templates[int(which * len(templates))].replace("{}", caption)

    def read(self, file: Path) -> Pixels:
        ground = GROUNDS[self.options.ground]
        return in_channels(read_rgb(file, ground=ground), self.channels)


def is_held_out(file: Path, share: float) -> bool:
    """Say whether a picture is kept for evaluation: by its name alone, wherever it lies.

    What is held out at some share is so at any larger one.
    """
    digest = hashlib.sha256(os.fsencode(file.name)).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def _part(folder: Path, name: str) -> Path:
    """Return the folder of that name inside, if there is one."""
    return folder / name if (folder / name).is_dir() else folder
