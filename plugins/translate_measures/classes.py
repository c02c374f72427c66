"""Do pictures show the class that was asked for, and how varied are they within it?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from translate import Comparison, Measure, Result, Settings, TranslateError
from translate_measures.classifier import accuracy, chosen, train

Pixels = NDArray[np.float32]  # (H, W, 3) in [0, 255]

_HELD_OUT = 10  # of real pictures, where none is unseen: every tenth


class ClassOptions(Settings):
    """How the classifier learns."""

    passes: int = Field(
        default=3, ge=1, le=100, description="over the real pictures; more is surer and slower"
    )
    width: int = Field(default=16, ge=4, le=256, description="the classifier's first channels")
    seed: int = Field(default=0, ge=0, description="of its weights and of the order of pictures")


class Classes(Measure[ClassOptions]):
    """How often a classifier sees the class that was asked for, and the spread within classes.

    The classifier learns from the real pictures anew each time, so that nothing about it is stale;
    what it makes of real pictures that it has not seen is said beside its judgement.
    """

    Options = ClassOptions

    def __init__(self, options: ClassOptions, device: torch.device) -> None:
        super().__init__(options, device)
        self._made: list[NDArray[np.uint8]] = []
        self._asked: list[int] = []
        self._real: list[NDArray[np.uint8]] = []
        self._labels: list[int] = []
        self._unseen: list[bool] = []

    def add(self, comparison: Comparison) -> None:
        if comparison.label is None:
            raise TranslateError("no class was asked for")
        self._made.append(_kept(comparison.output))
        self._asked.append(comparison.label)

    def add_labelled(self, pixels: Pixels, label: int, *, unseen: bool) -> None:
        self._real.append(_kept(pixels))
        self._labels.append(label)
        self._unseen.append(unseen)

    def results(self) -> Sequence[Result]:
        if not self._made:
            return []
        made, asked = _images(self._made), torch.tensor(self._asked)
        real, labels = _images(self._real), torch.tensor(self._labels)
        if made.shape[1:] != real.shape[1:]:
            raise TranslateError(
                f"pictures of {_size(made)} are made, but the real ones have {_size(real)}"
            )
        unseen = torch.tensor(self._unseen)
        if not unseen.any():
            unseen = torch.arange(len(real)) % _HELD_OUT == 0
        return [
            *self._accuracy(made, asked, real, labels, unseen),
            *self._spread(made, asked, real[~unseen], labels[~unseen]),
        ]

    def _accuracy(
        self, made: Tensor, asked: Tensor, real: Tensor, labels: Tensor, unseen: Tensor
    ) -> list[Result]:
        o = self.options
        classifier = train(
            real[~unseen], labels[~unseen], passes=o.passes, width=o.width, seed=o.seed,
            device=self.device,
        )  # fmt: skip
        right = 100 * accuracy(chosen(classifier, real[unseen]), labels[unseen])
        protocol = (
            f"of {len(made):,} pictures, by a small convolutional network after {o.passes} passes "
            f"over {int((~unseen).sum()):,} real ones"
        )
        seen = chosen(classifier, made)
        each = {
            int(label): 100 * accuracy(seen[asked == label], asked[asked == label])
            for label in torch.unique(asked)
        }
        worst = min(each, key=lambda label: each[label])
        count = int((asked == worst).sum())
        return [
            Result("class accuracy", 100 * accuracy(seen, asked), protocol, "%", decimals=1),
            Result(
                "worst class", each[worst], f"of {count:,} of class number {worst}", "%", decimals=1
            ),
            Result(
                "on real ones", right, f"of {int(unseen.sum()):,} others, the same", "%", decimals=2
            ),
        ]

    def _spread(self, made: Tensor, asked: Tensor, real: Tensor, labels: Tensor) -> list[Result]:
        each = {}
        for label in map(int, torch.unique(asked)):
            ours, theirs = made[asked == label], real[labels == label]
            count = min(len(ours), len(theirs))
            if count > 1:
                each[label] = spread(ours[:count]) / spread(theirs[:count])
        if not each:
            return []
        least = min(each, key=lambda label: each[label])
        protocol = (
            "mean difference of two pictures of a class (root mean square over pixels), as a share "
            "of that of as many real ones"
        )
        mean = sum(each.values()) / len(each)
        return [
            Result("spread", mean, f"{protocol}, mean over classes", decimals=2),
            Result("least spread", each[least], f"the same, class number {least}", decimals=2),
        ]


def spread(images: Tensor) -> float:
    """Return the mean over all pairs of images (N, C, H, W) of their root mean square difference.

    N is at least 2; the range is that of the images.
    """
    x = images.flatten(1).double()
    squared = (torch.cdist(x, x) ** 2 / x.shape[1]).clamp(min=0)
    return float(squared.sqrt().sum() / (len(x) * (len(x) - 1)))


def _kept(pixels: Pixels) -> NDArray[np.uint8]:
    """Return pixels in bytes, (H, W, 1) where they are grey: tens of thousands are kept."""
    rounded = np.rint(pixels).astype(np.uint8)
    grey = (rounded == rounded[..., :1]).all()
    return rounded[..., :1].copy() if grey else rounded


def _images(kept: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Return pixels as images (N, C, H, W) in [-1, 1]."""
    shapes: defaultdict[tuple[int, ...], int] = defaultdict(int)
    for pixels in kept:
        shapes[pixels.shape[:2]] += 1
    if len(shapes) > 1:
        raise TranslateError("the pictures differ in size, and cannot be judged by one classifier")
    channels = max(pixels.shape[2] for pixels in kept)
    stacked = np.stack([np.broadcast_to(p, (*p.shape[:2], channels)) for p in kept])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def _size(images: Tensor) -> str:
    return f"{images.shape[3]}×{images.shape[2]} and {images.shape[1]} channels"
