"""The bundled model on the example pictures: it is small, and it paints horses, not fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from translate import load

HORSES = sorted((Path(__file__).parents[1] / "examples" / "horses").glob("*.jpg"))


@pytest.mark.parametrize("file", HORSES, ids=lambda file: file.stem)
def test_stripes_come_on_the_horse_and_the_field_stays(file: Path) -> None:
    before = Image.open(file).convert("RGB")
    after = load("horse2zebra", device="cpu")(file).convert("RGB")
    assert after.size == before.size
    horse = _coat(before)
    assert horse.mean() > 0.03
    gained = _stripes(after) - _stripes(before)
    field = ~_near(horse)
    assert gained[horse].mean() > 4  # grey levels
    assert gained[horse].mean() > 4 * max(gained[field].mean(), 0)


def _coat(image: Image.Image) -> NDArray[Any]:
    """Return where the picture is the saturated red-brown that these horses are drawn in."""
    hue, saturation, value = np.asarray(image.convert("HSV")).astype(int).transpose(2, 0, 1)
    return np.asarray((hue < 18) & (saturation > 150) & (value > 50))


def _near(mask: NDArray[Any]) -> NDArray[Any]:
    grown = (
        Image.fromarray(mask.astype(np.uint8) * 255)
        .resize((96, 96))
        .filter(ImageFilter.MaxFilter(9))
    )
    return np.asarray(grown.resize(mask.shape[::-1])) > 127


def _stripes(image: Image.Image) -> NDArray[Any]:
    """Return how far brightness swings at the width of stripes: a band between two blurs."""
    grey = image.convert("L")
    fine, coarse = (
        np.asarray(grey.filter(ImageFilter.GaussianBlur(radius)), dtype=float) for radius in (4, 16)
    )
    return np.asarray(np.abs(fine - coarse))
