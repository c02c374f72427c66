"""Pictures in pairs, as pix2pix reads them: the same place before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from translate import (
    Batch,
    EvaluationSet,
    Export,
    Facts,
    Sample,
    UsageError,
)
from translate.pipeline import (
    PixelCache,
    cut,
    draws,
    flip,
    jitter_colour,
    mix,
    read_rgb,
    shuffled,
)
from translate_datasets.cutting import CutOptions, Cutting
from translate_datasets.images import GROUNDS, in_channels
from translate_datasets.making import as_edges, as_grey
from translate_datasets.pairing import pairs_in, single_pictures

Pixels = NDArray[np.uint8]
Channels = Literal[1, 3]


class PairedOptions(CutOptions):
    """How pictures become pairs, and pairs become samples."""

    pairs: Literal["folders", "side-by-side", "grey", "edges"] = Field(
        default="folders",
        description="folders: matched by name, or a CSV file of pairs; side-by-side: both halves "
        "of one picture; grey, edges: the input (a) is made of each photograph (b)",
    )
    direction: Literal["a2b", "b2a"] = Field(default="a2b", description="b2a learns the way back")
    allow_missing: bool = Field(
        default=False, description="go on without the pictures that have no partner"
    )
    match_sizes: bool = Field(
        default=False, description="bring a to the size of b; otherwise they must be equal"
    )
    channels_a: Channels = Field(default=3, description="1 reads side a as grey: masks, drawings")
    channels_b: Channels = Field(default=3, description="1 reads side b as grey")
    labels: Literal["none", "a", "b", "both"] = Field(
        default="none",
        description="sides whose colours are labels: resizing mixes none, colour changes none",
    )
    ground: Literal["white", "grey", "black"] = Field(
        default="white", description="what transparent pictures are laid on"
    )
    colour_of: Literal["input", "both"] = Field(
        default="input", description="both: one change for both sides, where both are photographs"
    )


class Paired(Cutting[PairedOptions]):
    """Gives samples {"a": picture, "b": picture} of the same place; a is what is translated.

    Both halves of a pair go through everything as one picture of more channels, so that no cut
    can part them. Where a is made of b, that is done on the device.
    """

    Options = PairedOptions
    aligned = True

    def __init__(
        self, folders: Sequence[Path], options: PairedOptions, needs: Mapping[str, Any]
    ) -> None:
        super().__init__(folders, options, needs)
        self._missing: list[str] = []
        self._partners: dict[Path, Path] = {}
        if options.pairs == "folders":
            pairs, self._missing = pairs_in(folders, allow_missing=options.allow_missing)
            self.files = [a for a, _ in pairs]
            self._partners = dict(pairs)
        else:
            self.files = single_pictures(folders)
        self._made = options.pairs in ("grey", "edges")
        self._pixels = PixelCache(self._read, self.files, self._partners)

    @classmethod
    def example(cls, folder: Path, size: int) -> Mapping[str, Any]:
        """Write three smooth pictures and their negatives."""
        for number in range(3):
            few = np.random.default_rng(number).integers(0, 255, (3, 3, 3), dtype=np.uint8)
            pixels = cv2.resize(few, (size, size), interpolation=cv2.INTER_CUBIC)
            for side, one in (("A", pixels), ("B", 255 - pixels)):
                (folder / f"train{side}").mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / f"train{side}" / f"{number}.png"), one)
        return {"mode": "crop", "size": size}

    @classmethod
    def evaluation(
        cls,
        folders: Sequence[Path],
        options: PairedOptions,
        needs: Mapping[str, Any],
        export: Export,
        compare: Literal["pairs", "sets"] | None = None,
        side: Literal["A", "B"] | None = None,
    ) -> EvaluationSet:
        """Return pairs, read as in training, but whole."""
        from translate_datasets.whole import WholePairs  # which is one of these

        if compare == "sets":
            return super().evaluation(folders, options, needs, export, compare, side)
        if side is not None:
            way = {"A": "a2b", "B": "b2a"}[side]
            options = options.model_copy(update={"direction": way})
        return WholePairs(folders, options, needs).tried()

    @property
    def facts(self) -> Facts:
        o = self.options
        channels = (1 if self._made else o.channels_a, o.channels_b)
        if o.direction == "b2a":
            channels = channels[::-1]
        same = channels[0] == channels[1]
        return Facts(channels=channels[0], channels_out=None if same else channels[1])

    def __len__(self) -> int:
        return len(self.files)

    def describe(self) -> str:
        text = f"paired: {len(self.files)} pairs"
        if self.options.pairs != "folders":
            text += f" ({self.options.pairs})"
        return text + (f", {len(self._missing)} without a partner" if self._missing else "")

    def sample(self, number: int, seed: int) -> Sample:
        place = shuffled(number, len(self.files), seed)
        file, pixels = self._pixels.at(self.files, place)
        box = self.box(pixels.shape[0], pixels.shape[1], mix(seed, number), file)
        return {
            self._name(side): cut(half, box, self.resized, nearest=side in self._labels)
            for side, half in self._halves(pixels)
        }

    def on_device(self, batch: Batch) -> Batch:
        images, o = dict(batch.tensors), self.options
        chance = draws(batch.seeds, 5, 0)
        if o.colour:
            for side in self._coloured():
                images[side] = jitter_colour(images[side], o.colour, chance[:, 1:])
        if o.flip:
            images = {side: flip(x, chance[:, 0]) for side, x in images.items()}
        if self._made:
            make = as_grey if o.pairs == "grey" else as_edges
            images[self._name("a")] = make(images[self._name("b")])
        return Batch({side: images[side] for side in ("a", "b")}, batch.seeds)

    @property
    def _labels(self) -> str:
        """The files' sides whose colours are labels."""
        return {"none": "", "both": "ab"}.get(self.options.labels, self.options.labels)

    def _name(self, side: str) -> str:
        """Return the field of what the files call a or b."""
        return side if self.options.direction == "a2b" else {"a": "b", "b": "a"}[side]

    def _coloured(self) -> list[str]:
        """Return the fields whose colours may change: never labels, never what has none."""
        o = self.options
        if self._made:
            return [self._name("b")] if o.channels_b == 3 else []
        sides = [("a", o.channels_a), ("b", o.channels_b)]
        free = [s for s, channels in sides if channels == 3 and s not in self._labels]
        fields = [self._name(side) for side in free]
        return [field for field in fields if field == "a" or o.colour_of == "both"]

    def _read(self, file: Path) -> Pixels:
        """Return both halves of the pair that begins with ``file`` as one: (H, W, Ca + Cb)."""
        o = self.options
        halves = [read_rgb(file, ground=GROUNDS[o.ground])]
        if self._partners:
            halves.append(read_rgb(self._partners[file], ground=GROUNDS[o.ground]))
        elif o.pairs == "side-by-side":
            width = halves[0].shape[1]
            if width % 2:
                raise UsageError(f"{file}: {width} pixels wide, which is no two equal halves")
            halves = [halves[0][:, : width // 2], halves[0][:, width // 2 :]]
        self._check_sizes(file, halves)
        squeezed = o.mode == "resize-and-crop"
        shape = (o.load, o.load) if squeezed else halves[-1].shape[:2]
        sides = [("b", o.channels_b)] if self._made else [("a", o.channels_a), ("b", o.channels_b)]
        resized = [
            in_channels(self._resized(half, shape, side), channels)
            for half, (side, channels) in zip(halves, sides, strict=True)
        ]
        return np.concatenate(resized, axis=2)

    def _check_sizes(self, file: Path, halves: Sequence[Pixels]) -> None:
        shapes = {half.shape for half in halves}
        if len(shapes) > 1 and not self.options.match_sizes:
            (ah, aw, _), (bh, bw, _) = (half.shape for half in halves)
            raise UsageError(
                f"{file}: {aw}×{ah}, but its partner {self._partners[file]} is {bw}×{bh}; "
                "data.match_sizes=true resizes the first"
            )

    def _resized(self, pixels: Pixels, shape: tuple[int, int], side: str) -> Pixels:
        whole = (0, 0, *pixels.shape[:2])
        resized: Pixels = cut(pixels, whole, shape, nearest=side in self._labels)
        return resized

    def _halves(self, pixels: Any) -> list[tuple[str, Any]]:
        """Return the files' sides, and which channels of a pair are theirs."""
        if self._made:
            return [("b", pixels)]
        a = self.options.channels_a
        return [("a", pixels[..., :a]), ("b", pixels[..., a:])]
