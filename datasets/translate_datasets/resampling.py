"""Resizing a batch, every sample to a size of its own and in a way of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

WAYS = ("area", "bilinear", "bicubic")  # blurs; in between; sharpens and overshoots


def resampled(images: Tensor, matrices: Tensor) -> Tensor:
    """Return squares (N, C, S, S) resized, each by its own of ``matrices`` (N, T, S)."""
    matrices = matrices.to(images)[:, None]
    return matrices @ images @ matrices.mT


def matrices(
    before: Sequence[int], after: Sequence[int], ways: Sequence[str], shape: tuple[int, int]
) -> Tensor:
    """Return what takes lines of pixels from one length to another, as (N, T, S).

    None of the ways looks further than usual where it shrinks: that makes the moiré and the jags
    of careless software.

    Args:
        before, after: of each sample, how many pixels a line has; what follows is not looked at,
            and filled with copies of the last pixel, as JPEG's blocks are.
        ways: of each sample, one of ``WAYS``.
        shape: T and S, which are no less than any length after and before.
    """
    made = torch.zeros(len(before), *shape)
    for matrix, ins, outs, way in zip(made, before, after, ways, strict=True):
        straight = torch.eye(ins)[None, None]  # resized one way only, it is what resizing does
        matrix[:outs, :ins] = F.interpolate(straight, (outs, ins), mode=way)[0, 0]
        matrix[outs:] = matrix[outs - 1]
    return made
