"""Do pictures show the scenes that their captions describe? Attribute by attribute, by program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from pydantic import Field

from translate import Comparison, Measure, Result, Settings
from translate_datasets.scene import Scene, parse
from translate_measures.reading import SceneReader, train_reader
from translate_measures.seeing import Pixels, Sight, look

_HELD_OUT = 10  # of real pictures, where none is unseen: every tenth
_ATTRIBUTES = ("ground", "colour", "digit", "count", "size")


class Shown(NamedTuple):
    """What is seen in a picture, what it should be, and whether a model has learned that."""

    sight: Sight
    scene: Scene
    unseen: bool


class AttributeOptions(Settings):
    """How the reader of digits learns."""

    passes: int = Field(
        default=3, ge=1, le=100, description="over the real digits; more is surer and slower"
    )
    width: int = Field(default=16, ge=4, le=256, description="the classifier's first channels")
    seed: int = Field(default=0, ge=0, description="of its weights and of the order of digits")


class Attributes(Measure[AttributeOptions]):
    """How often ground, colour, digit, count and size are those of the caption, and all at once.

    Captions that were learned and those kept out of training are counted apart. What reads the
    pictures makes mistakes of its own; how often it is right of real pictures is said beside.
    Captions that describe no scene are passed over.
    """

    Options = AttributeOptions

    def __init__(self, options: AttributeOptions, device: torch.device) -> None:
        super().__init__(options, device)
        self._made: list[Shown] = []
        self._real: list[Shown] = []

    def add(self, comparison: Comparison) -> None:
        if scene := _scene(comparison.value):
            self._made.append(Shown(look(comparison.output), scene, comparison.unseen))

    def add_captioned(self, pixels: Pixels, caption: str, *, unseen: bool) -> None:
        if scene := _scene(caption):
            self._real.append(Shown(look(pixels), scene, unseen))

    def results(self) -> Sequence[Result]:
        if not self._made:
            return []
        learned, others = self._parted()
        o = self.options
        reader = train_reader(
            [one.sight for one in learned],
            [one.scene for one in learned],
            passes=o.passes, width=o.width, seed=o.seed, device=self.device,
        )  # fmt: skip
        return [
            *_accuracies(
                reader,
                [one for one in self._made if not one.unseen],
                "",
                "captions that were learned; digits are read by a small convolutional network "
                f"after {o.passes} passes over {len(learned):,} real pictures",
            ),
            *_accuracies(
                reader,
                [one for one in self._made if one.unseen],
                ", unseen",
                "captions that no model has learned",
            ),
            *_accuracies(
                reader, others, " of real ones", "other real pictures: how well the program reads"
            ),
        ]

    def _parted(self) -> tuple[list[Shown], list[Shown]]:
        """Return the real pictures to learn from, and those to tell how well that went."""
        apart = [one.unseen for one in self._real]
        if not any(apart):
            apart = [number % _HELD_OUT == 0 for number in range(len(self._real))]
        both = list(zip(self._real, apart, strict=True))
        return [one for one, other in both if not other], [one for one, other in both if other]


def _accuracies(
    reader: SceneReader, shown: Sequence[Shown], suffix: str, protocol: str
) -> list[Result]:
    """Return the share of pictures in which all is right, and each attribute by itself."""
    if not shown:
        return []
    digits = reader.digits([one.sight for one in shown])
    right = {
        name: [
            (digit if name == "digit" else getattr(one.sight, name)) == getattr(one.scene, name)
            for digit, one in zip(digits, shown, strict=True)
        ]
        for name in _ATTRIBUTES
    }
    right = {"whole scene": [all(each) for each in zip(*right.values(), strict=True)], **right}
    return [
        Result(
            f"{name}{suffix}", 100 * sum(each) / len(each), f"of {len(each):,} {protocol}", "%",
            decimals=1,
        )
        for name, each in right.items()
    ]  # fmt: skip


def _scene(caption: str | None) -> Scene | None:
    try:
        return parse(caption or "")
    except ValueError:
        return None
