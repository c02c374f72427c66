"""A memory of earlier fakes, so that a discriminator does not forget them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """Gives back, half of the time, an earlier image in exchange for a new one.

    Until it is full, images come back as they went in. Its contents are part of the state dict.

    Args:
        size: how many images it holds; 0 always gives back what went in.

    Source: Shrivastava et al. 2016, arXiv:1612.07828, section 2.3; 50 images in CycleGAN.
    """

    def __init__(self, size: int = 50) -> None:
        super().__init__()
        self.size = size
        self.images: list[Tensor] = []

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Exchange (N, C, H, W) for as many; draws from the CPU's generator."""
        if not self.size:
            return images
        out = []
        for image in images.unbind():
            if len(self.images) < self.size:
                self.images.append(image.clone())
                out.append(image)
            elif torch.rand(()) < 0.5:
                place = int(torch.randint(self.size, ()))
                out.append(self.images[place].to(image.device))  # a resumed pool is on the CPU
                self.images[place] = image.clone()
            else:
                out.append(image)
        return torch.stack(out)

    def get_extra_state(self) -> dict[str, Any]:
        return {"images": list(self.images)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.images = list(state["images"])
