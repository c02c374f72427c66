"""Distances between two sets of features."""

from __future__ import annotations

import torch
from torch import Tensor


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """Return the squared Fréchet distance between the Gaussians of two sets of features.

    The trace of (Σx Σy)^½ is taken as the sum of the singular values of A Bᵀ, where Σx = AᵀA
    and Σy = BᵀB: that needs no square root of matrices that few pictures leave singular.

    Args:
        x, y: (N, D) and (M, D), N and M at least 2.

    Returns:
        ‖μx - μy‖² + tr(Σx + Σy - 2 (Σx Σy)^½), computed in doubles.

    Source: Heusel et al. 2017, arXiv:1706.08500, eq. 6.
    """
    x, y = x.double(), y.double()
    a, b = _root(x), _root(y)
    product = torch.linalg.svdvals(a @ b.T).sum()
    means = (x.mean(dim=0) - y.mean(dim=0)).square().sum()
    return float(means + a.square().sum() + b.square().sum() - 2 * product)


def _root(x: Tensor) -> Tensor:
    """Return A, (min(N, D), D), of which AᵀA is the covariance of x, (N, D)."""
    a: Tensor = (x - x.mean(dim=0)) / (len(x) - 1) ** 0.5
    if len(a) > a.shape[1]:
        a = torch.linalg.qr(a, mode="r").R
    return a


def kernel_distances(x: Tensor, y: Tensor, *, size: int, count: int, seed: int = 0) -> Tensor:
    """Return the squared maximum mean discrepancy of random subsets, without bias each.

    Args:
        x, y: (N, D) and (M, D).
        size: of a subset of either, drawn without repeats; from 2 to min(N, M).
        count: of subsets.
        seed: which subsets.

    Returns:
        (count,) doubles, under the kernel (x·y / D + 1)³; about 0 where the sets are alike, and
        as often below it as above.

    Source: Bińkowski et al. 2018, arXiv:1801.01401, eq. 4 and section 4.
    """
    x, y = x.double(), y.double()
    kernels = [_kernel(x, x), _kernel(y, y), _kernel(x, y)]
    generator = torch.Generator().manual_seed(seed)
    distances = []
    for _ in range(count):
        i = torch.randperm(len(x), generator=generator)[:size]
        j = torch.randperm(len(y), generator=generator)[:size]
        within = sum(
            (k[n][:, n].sum() - k[n, n].sum()) / (size * (size - 1))  # no picture with itself
            for k, n in ((kernels[0], i), (kernels[1], j))
        )
        distances.append(within - 2 * kernels[2][i][:, j].mean())
    return torch.stack(distances)


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3
