"""Working size: large pictures keep their size and their detail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from translate.inference.sizing import apply_change, shrink, working_shape


def noise(*shape: int, dtype: type = np.uint8) -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def test_a_picture_that_is_not_larger_stays_as_it_is() -> None:
    assert working_shape(256, 256, 256) == (256, 256)
    assert working_shape(100, 600, 256) == (100, 600)  # pixels count, not sides
    assert working_shape(3000, 4000, None) == (3000, 4000)


def test_a_photograph_is_shrunk_in_its_proportions() -> None:
    assert working_shape(3000, 4000, 256) == (222, 296)
    assert working_shape(4000, 3000, 256) == (296, 222)


@settings(deadline=None)
@given(st.integers(1, 70_000), st.integers(1, 70_000), st.integers(1, 600))
def test_the_working_shape_is_bounded_and_never_larger(h: int, w: int, size: int) -> None:
    rows, columns = working_shape(h, w, size)
    assert 1 <= rows <= h
    assert 1 <= columns <= w
    # Rounding a short side up by half a pixel costs at most half of it again.
    assert rows * columns <= max(size * size * 2, 1)


def test_shrinking_averages() -> None:
    pixels = noise(8, 6, 3, dtype=np.uint16)
    small = shrink(pixels, (4, 3))
    means = pixels.reshape(4, 2, 3, 2, 3).mean(axis=(1, 3))
    assert small.dtype == np.uint16
    assert np.abs(small - means).max() <= 0.5
    assert shrink(noise(8, 6, 1), (4, 3)).shape == (4, 3, 1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(300, 200, 3), (600, 50, 1), (257, 1, 3)])
def test_no_change_gives_back_every_bit(dtype: type, shape: tuple[int, int, int]) -> None:
    pixels = noise(*shape, dtype=dtype)
    same = apply_change(pixels, torch.zeros(shape[2], 20, max(1, shape[1] // 10)))
    assert same.dtype == dtype
    assert np.array_equal(same, pixels)


@pytest.mark.parametrize("levels", [20, -20])
def test_a_constant_change_shifts_every_pixel_alike_and_stops_at_the_ends(levels: int) -> None:
    pixels = noise(300, 400, 3)
    shifted = apply_change(pixels, torch.full((3, 30, 40), levels * 2 / 255))
    assert np.array_equal(shifted, np.clip(pixels.astype(int) + levels, 0, 255))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 13), st.integers(1, 13))
def test_the_change_is_enlarged_smoothly_to_the_exact_size(
    h: int, w: int, down: int, more: int
) -> None:
    pixels = np.full((h * down, w * more, 3), 128, np.uint8)
    change = torch.rand(3, h, w) * 0.5 - 0.25
    expected = torch.nn.functional.interpolate(
        change[None], (h * down, w * more), mode="bicubic", align_corners=False
    )[0]
    made = apply_change(pixels, change)
    wanted = (expected.permute(1, 2, 0).numpy() * 127.5 + 128).clip(0, 255)
    assert np.abs(made - wanted).max() <= 0.51


def test_a_panorama_keeps_its_size() -> None:
    pixels = np.zeros((4, 60_000, 3), np.uint8)
    shape = working_shape(4, 60_000, 64)
    assert apply_change(pixels, torch.ones(3, *shape)).shape == pixels.shape
