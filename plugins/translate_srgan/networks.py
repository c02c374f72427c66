"""Networks that enlarge: (N, 3, H, W) to (N, 3, sH, sW), both around [0, 1]."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translate.networks import initialise


class SRResNet(nn.Module):
    """Residual blocks at low resolution, then doublings by pixel shuffle.

    Args:
        norm: with batch norm, as published; without, it comes nearer to each pixel.

    Attributes:
        radius: low-resolution pixels around one that its result depends on.

    Source: Ledig et al. 2016, arXiv:1609.04802, figure 4; without norm: Lim et al. 2017,
    arXiv:1707.02921.
    """

    def __init__(self, channels: int, *, scale: int, width: int, blocks: int, norm: bool) -> None:
        super().__init__()
        # The doublings and the last layer reach 3 pixels, whatever the scale, but for 1.
        self.radius = 4 + 2 * blocks + 1 + (4 if scale == 1 else 3)
        self.head = nn.Sequential(nn.Conv2d(channels, width, 9, 1, 4), nn.PReLU())
        self.body = nn.Sequential(
            *(_Residual(width, norm) for _ in range(blocks)), *_normed(width, norm)
        )
        doublings: list[nn.Module] = []
        for _ in range(scale.bit_length() - 1):
            doublings += [nn.Conv2d(width, 4 * width, 3, 1, 1), nn.PixelShuffle(2), nn.PReLU()]
        self.doublings = nn.Sequential(*doublings)
        self.last = nn.Conv2d(width, channels, 9, 1, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(x)
        out: Tensor = self.last(self.doublings(x + self.body(x)))
        return out


class _Residual(nn.Module):
    """SRResNet's block: (N, width, H, W) to the same."""

    def __init__(self, width: int, norm: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_normed(width, norm), nn.PReLU(), *_normed(width, norm))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.layers(x)
        return out


def _normed(width: int, norm: bool) -> list[nn.Module]:
    """Return a 3×3 convolution with batch norm, which has a shift of its own, or without."""
    convolution = nn.Conv2d(width, width, 3, 1, 1, bias=not norm)
    return [convolution, nn.BatchNorm2d(width)] if norm else [convolution]


# How far a chain of dense blocks is felt, whatever its length. Of 23 blocks, what is further away
# than 32 pixels changes outputs by less than a 100,000th of white, the rounding of fp32: of weights
# as they begin (4 would do), trained for a little (8), and as large as a network bears (He's times
# 1.5, 10 times what they begin with; times 2, outputs are in the thousands).
_FELT = 32


class RRDBNet(nn.Module):
    """Dense blocks, residual in residual, then doublings by nearest neighbours.

    For a scale below 4, pixels are gathered first, as Real-ESRGAN does: then two doublings
    follow as ever, and most of the work is at a lower resolution.

    Args:
        growth: channels that each convolution of a dense block adds.
        gather: sides of the squares of pixels that become one; H and W must be multiples.

    Attributes:
        radius: low-resolution pixels around one that its result depends on; around a square
            of them, where pixels are gathered.
        halo: as many as it is felt to depend on.

    Source: Wang et al. 2018, arXiv:1809.00219, section 3.1; gathering: Wang et al. 2021,
    arXiv:2107.10833, section 3.3.
    """

    def __init__(
        self, channels: int, *, scale: int, width: int, blocks: int, growth: int, gather: int = 1
    ) -> None:
        super().__init__()
        doublings = (scale * gather).bit_length() - 1
        # All that follows the trunk's convolution reaches 2 pixels, whatever the scale.
        self.radius = gather * (1 + 15 * blocks + 1 + 2)
        self.halo = min(self.radius, gather * _FELT)
        self.gather = gather
        self.first = nn.Conv2d(channels * gather**2, width, 3, 1, 1)
        self.body = nn.Sequential(*(_RRDB(width, growth) for _ in range(blocks)))
        self.trunk = nn.Conv2d(width, width, 3, 1, 1)
        self.doublings = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1) for _ in range(doublings))
        self.before_last = nn.Conv2d(width, width, 3, 1, 1)
        self.last = nn.Conv2d(width, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(F.pixel_unshuffle(x, self.gather) if self.gather > 1 else x)
        x = x + self.trunk(self.body(x))
        for convolution in self.doublings:
            x = leaky(convolution(F.interpolate(x, scale_factor=2, mode="nearest")))
        out: Tensor = self.last(leaky(self.before_last(x)))
        return out


class _Dense(nn.Module):
    """Five convolutions, each of which sees all before it; a fifth of what they make is added."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        ins = [width + place * growth for place in range(5)]
        outs = [growth] * 4 + [width]
        self.layers = nn.ModuleList(_calm(i, o) for i, o in zip(ins, outs, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        *inner, last = self.layers
        for convolution in inner:
            seen.append(leaky(convolution(torch.cat(seen, 1))))
        out: Tensor = x + 0.2 * last(torch.cat(seen, 1))
        return out


def _calm(ins: int, outs: int) -> nn.Conv2d:
    """Return a 3×3 convolution with a tenth of He's weights: deep chains of blocks begin calmly.

    Source: He et al. 2015, arXiv:1502.01852, section 2.2; Wang et al. 2018, arXiv:1809.00219,
    section 3.1.
    """
    return initialise(nn.Conv2d(ins, outs, 3, 1, 1), 0.1 * math.sqrt(2 / (9 * ins)))


class _RRDB(nn.Module):
    """Three dense blocks; a fifth of what they make is added."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(_Dense(width, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + 0.2 * self.blocks(x)
        return out


class Compact(nn.Module):
    """Convolutions at low resolution and one pixel shuffle: small, and quick on CPUs.

    Args:
        blocks: convolutions between the first and the last.
        skips: every second one adds what was two before it, which learns sooner; without, it is
            the plain chain of Real-ESRGAN's SRVGGNetCompact.

    Attributes:
        radius: low-resolution pixels around one that its result depends on.

    Source: Shi et al. 2016, arXiv:1609.05158; He et al. 2015, arXiv:1512.03385.
    """

    def __init__(
        self, channels: int, *, scale: int, width: int, blocks: int, skips: bool = False
    ) -> None:
        super().__init__()
        self.radius = blocks + 2
        self.scale, self.skips = scale, skips
        self.first = nn.Conv2d(channels, width, 3, 1, 1)
        self.first_activation = nn.PReLU(width)
        self.body = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1) for _ in range(blocks))
        self.activations = nn.ModuleList(nn.PReLU(width) for _ in range(blocks))
        self.last = nn.Conv2d(width, channels * scale**2, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = before = self.first_activation(self.first(x))
        layers = zip(self.body, self.activations, strict=True)
        for place, (convolution, activation) in enumerate(layers):
            x = activation(convolution(x))
            if self.skips and place % 2:
                x = before = x + before
        return F.pixel_shuffle(self.last(x), self.scale)


def leaky(x: Tensor) -> Tensor:
    """Return ReLU with a slope of 0.2 below 0, in the memory of x."""
    return F.leaky_relu(x, 0.2, inplace=True)
