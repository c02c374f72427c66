"""Transparency: what nobody sees has no say, and edges are as sharp as those of colours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import tiny  # one thread
from enlarging import engine, noise, translate
from translate.images import Picture, transparency
from translate.images.encoding import on_ground
from translate.images.transparency import even, seen_colours

assert tiny

Array = NDArray[Any]


def disc(side: int, dtype: type = np.uint8, *, soft: float = 4) -> NDArray[Any]:
    """Return the alpha of a disc with an edge of ``soft`` pixels."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    inside = np.clip((side / 3 - np.hypot(x, y)) / soft + 0.5, 0, 1)
    return np.asarray(np.rint(inside * np.iinfo(dtype).max)).astype(dtype)


def laid_on(level: int, picture: Picture) -> Array:
    assert picture.alpha is not None
    return on_ground(picture.pixels, picture.alpha, level)


@pytest.mark.parametrize("soft", [0.01, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colours_beneath_full_transparency_have_no_say(dtype: type, soft: float) -> None:
    alpha = disc(40, dtype, soft=soft)
    seen: Array = np.where(alpha[..., None] > 0, noise(40, 40, 3, dtype=dtype), 0).astype(dtype)
    made = []
    for hidden in (0, np.iinfo(dtype).max, noise(40, 40, 3, dtype=dtype)):
        pixels: Array = np.where(alpha[..., None] > 0, seen, hidden).astype(dtype)
        made.append(translate(engine(scale=2, radius=3), Picture(pixels, alpha)))
    for other in made[1:]:
        for level in (0, 255):
            one, two = (laid_on(level, picture) for picture in (made[0], other))
            assert np.array_equal(one, two)


@pytest.mark.parametrize("hidden", [0, 255])
@pytest.mark.parametrize("soft", [0.01, 2, 8])
def test_a_disc_of_one_colour_keeps_it_to_the_last_of_its_edge(soft: float, hidden: int) -> None:
    alpha = disc(48, soft=soft)
    pixels = np.full((48, 48, 3), hidden, np.uint8)
    pixels[alpha > 0] = (200, 90, 30)
    made = translate(engine(scale=4, smooth=True), Picture(pixels, alpha))
    assert made.alpha is not None
    assert np.abs(made.pixels[made.alpha > 0].astype(int) - (200, 90, 30)).max() <= 1


def test_alpha_goes_through_the_network_where_it_changes_and_is_exact_where_not() -> None:
    alpha = disc(48, soft=2)
    pixels = noise(48, 48, 3)
    made = translate(engine(scale=2, smooth=True), Picture(pixels, alpha))
    grey = translate(engine(scale=2, smooth=True), Picture(alpha[..., None].repeat(3, 2), None))
    assert made.alpha is not None
    same = even(alpha).repeat(2, axis=0).repeat(2, axis=1)
    assert np.abs(made.alpha[~same].astype(int) - grey.pixels[..., 0][~same]).max() <= 1
    # A network that changes brightness must not make the whole picture translucent.
    made = translate(engine(scale=2), Picture(pixels, alpha))
    assert made.alpha is not None
    assert np.array_equal(made.alpha[same], alpha.repeat(2, axis=0).repeat(2, axis=1)[same])
    assert {0, 255} == set(np.unique(made.alpha[same]))


@pytest.mark.parametrize("level", [0, 100, 255])
def test_an_alpha_that_is_the_same_everywhere_stays_so(level: int) -> None:
    alpha = np.full((9, 7), level, np.uint8)
    made = translate(engine(scale=2), Picture(noise(9, 7, 3), alpha))
    assert made.alpha is not None
    assert made.alpha.shape == (18, 14)
    assert (made.alpha == level).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 99))
def test_what_is_seen_well_stays_and_what_is_not_takes_colours_from_nearby(
    dtype: type, channels: int, height: int, width: int, seed: int
) -> None:
    rng, top = np.random.default_rng(seed), np.iinfo(dtype).max
    alpha: Array = (rng.choice([0, 0, 0, 0.02, 1], (height, width)) * top).astype(dtype)
    colours: Array = rng.integers(top // 4, top // 2, (height, width, channels)).astype(dtype)
    pixels: Array = np.where(alpha[..., None] > 0, colours, top).astype(dtype)
    made = seen_colours(pixels, alpha)
    assert made.dtype == dtype
    assert np.array_equal(made[alpha == top], pixels[alpha == top])
    if alpha.any():
        assert made.min() >= top // 4 - 1
        assert made.max() <= top // 2 + 1
        flat: Array = np.where(alpha[..., None] > 0, top // 3, 0).astype(dtype).repeat(channels, 2)
        assert (seen_colours(flat, alpha) == top // 3).all()
    else:
        assert not made.any()


@pytest.mark.parametrize("rows", [2, 16])
def test_the_height_of_bands_is_not_to_be_seen(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, alpha = noise(61, 30, 3), disc(61)[:, 15:45].copy()
    pixels[alpha == 0] = 255
    whole = seen_colours(pixels, alpha)
    monkeypatch.setattr(transparency, "_BAND_ROWS", rows)
    assert np.array_equal(seen_colours(pixels, alpha), whole)


def test_opaque_pictures_are_left_alone() -> None:
    pixels = noise(8, 8, 3)
    assert seen_colours(pixels, np.full((8, 8), 255, np.uint8)) is pixels


def test_pictures_that_keep_their_size_keep_all_that_is_hidden() -> None:
    alpha = disc(20)
    pixels = noise(20, 20, 3)
    made = translate(engine(scale=1, smooth=True), Picture(pixels, alpha))
    assert made.alpha is alpha
    assert np.array_equal(made.pixels, pixels)
