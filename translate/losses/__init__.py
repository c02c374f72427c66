"""Losses that more than one plugin uses."""

from translate.losses.adversarial import LeastSquares
from translate.losses.bands import band_distance, frequency_bands
from translate.losses.pool import ImagePool

__all__ = ["ImagePool", "LeastSquares", "band_distance", "frequency_bands"]
