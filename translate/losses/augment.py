"""Differentiable augmentation of what a discriminator sees, so that few pictures last longer.

Real pictures and fakes are changed alike, and gradients pass through to the generator. Nothing is
clamped: a clamped pixel has no gradient. That, and warping by whole pixels without solving for
a matrix on the way, is why this does not use kornia.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Kind = Literal["colour", "translation", "cutout"]
NUMBERS = 7  # that a picture needs: three for its colours, two and two for places


def augment(
    images: Tensor, given: Sequence[Tensor], kinds: Sequence[Kind], chance: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Return the images and their conditions, changed in all of ``kinds``.

    A condition that is a picture of the same size is moved and cut with its image, so that the
    two stay aligned; its colours stay, since they may be labels. Other conditions stay as they are.

    Args:
        images: (N, C, H, W) in [-1, 1].
        given: conditions of the N images.
        chance: (N, ``NUMBERS``) in [0, 1), each image's own.

    Returns:
        (N, C, H, W), no longer bounded, and the conditions.

    Source: Zhao et al. 2020, arXiv:2006.10738, with its strengths.
    """
    chance = chance.to(images.device, non_blocking=True)
    if "colour" in kinds:
        images = change_colours(images, chance[:, :3])

    def placed(x: Tensor) -> Tensor:
        if "translation" in kinds:
            x = move(x, chance[:, 3:5])
        return cut_out(x, chance[:, 5:]) if "cutout" in kinds else x

    aligned = [g.ndim == 4 and g.shape[2:] == images.shape[2:] for g in given]
    return placed(images), [placed(g) if a else g for g, a in zip(given, aligned, strict=True)]


def change_colours(images: Tensor, chance: Tensor) -> Tensor:
    """Change brightness, saturation and contrast: (N, C, H, W) by (N, 3) in [0, 1)."""
    brightness, saturation, contrast = chance.view(-1, 3, 1, 1, 1).unbind(1)
    x = images + (brightness - 0.5)
    grey = x.mean(dim=1, keepdim=True)
    x = grey + 2 * saturation * (x - grey)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (contrast + 0.5) * (x - mean)


def move(images: Tensor, chance: Tensor) -> Tensor:
    """Move (N, C, H, W) by up to an eighth of each side, by (N, 2) in [0, 1); 0 comes in."""
    for dim, share in ((2, chance[:, 0]), (3, chance[:, 1])):
        side = images.shape[dim]
        most = round(side / 8)
        shift = (share * (2 * most + 1)).long() - most  # (N,), whole pixels
        index = torch.arange(side, device=images.device) - shift[:, None]  # (N, side)
        index = (index + 1).clamp(0, side + 1)  # 0 and the last are the zeros around
        shape = [len(images), 1, 1, 1]
        shape[dim] = side
        padding = (0, 0, 1, 1) if dim == 2 else (1, 1, 0, 0)
        images = torch.take_along_dim(F.pad(images, padding), index.view(shape), dim)
    return images


def cut_out(images: Tensor, chance: Tensor) -> Tensor:
    """Set a rectangle of half of each side to 0 in (N, C, H, W), its middle by (N, 2) in [0, 1)."""
    inside = []
    for dim, share in ((2, chance[:, 0]), (3, chance[:, 1])):
        side = images.shape[dim]
        place = torch.arange(side, device=images.device) + 0.5
        inside.append((place - (share * side)[:, None]).abs() < side / 4)  # (N, side)
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]  # (N, 1, H, W)
    return images.masked_fill(hole, 0)
