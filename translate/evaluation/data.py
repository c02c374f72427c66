"""What a model is tried on: inputs, and the pictures that its outputs are held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from translate.evaluation.measure import Pixels
from translate.images import Picture, read_picture
from translate.images.encoding import on_white

# A picture's file, or what makes its pixels: (H, W, C) uint8 or uint16, C 1 or 3.
PictureSource = Path | Callable[[], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Case:
    """One input, and what should come of it where that is known.

    Attributes:
        name: for messages and sheets.
        source, target: a picture's file, or a function that makes its pixels, (H, W, C) uint8 or
            uint16; read when they are needed. The source is None where no picture is read.
        value: what is read then: a class's name, a prompt, or None for nothing but noise.
        seed: what is drawn then depends on it.
        label: the number of the class that was asked for.
        unseen: no model has learned what is asked for, such as a caption that was held out.
    """

    name: str
    source: PictureSource | None
    target: PictureSource | None = None
    value: str | None = None
    seed: int = 0
    label: int | None = None
    unseen: bool = False


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """All that a model is tried on.

    Attributes:
        compares: "pairs": every case has a target; "sets": ``real`` has pictures like the outputs;
            "classes": these have labels, and so have the cases; "captions": these have captions,
            and so have the cases, as their values.
        cases: the inputs.
        real: but for pairs, pictures as ``Case.target``.
        labels: in classes, the number of each real picture's class.
        captions: in captions, the one of each real picture.
        unseen: in classes and captions, how many real pictures, the last ones, no model has
            learned from.
        baselines: other ways from an input to an output, measured in the same table: (H, W, 3)
            float32 in [0, 255] to the same, at the output's size.
        described: one line that says what was found.
        unmatched: names of what has no partner; refused unless the user allows it.
        settings: options of measures, by name, that pictures of this kind are measured with; what
            the user says goes before.
        cropped: a sheet shows parts of the pictures, since these differ in their finest detail.
    """

    compares: Literal["pairs", "sets", "classes", "captions"]
    cases: Sequence[Case]
    real: Sequence[PictureSource] = ()
    baselines: Mapping[str, Callable[[Pixels], Pixels]] = field(default_factory=dict)
    described: str = ""
    unmatched: Sequence[str] = ()
    labels: Sequence[int] = ()
    unseen: int = 0
    captions: Sequence[str] = ()
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    cropped: bool = False


def read(source: PictureSource) -> Picture:
    """Return the picture of a case.

    Raises:
        ImageError: if a file is no picture that can be read.
    """
    if isinstance(source, Path):
        return read_picture(source, name="")
    return Picture(np.require(source(), requirements="W"), None)  # torch warns of what is not


def as_measured(picture: Picture) -> Pixels:
    """Return a picture's pixels as measures are shown them: (H, W, 3) float32 in [0, 255]."""
    pixels = picture.pixels
    if picture.alpha is not None:
        pixels = on_white(pixels, picture.alpha)
    unit = np.float32(np.iinfo(pixels.dtype).max / 255)
    return np.repeat(pixels.astype(np.float32) / unit, 3 // pixels.shape[2], axis=2)
