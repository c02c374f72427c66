"""The contract between the host and a measure: what it is shown, and what it says in the end.

All pixels that a measure is shown are (H, W, 3) float32 in [0, 255]: grey is repeated, 16 bits
are kept as fractions, and what is transparent lies on white.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from translate.options import Settings

if TYPE_CHECKING:
    import torch

O = TypeVar("O", bound=Settings)  # noqa: E741

Pixels = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Comparison:
    """One output beside what it was made from and what it should have been.

    Attributes:
        name: of the input, for messages.
        source: what the model was given, whole; None where it was given no picture.
        output: what came out; ``scale`` times the source's size.
        target: (H, W, 3) as ``output``; None where outputs have no targets of their own.
        label: the number of the class that was asked for, where one was.
        value: what was asked for in words: a class's name, a prompt.
        unseen: no model has learned what was asked for.
    """

    name: str
    source: Pixels | None
    output: Pixels
    target: Pixels | None = None
    label: int | None = None
    value: str | None = None
    unseen: bool = False


@dataclass(frozen=True)
class Result:
    """A number, and how it came about.

    Attributes:
        name: such as "PSNR"; of another name where the protocol makes it another number.
        value: the number; infinite where there is nothing to measure (PSNR of equal pictures).
        protocol: in words all that a number of that name may differ in, and over how many pictures.
        unit: such as "dB".
        deviation: its standard deviation, where the protocol gives one.
        decimals: how many of them mean something.
    """

    name: str
    value: float
    protocol: str
    unit: str = ""
    deviation: float | None = None
    decimals: int = 4


class Measure(ABC, Generic[O]):
    """Says how good outputs are. One is made for each model in the table.

    A field of ``Options`` without a default is what the user must give (a file, say); such a
    measure is taken only where it is given.
    """

    Options: ClassVar[type[Settings]] = Settings
    larger_is_better: ClassVar[bool] = True

    def __init__(self, options: O, device: torch.device) -> None:
        """Get ready.

        Args:
            device: where to compute, if anything is to be computed there.

        Raises:
            UsageError: if what it needs is not there.
        """
        self.options, self.device = options, device

    @abstractmethod
    def add(self, comparison: Comparison) -> float | None:
        """Take in one output; return its own value, or None where only all have one.

        Raises:
            TranslateError: if it cannot be measured; it is reported, and the others go on.
        """

    def add_real(self, pixels: Pixels) -> None:
        """Take in one of the real pictures that the outputs should be like, each once."""
        return

    def add_labelled(self, pixels: Pixels, label: int, *, unseen: bool) -> None:
        """Take in a real picture of a known class.

        Args:
            unseen: no model has learned from it.
        """
        self.add_real(pixels)

    def add_captioned(self, pixels: Pixels, caption: str, *, unseen: bool) -> None:
        """Take in a real picture with its caption.

        Args:
            unseen: no model has learned from it.
        """
        self.add_real(pixels)

    @abstractmethod
    def results(self) -> Sequence[Result]:
        """Return the numbers of all that was added; none if nothing was.

        Raises:
            TranslateError: if that is too little to measure.
        """
