"""Discriminators of enlarged pictures: (N, C, H, W) in [-1, 1] to unbounded scores."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from translate.networks import spectral_normed
from translate_srgan.networks import leaky


class UNetCritic(nn.Module):
    """Scores every pixel, having seen it in its surroundings: (N, 1, H, W), H, W multiples of 8.

    Source: Wang et al. 2021, arXiv:2107.10833, section 3.4; Schönfeld et al. 2020,
    arXiv:2002.12655; spectral norm: Miyato et al. 2018, arXiv:1802.05957.
    """

    multiple_of = 8

    def __init__(self, channels: int, *, width: int) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        self.first = nn.Conv2d(channels, width, 3, 1, 1)
        self.downs = nn.ModuleList(
            spectral_normed(nn.Conv2d(ins, outs, 4, 2, 1, bias=False))
            for ins, outs in pairwise(widths)
        )
        self.ups = nn.ModuleList(
            spectral_normed(nn.Conv2d(ins, outs, 3, 1, 1, bias=False))
            for ins, outs in pairwise(reversed(widths))
        )
        self.before_last = nn.ModuleList(
            spectral_normed(nn.Conv2d(width, width, 3, 1, 1, bias=False)) for _ in range(2)
        )
        self.last = nn.Conv2d(width, 1, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = leaky(self.first(x))
        beside = []
        for down in self.downs:
            beside.append(x)
            x = leaky(down(x))
        for up in self.ups:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = leaky(up(x)) + beside.pop()
        for convolution in self.before_last:
            x = leaky(convolution(x))
        scores: Tensor = self.last(x)
        return scores


class VGGCritic(nn.Module):
    """Scores whole cuts: (N, 1).

    The features of cuts of other sizes than the published 96 pixels are averaged to its 6×6.

    Source: Ledig et al. 2016, arXiv:1609.04802, figure 4.
    """

    multiple_of = 16

    def __init__(self, channels: int, *, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, 1, 1), nn.LeakyReLU(0.2, True)]
        ins = width
        for outs, stride in zip((1, 2, 2, 4, 4, 8, 8), (2, 1, 2, 1, 2, 1, 2), strict=True):
            layers += [
                nn.Conv2d(ins, outs * width, 3, stride, 1, bias=False),
                nn.BatchNorm2d(outs * width),
                nn.LeakyReLU(0.2, True),
            ]
            ins = outs * width
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(6))
        self.head = nn.Sequential(
            nn.Linear(36 * ins, 16 * width), nn.LeakyReLU(0.2, True), nn.Linear(16 * width, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.layers(x).flatten(1))
        return scores
