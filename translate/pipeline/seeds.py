"""Random numbers that depend on what they are for and on nothing else."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_BITS = 60  # leaves room for the eight streams of Batch.noise in 64 bits
_BELOW_ONE = 1 - 2**-24  # the nearest number in fp32


def mix(*parts: int) -> int:
    """Return a seed in [0, 2^60) that changes wildly with each part.

    Source: the finaliser of SplitMix64, Steele et al. 2014.
    """
    state = 0
    for part in parts:
        state = (state + part + 0x9E3779B97F4A7C15) % 2**64
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
        state ^= state >> 31
    return state >> (64 - _BITS)


@lru_cache(maxsize=16)
def _order(seed: int, epoch: int, length: int) -> NDArray[np.int64]:
    return np.random.default_rng(mix(seed, epoch)).permutation(length)


def shuffled(number: int, length: int, seed: int) -> int:
    """Return which of ``length`` things comes at place ``number`` of endless shuffled epochs."""
    epoch, place = divmod(number, length)
    return int(_order(seed, epoch, length)[place])


def draws(seeds: Tensor, count: int, stream: int) -> Tensor:
    """Return (N, count) uniform in [0, 1): row i depends on ``seeds[i]`` and ``stream`` alone."""
    rows = [np.random.default_rng((int(seed), stream)).random(count) for seed in seeds]
    # Rounding to fp32 would make 1 of what is next to it.
    return torch.from_numpy(np.stack(rows)).float().clamp_(max=_BELOW_ONE)
