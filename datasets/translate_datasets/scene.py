"""What a scene is: a few digits of one kind on a ground, its caption, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product

Colour = tuple[int, int, int]  # RGB

COUNTS = ("one", "two", "three")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SIZES: Mapping[str, float] = {"small": 10 / 32, "large": 14 / 32}  # height, as a share of the side
COLOURS: Mapping[str, Colour] = {
    "red": (215, 40, 40),
    "green": (40, 160, 60),
    "blue": (40, 70, 220),
    "yellow": (240, 210, 50),
    "purple": (170, 50, 200),
    "white": (245, 245, 245),
}
GROUNDS: Mapping[str, Colour] = {
    "black": (20, 20, 20),
    **{name: COLOURS[name] for name in ("white", "blue", "green", "yellow")},
}


@dataclass(frozen=True)
class Scene:
    """What a caption says.

    Attributes:
        count: of digits, 1 to 3.
        size: of each, "small" or "large".
        colour: of all.
        digit: which one all are, 0 to 9.
        ground: what they are on; of another colour.
    """

    count: int
    size: str
    colour: str
    digit: int
    ground: str


@cache
def all_scenes() -> tuple[Scene, ...]:
    """Return every scene that can be, in a fixed order."""
    return tuple(
        Scene(*values)
        for values in product(range(1, len(COUNTS) + 1), SIZES, COLOURS, range(10), GROUNDS)
        if values[2] != values[4]
    )


def describe(scene: Scene) -> str:
    """Return a scene's caption.

    >>> describe(Scene(2, "small", "red", 7, "blue"))
    'two small red sevens on a blue ground'
    """
    digit = DIGITS[scene.digit]
    if scene.count > 1:
        digit += "es" if digit.endswith("x") else "s"
    count = COUNTS[scene.count - 1]
    return f"{count} {scene.size} {scene.colour} {digit} on a {scene.ground} ground"


def parse(caption: str) -> Scene:
    """Return the scene that a caption describes.

    Raises:
        ValueError: if it describes none.
    """
    try:
        return _by_caption()[" ".join(caption.casefold().split())]
    except KeyError:
        raise ValueError(f"{caption!r} describes no scene") from None


@cache
def _by_caption() -> Mapping[str, Scene]:
    return {describe(scene): scene for scene in all_scenes()}


@cache
def kept_out(share: float) -> frozenset[tuple[str, int]]:
    """Return which colours of which digits are kept out of training, always the same ones.

    Diagonal after diagonal of their table, so that every colour and every digit loses as many,
    but for one. What is kept out at some share is so at any larger one.
    """
    pairs = [(colour, (3 + 7 * i + k) % 10) for k in range(10) for i, colour in enumerate(COLOURS)]
    return frozenset(pairs[: round(share * len(pairs))])
