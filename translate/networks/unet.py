"""The U-Net generator of pix2pix, of any depth."""

from __future__ import annotations

from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from translate.networks.blocks import Norm, norm_layer
from translate.networks.resnet import Upsample


class UNet(nn.Module):
    """Maps (N, C, H, W) in [-1, 1] to (N, C_out, H, W); H, W multiples of 2^halvings.

    An encoder that halves the image again and again, and a decoder that doubles it as often; what
    is computed at each size goes around the deeper ones, so that fine structure is kept.

    Args:
        channels: image channels in and out.
        width: channels after the first halving; they double up to ``widest`` times that.
        halvings: 8 for the published U-Net-256, 7 for U-Net-128; at least 2.
        norm: after each convolution but the first, the innermost halving and the last.
        dropout: probability in the decoder: the noise of pix2pix.
        dropout_at: which doublings have it, counted from the innermost.
        upsample: "transposed" convolutions as published, "resize" (nearest, then a convolution)
            or "blur" (bilinear, then a convolution).
        bounded: end with tanh, in [-1, 1]; else the outputs are unbounded.

    Raises:
        ValueError: if ``halvings`` is under 2.

    Source: Isola et al. 2016, arXiv:1611.07004, appendix 6.1.1.
    """

    def __init__(
        self,
        channels: tuple[int, int] = (3, 3),
        *,
        width: int = 64,
        widest: int = 8,
        halvings: int = 8,
        norm: Norm = "batch",
        dropout: float = 0.5,
        dropout_at: Collection[int] = (0, 1, 2),
        upsample: Upsample = "transposed",
        bounded: bool = True,
    ) -> None:
        super().__init__()
        if halvings < 2:
            raise ValueError(f"{halvings} halvings, of which 2 or more")
        self.halvings, self.bounded = halvings, bounded
        widths = [width * min(2**level, widest) for level in range(halvings)]
        bias = norm != "batch"
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        for level, outs in enumerate(widths):
            ins = widths[level - 1] if level else channels[0]
            # At its smallest the image may be one pixel, which normalising would make zero.
            plain = level in (0, halvings - 1)
            conv = nn.Conv2d(ins, outs, 4, 2, 1, bias=bias)
            self.downs.append(Down(conv, "none" if plain else norm, active=level > 0))
        for place, level in enumerate(reversed(range(halvings))):
            ins = widths[level] * (2 if place else 1)  # beside what came around
            outs = widths[level - 1] if level else channels[1]
            double = _doubling(ins, outs, upsample, bias=bias or level == 0)
            share = dropout if place in dropout_at and level else 0.0
            self.ups.append(Up(double, outs, norm if level else "none", share))

    def forward(self, x: Tensor, stochastic: bool = False) -> Tensor:
        """Return the network's images.

        Args:
            stochastic: keep dropout and the statistics of this very batch when evaluating too, as
                pix2pix is published; the network itself is not changed by that.
        """
        around = []
        for down in self.downs:
            x = down(x, stochastic)
            around.append(x)
        x = self.ups[0](around.pop(), stochastic)
        for up in self.ups[1:]:
            x = up(torch.cat([around.pop(), x], 1), stochastic)
        return torch.tanh(x) if self.bounded else x


class Down(nn.Module):
    """Leaky ReLU (but before the image), a convolution that halves, a norm."""

    def __init__(self, conv: nn.Conv2d, norm: Norm, *, active: bool) -> None:
        super().__init__()
        self.conv, self.active = conv, active
        self.norm = norm_layer(norm, conv.out_channels)

    def forward(self, x: Tensor, stochastic: bool) -> Tensor:
        x = self.conv(F.leaky_relu(x, 0.2) if self.active else x)
        return _normalised(self.norm, x, stochastic)


class Up(nn.Module):
    """ReLU, a doubling, a norm, dropout."""

    def __init__(self, conv: nn.Module, channels: int, norm: Norm, dropout: float) -> None:
        super().__init__()
        self.conv, self.dropout = conv, dropout
        self.norm = norm_layer(norm, channels)

    def forward(self, x: Tensor, stochastic: bool) -> Tensor:
        x = _normalised(self.norm, self.conv(F.relu(x)), stochastic)
        return _dropped(x, self.dropout) if self.training or stochastic else x


def _dropped(x: Tensor, share: float) -> Tensor:
    """Return x with a random share of it left out.

    Torch's own dropout draws in the order in which x lies in memory, so that one seed would give
    another picture in another layout.
    """
    if not share:
        return x
    kept = torch.rand(x.shape, device=x.device) >= share
    return x * kept / (1 - share)


def _normalised(norm: nn.Module, x: Tensor, stochastic: bool) -> Tensor:
    if stochastic and isinstance(norm, _BatchNorm):
        # A norm in training mode would change its running statistics.
        return F.batch_norm(x, None, None, norm.weight, norm.bias, training=True, eps=norm.eps)
    out: Tensor = norm(x)
    return out


def _doubling(ins: int, outs: int, upsample: Upsample, *, bias: bool) -> nn.Module:
    if upsample == "transposed":
        return nn.ConvTranspose2d(ins, outs, 4, 2, 1, bias=bias)
    blurred = upsample == "blur"
    resize = nn.Upsample(scale_factor=2, mode="bilinear" if blurred else "nearest")
    return nn.Sequential(resize, nn.ReflectionPad2d(1), nn.Conv2d(ins, outs, 3, bias=bias))
