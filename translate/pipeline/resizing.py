"""Bicubic resizing by whole factors, as the literature on super-resolution means it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_REACH = 3  # pixels of the smaller picture that the kernel reaches beyond a border, and one more


def bicubic(x: Tensor, *, up: int = 1, down: int = 1) -> Tensor:
    """Return pictures ``up`` times as large, or a ``down``-th of their size.

    It is MATLAB's imresize: Keys' kernel with a = -1/2, stretched over what becomes one pixel
    when it shrinks (antialiasing), and pictures that are mirrored at their borders. The low
    resolutions of the benchmarks are made by it, and others (OpenCV's without antialiasing)
    differ by decibels. Torch has the kernel and cuts it at borders, so these are added here.

    Args:
        x: (N, C, H, W) float; H and W multiples of ``down``.

    Returns:
        (N, C, H·up/down, W·up/down); may go beyond the range of x by a little.

    Raises:
        ValueError: if H or W is not a multiple of ``down``.

    Source: Keys 1981, doi:10.1109/TASSP.1981.1163711, eq. 15.
    """
    height, width = x.shape[2:]
    if height % down or width % down:
        raise ValueError(f"{width}×{height} is not a multiple of {down}")
    if up == down == 1:
        return x
    border = _REACH * down
    rows, columns = (mirrored(side, border, border).to(x.device) for side in (height, width))
    wide = x[:, :, rows][..., columns]
    shape = [(side + 2 * border) // down * up for side in (height, width)]
    out = F.interpolate(wide, shape, mode="bicubic", antialias=True)
    cut = _REACH * up
    return out[..., cut : shape[0] - cut, cut : shape[1] - cut]


def mirrored(side: int, before: int, after: int) -> Tensor:
    """Return which of ``side`` pixels stand at each place of a row with mirrored borders."""
    # A tensor, since exporters divide by no side that varies; they take it for floats if not told.
    period = torch.full((), 2 * side, dtype=torch.int64)
    places = torch.arange(-before, side + after) % period
    return torch.minimum(places, period - 1 - places)
