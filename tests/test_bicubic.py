"""Bicubic resizing is MATLAB's: its kernel, its antialiasing, its mirrored borders."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from translate.pipeline import bicubic


def line(*values: float) -> Tensor:
    """Return (1, 1, L, L) of which every row is the line."""
    row = torch.tensor(values, dtype=torch.float64)
    return row.expand(1, 1, len(values), len(values))


def keys(x: float) -> float:
    """Keys' kernel with a = -1/2, written out."""
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def imresize(values: Tensor, factor: float) -> Tensor:
    """Resize a line pixel by pixel, as MATLAB's documentation of imresize says it."""
    count, stretch = len(values), min(factor, 1.0)
    made = []
    for place in range(round(count * factor)):
        centre = (place + 0.5) / factor - 0.5
        reach = math.ceil(2 / stretch) + 1
        near = range(math.floor(centre) - reach, math.floor(centre) + reach + 2)
        weights = [keys(stretch * (centre - x)) for x in near]
        mirrored = [min(x % (2 * count), 2 * count - 1 - x % (2 * count)) for x in near]
        total = sum(w * float(values[x]) for w, x in zip(weights, mirrored, strict=True))
        made.append(total / sum(weights))
    return torch.tensor(made, dtype=torch.float64)


# Computed by hand: the kernel at 1/4, 3/4, 5/4 and 7/4 is 111, 29, -9 and -3 parts of 128.
@pytest.mark.parametrize(
    ("resizing", "values", "expected"),
    [
        ({"down": 2}, (0, 0, 0, 0, 1, 0, 0, 0, 0, 0), (-0.01171875, 0.11328125, 0.43359375)),
        ({"down": 2}, (1, 0, 0, 0, 0, 0, 0, 0), (0.546875, -0.046875, 0, 0)),
        ({"up": 2}, (1, 0, 0, 0), (1.09375, 0.796875, 0.203125, -0.0703125, -0.0234375, 0)),
        ({"up": 2}, (0, 1, 0, 0), (-0.09375, 0.2265625, 0.8671875, 0.8671875, 0.2265625)),
    ],
)
def test_a_bright_line_comes_out_as_computed_by_hand(
    resizing: dict[str, int], values: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    made = bicubic(line(*values), **resizing)[0, 0, 0, : len(expected)]
    torch.testing.assert_close(made, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
@pytest.mark.parametrize("way", ["up", "down"])
def test_all_factors_agree_with_the_definition_up_to_the_borders(way: str, factor: int) -> None:
    g = torch.Generator().manual_seed(factor)
    values = torch.rand(factor * 5 if way == "down" else 5, generator=g, dtype=torch.float64)
    expected = imresize(values, factor if way == "up" else 1 / factor)
    x = line(*values.tolist())
    made = bicubic(x, up=factor) if way == "up" else bicubic(x, down=factor)
    torch.testing.assert_close(made[0, 0], expected.expand(made.shape[-2], -1))
    # Columns are treated as rows are.
    turned = bicubic(x.mT, up=factor) if way == "up" else bicubic(x.mT, down=factor)
    torch.testing.assert_close(turned, made.mT)


def test_a_picture_smaller_than_the_kernel_is_mirrored_more_than_once() -> None:
    values = torch.tensor([0.2, 0.9], dtype=torch.float64)
    made = bicubic(line(*values.tolist()), down=2)
    torch.testing.assert_close(made[0, 0, 0], imresize(values, 0.5))


def test_sides_may_differ_and_channels_stay_apart() -> None:
    x = torch.rand(2, 3, 8, 20, generator=torch.Generator().manual_seed(0))
    made = bicubic(x, down=4)
    assert made.shape == (2, 3, 2, 5)
    torch.testing.assert_close(made[1:, 2:], bicubic(x[1:, 2:], down=4))
    assert bicubic(x, up=3).shape == (2, 3, 24, 60)
    assert bicubic(x) is x


@pytest.mark.parametrize(("height", "width"), [(9, 8), (8, 9)])
def test_sides_that_are_no_multiple_are_refused(height: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"{width}×{height} is not a multiple of 4"):
        bicubic(torch.zeros(1, 1, height, width), down=4)
