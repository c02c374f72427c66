"""Augmentation of whole batches on the device, every sample with its own parameters."""

from __future__ import annotations

import torch
from kornia.enhance import adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation
from torch import Tensor


def flip(images: Tensor, chance: Tensor) -> Tensor:
    """Mirror the images (N, C, H, W) whose ``chance`` (N,) in [0, 1) is below a half."""
    mirrored = (chance < 0.5).to(images.device)[:, None, None, None]
    return torch.where(mirrored, images.flip(-1), images)


def jitter_colour(images: Tensor, amount: float, chance: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and hue by up to ``amount`` of their range.

    Args:
        images: (N, 3, H, W) in [-1, 1].
        amount: in [0, 1]; hue turns by a tenth of that.
        chance: (N, 4) in [0, 1), which decides how much of each.

    Returns:
        (N, 3, H, W) in [-1, 1].
    """
    brightness, contrast, saturation, hue = (amount * (2 * chance - 1)).to(images.device).unbind(1)
    x = (images + 1) / 2
    x = adjust_brightness(x, 0.5 * brightness)
    x = adjust_contrast(x, 1 + contrast)
    x = adjust_saturation(x, 1 + saturation)
    x = adjust_hue(x, 0.2 * torch.pi * hue)
    out: Tensor = x.clamp(0, 1) * 2 - 1
    return out
