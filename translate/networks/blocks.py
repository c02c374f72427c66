"""The pieces that the networks are put together from."""

from __future__ import annotations

from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

Norm = Literal["instance", "batch", "none"]
Downsample = Literal["strided", "blur"]
M = TypeVar("M", bound=nn.Module)


class InstanceNorm(nn.Module):
    """Gives each channel of each sample mean 0 and variance 1: (N, C, H, W) to the same.

    It has no parameters. Torch's group norm with a group a channel computes the same and is
    faster than its instance norm, several times so in the channels-last layout. Its gradient is
    not: in that layout, on a CPU, batch norm of one sample at a time takes a twentieth of the time.

    Source: Ulyanov et al. 2016, arXiv:1607.08022.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        # One pixel has no variance: group norm gives 0, batch norm refuses.
        if x.requires_grad and x.device.type == "cpu" and is_channels_last(x):
            parts = [F.batch_norm(one, None, None, training=True) for one in torch.split(x, 1)]
            return parts[0] if len(parts) == 1 else torch.cat(parts)
        return F.group_norm(x, self.channels)


def is_channels_last(x: Tensor) -> bool:
    """Say whether (N, C, H, W) lies channels last in memory, and cannot be taken for dense."""
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """Return the normalisation of (N, channels, H, W); instance norm has no parameters."""
    if norm == "instance":
        return InstanceNorm(channels)
    return nn.BatchNorm2d(channels) if norm == "batch" else nn.Identity()


def blur() -> nn.Sequential:
    """Return a layer that blurs and halves: (N, C, H, W) to (N, C, ⌈H/2⌉, ⌈W/2⌉), H, W ≥ 2.

    Two means of two pixels, one after the other, are the filter [1, 2, 1] / 4.

    Source: Zhang 2019, arXiv:1904.11486.
    """
    return nn.Sequential(nn.ReflectionPad2d(1), nn.AvgPool2d(2, 1), nn.AvgPool2d(2))


def conv3x3(ins: int, outs: int, *, separable: bool, norm: Norm) -> nn.Sequential:
    """Return a 3×3 convolution that keeps (H, W), ordinary or depthwise separable.

    The separable one normalises between its two halves (Howard et al. 2017, arXiv:1704.04861).
    """
    bias = norm != "batch"  # batch norm has a shift of its own
    if not separable:
        return nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(ins, outs, 3, bias=bias))
    return nn.Sequential(
        nn.ReflectionPad2d(1),
        nn.Conv2d(ins, ins, 3, groups=ins, bias=bias),
        norm_layer(norm, ins),
        nn.Conv2d(ins, outs, 1, bias=bias),
    )


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside an identity: (N, width, H, W) to the same.

    Source: He et al. 2015, arXiv:1512.03385, without the last activation, as in
    Johnson et al. 2016, arXiv:1603.08155.
    """

    def __init__(
        self, width: int, inner: int, *, separable: bool, norm: Norm, dropout: float
    ) -> None:
        super().__init__()
        self.first = conv3x3(width, inner, separable=separable, norm=norm)
        self.first_norm = norm_layer(norm, inner)
        self.activation = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)
        self.second = conv3x3(inner, width, separable=separable, norm=norm)
        self.second_norm = norm_layer(norm, width)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.dropout(self.activation(self.first_norm(self.first(x))))
        out: Tensor = x + self.second_norm(self.second(inner))
        return out


def spectral_normed(layer: M) -> M:
    """Return a layer whose weight is divided by its largest singular value.

    One without memory stays as it is: no model holds a discriminator, and torch would import a
    second and a half of modules to draw nothing.

    Source: Miyato et al. 2018, arXiv:1802.05957.
    """
    if not any(weight.is_meta for weight in layer.parameters()):
        spectral_norm(layer)
    return layer


def initialise(network: M, deviation: float = 0.02) -> M:
    """Draw the weights from N(0, deviation²), set biases to 0, and return the network.

    Batch norm's scales are drawn around 1.

    Source: Radford et al. 2015, arXiv:1511.06434, section 4.
    """
    if any(weight.is_meta for weight in network.parameters()):
        return network  # built to be loaded; torch would import a second of modules to draw nothing
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, deviation)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, deviation)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    return network
