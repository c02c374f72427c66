"""Losses are sums of many small numbers: half precision is not enough for them."""

from __future__ import annotations

import torch
from torch import Tensor


def wide(x: Tensor) -> Tensor:
    """Return ``x`` in fp32, or as it is where that is float64."""
    return x if x.dtype == torch.float64 else x.float()


def l1(x: Tensor, y: Tensor) -> Tensor:
    """Return the mean absolute difference, a scalar, whatever the networks computed in.

    Args:
        x, y: of any shape, the same.
    """
    return (wide(x) - wide(y)).abs().mean()
