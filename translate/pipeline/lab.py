"""sRGB and CIE Lab: the lightness of a picture apart from its colours."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Linear sRGB to XYZ over the white D65 (IEC 61966-2-1), so that white is (1, 1, 1).
_XYZ = (
    (0.412453 / 0.950456, 0.357580 / 0.950456, 0.180423 / 0.950456),
    (0.212671, 0.715160, 0.072169),
    (0.019334 / 1.088754, 0.119193 / 1.088754, 0.950227 / 1.088754),
)
_RGB = torch.linalg.inv(torch.tensor(_XYZ, dtype=torch.float64)).tolist()
_KNEE = 6 / 29  # below it CIE's cube root gives way to a line
_DARKEST = 1e-8  # under a power, whose slope at 0 would be infinite


def rgb_to_lab(images: Tensor) -> Tensor:
    """Return (N, 3, H, W) Lab of images (N, 3, H, W) in [-1, 1]: L in [0, 100], a and b near ±100.

    >>> rgb_to_lab(torch.ones(1, 3, 1, 1)).flatten().round().abs().tolist()
    [100.0, 0.0, 0.0]
    """
    x, y, z = _root(_mixed(_linear((images + 1) / 2), _XYZ)).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Return images (N, 3, H, W) in [-1, 1] of (N, 3, H, W) Lab.

    A colour that no screen shows becomes paler until one does, and keeps its lightness; cutting
    off each channel would change that.
    """
    lightness, a, b = lab.unbind(1)
    y = (lightness.clamp(0, 100) + 16) / 116
    xyz = _unroot(torch.stack([y + a / 500, y, y - b / 200], 1))
    grey = xyz[:, 1:2]
    colour = _mixed(xyz, _RGB) - grey
    # Along the line to grey in linear light, how far each channel stays within [0, 1].
    above = (1 - grey) / colour.clamp(min=_DARKEST)
    below = grey / (-colour).clamp(min=_DARKEST)
    share = torch.minimum(above, below).amin(1, keepdim=True).clamp(0, 1)
    return _encoded(grey + share * colour) * 2 - 1


def _mixed(images: Tensor, matrix: Sequence[Sequence[float]]) -> Tensor:
    """Return sums of the three channels; no matrix product, which autocast would round."""
    one, two, three = images.unbind(1)
    return torch.stack([p * one + q * two + r * three for p, q, r in matrix], 1)


def _linear(encoded: Tensor) -> Tensor:
    curve = ((encoded.clamp(min=_DARKEST) + 0.055) / 1.055) ** 2.4
    return torch.where(encoded > 0.04045, curve, encoded / 12.92)


def _encoded(linear: Tensor) -> Tensor:
    curve = 1.055 * linear.clamp(min=_DARKEST) ** (1 / 2.4) - 0.055
    return torch.where(linear > 0.0031308, curve, linear * 12.92).clamp(0, 1)


def _root(xyz: Tensor) -> Tensor:
    line = xyz / (3 * _KNEE**2) + 4 / 29
    return torch.where(xyz > _KNEE**3, xyz.clamp(min=_DARKEST) ** (1 / 3), line)


def _unroot(roots: Tensor) -> Tensor:
    return torch.where(roots > _KNEE, roots**3, 3 * _KNEE**2 * (roots - 4 / 29))
