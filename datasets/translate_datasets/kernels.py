"""Kernels that blur and that ring, as many at once as there are samples."""

from __future__ import annotations

import math

import torch
from torch import Tensor

RADIUS = 10  # of the largest kernel: all are (21, 21), and the smaller ones zero around


def bell_kernels(
    deviations: Tensor, angles: Tensor, powers: Tensor, flat: Tensor, radii: Tensor
) -> Tensor:
    """Return bells: Gaussian, more or less pointed than that, or with a plateau.

    Args:
        deviations: (N, 2) in pixels, along the two axes of each.
        angles: (N,) of the first axis, in radians.
        powers: (N,) that the squared distance is taken to; with 1 a bell is Gaussian.
        flat: (N,) bool, which have a plateau.
        radii: (N,) whole pixels up to 10, beyond which there is nothing.

    Returns:
        (N, 21, 21) float32, each with sum 1.

    Source: Wang et al. 2021, arXiv:2107.10833, section 3.1; the shapes are those of Liu et al.
    2020, arXiv:2005.12117.
    """
    across, down = _places()
    cosine, sine = (f(angles.double())[:, None, None] for f in (torch.cos, torch.sin))
    first, second = deviations.double()[:, :, None, None].unbind(1)
    along, aside = across * cosine + down * sine, down * cosine - across * sine
    distance = (along / first) ** 2 + (aside / second) ** 2
    powered = distance ** powers.double()[:, None, None]
    bells = torch.where(flat[:, None, None], 1 / (1 + powered), torch.exp(-powered / 2))
    return _within(bells, radii)


def sinc_kernels(cutoffs: Tensor, radii: Tensor) -> Tensor:
    """Return ideal low-pass filters, which ring and overshoot at edges.

    Args:
        cutoffs: (N,) in radians a pixel, up to π; the lower, the wider the rings.
        radii: (N,) whole pixels up to 10, beyond which there is nothing.

    Returns:
        (N, 21, 21) float32, each with sum 1.

    Source: Wang et al. 2021, arXiv:2107.10833, eq. 6.
    """
    across, down = _places()
    radius, cutoff = (across**2 + down**2).sqrt(), cutoffs.double()[:, None, None]
    # At the centre the quotient has no value, but a limit.
    rings = torch.special.bessel_j1(cutoff * radius) / radius.clamp(min=1e-9)
    rings = torch.where(radius == 0, cutoff / 2, rings)
    return _within(cutoff / (2 * math.pi) * rings, radii)


def point_kernels(count: int) -> Tensor:
    """Return kernels (N, 21, 21) that change nothing."""
    points = torch.zeros(count, 2 * RADIUS + 1, 2 * RADIUS + 1)
    points[:, RADIUS, RADIUS] = 1
    return points


def _places() -> tuple[Tensor, Tensor]:
    """Return how far each place is from the centre: across (1, 21) and down (21, 1)."""
    steps = torch.arange(-RADIUS, RADIUS + 1, dtype=torch.float64)
    return steps[None], steps[:, None]


def _within(kernels: Tensor, radii: Tensor) -> Tensor:
    across, down = _places()
    outside = torch.maximum(across.abs(), down.abs()) > radii[:, None, None]
    kernels = kernels.masked_fill(outside, 0)
    return (kernels / kernels.sum((1, 2), keepdim=True)).float()
