"""A memory of earlier fakes, so that a discriminator does not forget them."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
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
    def forward(self, images: Tensor, seeds: Tensor) -> Tensor:
        """Exchange (N, C, H, W) for as many; what becomes of image i hangs on ``seeds[i]``.

        Every process sees the images of all, in order, so that all hold the same pool.
        """
        if not self.size:
            return images
        every, out = gathered(images), []
        for image, seed in zip(every.unbind(), gathered(seeds).tolist(), strict=True):
            generator = torch.Generator().manual_seed(seed)
            exchange, place = torch.rand(2, generator=generator).tolist()
            if len(self.images) < self.size:
                self.images.append(image.clone())
                out.append(image)
            elif exchange < 0.5:
                index = int(place * self.size)
                out.append(self.images[index].to(image.device))  # a resumed pool is on the CPU
                self.images[index] = image.clone()
            else:
                out.append(image)
        first = dist.get_rank() * len(images) if dist.is_initialized() else 0
        return torch.stack(out[first : first + len(images)])

    def get_extra_state(self) -> dict[str, Any]:
        return {"images": list(self.images)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.images = list(state["images"])


def gathered(rows: Tensor) -> Tensor:
    """Return the rows (N, ...) of all processes, process by process: (N × processes, ...)."""
    if not dist.is_initialized():
        return rows
    parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)
