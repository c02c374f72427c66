"""Losses that more than one plugin uses."""

from translate.losses.bands import band_distance, frequency_bands
from translate.losses.equilibrium import Equilibrium
from translate.losses.objectives import (
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Objective,
    Relativistic,
    Wasserstein,
)
from translate.losses.penalties import (
    gradient_penalty,
    local_penalty,
    matching_penalty,
    r1_penalty,
)
from translate.losses.pool import ImagePool, gathered
from translate.losses.precision import l1

__all__ = [
    "Equilibrium",
    "Hinge",
    "ImagePool",
    "LeastSquares",
    "Minimax",
    "NonSaturating",
    "Objective",
    "Relativistic",
    "Wasserstein",
    "band_distance",
    "frequency_bands",
    "gathered",
    "gradient_penalty",
    "l1",
    "local_penalty",
    "matching_penalty",
    "r1_penalty",
]
