"""Averages of the exported networks over training: calmer than the last step."""

from __future__ import annotations

import copy
from collections.abc import Collection

import torch
from torch import nn


class Average:
    """An exponential moving average of a network, its half-life counted in images.

    The half-life ramps up with the images seen, or the average would lag far behind early on (as
    in the code of Karras et al. 2020, arXiv:2006.06676). What does not learn is copied, and so
    are buffers.
    """

    def __init__(self, network: nn.Module, halflife: int) -> None:
        self.live = network
        self.halflife = halflife
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, images: int, step_images: int, learning: Collection[nn.Parameter]) -> None:
        """Take in the live network after ``images`` images, ``step_images`` of them new."""
        halflife = min(self.halflife, images / 20)
        keep = 0.5 ** (step_images / halflife) if halflife else 0.0
        pairs = list(zip(self.network.parameters(), self.live.parameters(), strict=True))
        moving = [(mean, live) for mean, live in pairs if live in learning]
        if moving:
            means, lives = (list(side) for side in zip(*moving, strict=True))
            torch._foreach_lerp_(means, lives, 1 - keep)
        for mean, live in pairs:
            if live not in learning:
                mean.copy_(live)
        for mean_buffer, live_buffer in zip(
            self.network.buffers(), self.live.buffers(), strict=True
        ):
            mean_buffer.copy_(live_buffer)
