"""Does a picture show its caption? That is looked for among others, by a joint embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from translate import Comparison, Measure, Result, Settings, TranslateError
from translate_text2image.joint import JointEmbedding, train
from translate_text2image.text import plain

Pixels = NDArray[np.float32]  # (H, W, 3) in [0, 255]

_HELD_OUT = 10  # of real pictures, where none is unseen: every tenth
_LEAST = 8  # pixels of the sides, below which the embedding sees nothing
_AT_ONCE = 256


class Shown(NamedTuple):
    """A picture (3, S, S) uint8, what it should show, and whether a model has learned that."""

    pixels: Tensor
    caption: str
    unseen: bool


class RetrievalOptions(Settings):
    """How the right caption is looked for, and how the embedding learns that."""

    among: int = Field(
        default=100, ge=2, le=10_000, description="captions, one of them right; more is harder"
    )
    images: int = Field(
        default=30_000, ge=1, description="in which the embedding learns; more is surer and slower"
    )
    batch_size: int = Field(
        default=64, ge=2, le=4096, description="of these; more must be told apart at once"
    )
    size: int = Field(
        default=64, ge=_LEAST, le=256, description="sides in pixels at most; larger shows detail"
    )
    width: int = Field(
        default=32, ge=4, le=256, description="channels that pictures are first seen in"
    )
    seed: int = Field(
        default=0,
        ge=0,
        description="of its weights, and of which captions are beside the right one",
    )


class Retrieval(Measure[RetrievalOptions]):
    """R@1: how often the right caption is nearest to a picture, of many; and its median rank.

    The embedding is no part of any model. It learns anew each time, from the real pictures that
    are not held out, so that nothing about it is stale. Its own mistakes are those that it makes of
    real pictures, which are said beside.
    """

    Options = RetrievalOptions

    def __init__(self, options: RetrievalOptions, device: torch.device) -> None:
        super().__init__(options, device)
        self._made: list[Shown] = []
        self._real: list[Shown] = []
        self._side = 0  # of all pictures, as the first one has it

    def add(self, comparison: Comparison) -> None:
        if comparison.value is None:
            raise TranslateError("no caption was asked for")
        pixels = self._shrunk(comparison.output)
        self._made.append(Shown(pixels, plain(comparison.value), comparison.unseen))

    def add_captioned(self, pixels: Pixels, caption: str, *, unseen: bool) -> None:
        self._real.append(Shown(self._shrunk(pixels), plain(caption), unseen))

    def results(self) -> Sequence[Result]:
        if not self._made:
            return []
        o, real = self.options, self._parted()
        learned = [one for one in real if not one.unseen]
        embedding = train(
            [one.pixels for one in learned],
            [one.caption for one in learned],
            images=o.images, batch_size=o.batch_size, width=o.width, seed=o.seed,
            device=self.device,
        )  # fmt: skip
        how = (
            f"by an embedding that learned in {o.images:,} images, from {len(learned):,} real "
            f"pictures, {self._side}×{self._side}"
        )
        return [
            *self._found(embedding, real, False, how),
            *self._found(embedding, real, True, "the same embedding"),
        ]

    def _found(
        self, embedding: JointEmbedding, real: Sequence[Shown], unseen: bool, how: str
    ) -> list[Result]:
        """Return the numbers of what was learned or was not: of outputs, and of real pictures."""
        made = [one for one in self._made if one.unseen == unseen]
        real = [one for one in real if one.unseen == unseen]
        # Both are looked for among the same captions: the numbers of one say what the other's mean.
        captions = sorted({one.caption for one in (*made, *real)})
        if len(captions) < 2:
            return []
        beside = candidates(len(captions), self.options.among, self.options.seed)
        texts = embedding.texts(captions)
        places = {caption: place for place, caption in enumerate(captions)}
        found: list[Result] = []
        for shown, what, suffix in ((made, "outputs", ""), (real, "real ones", " of real ones")):
            if shown:
                pictures = embedding.pictures(torch.stack([one.pixels for one in shown]))
                right = torch.tensor([places[one.caption] for one in shown])
                rank = ranks(pictures, texts, beside[right])
                kind = "unseen" if unseen else "learned"
                found += _told(rank, beside.shape[1], suffix, (kind, what, how))
        return found

    def _parted(self) -> list[Shown]:
        """Return the real pictures, of which some are unseen."""
        if any(one.unseen for one in self._real):
            return self._real
        return [
            one._replace(unseen=number % _HELD_OUT == 0) for number, one in enumerate(self._real)
        ]

    def _shrunk(self, pixels: Pixels) -> Tensor:
        """Return a picture (3, S, S) in bytes, since thousands are kept."""
        self._side = self._side or min(max(_LEAST, *pixels.shape[:2]), self.options.size)
        size = self._side, self._side
        if pixels.shape[:2] != size:
            smaller = self._side < max(pixels.shape[:2])
            how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
            pixels = cv2.resize(pixels, size, interpolation=how).astype(np.float32)
        whole = np.rint(pixels).clip(0, 255).astype(np.uint8)
        return torch.from_numpy(whole).permute(2, 0, 1).contiguous()


def _told(rank: Tensor, among: int, suffix: str, which: tuple[str, str, str]) -> list[Result]:
    """Return R@1 and the median of ranks (N,) among so many."""
    kind, what, how = which
    suffix += ", unseen" if kind == "unseen" else ""
    protocol = f"right caption nearest, of {among:,} that are {kind} (chance {100 / among:.3g} %)"
    return [
        Result(
            f"R@1{suffix}", 100 * float((rank == 1).double().mean()),
            f"{protocol}, {len(rank):,} {what}, {how}", "%", decimals=1,
        ),
        Result(
            f"median rank{suffix}", float(rank.double().quantile(0.5)),
            f"of the right caption, 1 is best (chance {(among + 1) / 2:g})", decimals=1,
        ),
    ]  # fmt: skip


def candidates(count: int, among: int, seed: int) -> Tensor:
    """Return for each of so many captions which are looked at: (count, K) int64, itself first.

    K is ``among``, or ``count`` if there are no more. Each row depends on its own place and the
    seed alone.
    """
    rows = []
    for place in range(count):
        chance = np.random.default_rng([seed, place])
        others = chance.choice(count - 1, min(among, count) - 1, replace=False)
        rows.append(np.concatenate([[place], others + (others >= place)]))
    return torch.from_numpy(np.stack(rows))


def ranks(pictures: Tensor, texts: Tensor, beside: Tensor) -> Tensor:
    """Return the place of each picture's own caption, by likeness: (N,) int64, from 1 on.

    Args:
        pictures: (N, D), rows of length 1.
        texts: (T, D), rows of length 1.
        beside: (N, K), which texts are compared, the picture's own first. An equal one goes before
            it, so that an embedding in which all is equal finds nothing.
    """
    found = []
    for some, which in zip(
        torch.split(pictures, _AT_ONCE), torch.split(beside, _AT_ONCE), strict=True
    ):
        scores = (some @ texts.T).gather(1, which)
        found.append(1 + (~(scores[:, 1:] < scores[:, :1])).sum(1))
    return torch.cat(found)
