"""Networks between codes and pictures: fully connected ones, and those of DCGAN.

Codes are (N, L), conditions such as classes (N, D), with D = 0 where there are none; pictures are
(N, C, S, S) in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translate.networks import spectral_normed

Norm = Literal["batch", "none"]
Upsample = Literal["transposed", "resize"]
Body = Literal["convolutional", "fully-connected"]

_WIDEST = 8  # times width, as DCGAN's


def halvings(size: int) -> int:
    """Return how often a side can be halved and keep 4 pixels: 28 -> 2, 32 -> 3, 64 -> 4.

    Raises:
        ValueError: if more than 7 pixels are left then.
    """
    count = 0
    while size % 2 == 0 and size // 2 >= 4:
        size, count = size // 2, count + 1
    if not 4 <= size <= 7 or not count:
        raise ValueError("not 4, 5, 6 or 7 times a power of two, from 8 on")
    return count


def widths_of(size: int, width: int) -> list[int]:
    """Return the channels at each halving of a side, from the largest to the smallest."""
    return [width * min(2**level, _WIDEST) for level in range(halvings(size))]


class Generator(nn.Module):
    """DCGAN's generator: a small map of many channels, doubled until it is the picture.

    Args:
        codes, conditions: how many numbers it starts from.
        channels, size: of the pictures.
        width: channels before the last doubling; they halve on the way there.
        bounded: end with tanh.

    Source: Radford et al. 2015, arXiv:1511.06434, figure 1 and section 3.
    """

    def __init__(
        self,
        codes: int,
        conditions: int = 0,
        *,
        channels: int,
        size: int,
        width: int = 64,
        norm: Norm = "batch",
        upsample: Upsample = "transposed",
        bounded: bool = True,
    ) -> None:
        super().__init__()
        widths = widths_of(size, width)[::-1]
        self.start = (widths[0], size >> len(widths), size >> len(widths))
        side = self.start[1]
        self.project = nn.Linear(codes + conditions, widths[0] * side**2, bias=norm == "none")
        parts: list[nn.Module] = [_norm(norm, widths[0]), nn.ReLU(True)]
        for ins, outs in pairwise(widths):
            parts += [doubling(ins, outs, upsample, bias=norm == "none"), _norm(norm, outs)]
            parts.append(nn.ReLU(True))
        parts.append(doubling(widths[-1], channels, upsample))
        self.layers = nn.Sequential(*parts, nn.Tanh() if bounded else nn.Identity())

    def forward(self, codes: Tensor, conditions: Tensor) -> Tensor:
        x = self.project(torch.cat([codes, conditions], 1))
        images: Tensor = self.layers(x.reshape(-1, *self.start))
        return images


class DenseGenerator(nn.Module):
    """A generator without convolutions.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, section 5, with batch norm.
    """

    def __init__(
        self,
        codes: int,
        conditions: int = 0,
        *,
        channels: int,
        size: int,
        width: int = 64,
        norm: Norm = "batch",
        bounded: bool = True,
    ) -> None:
        super().__init__()
        self.shape = (channels, size, size)
        parts: list[nn.Module] = []
        ins = codes + conditions
        for outs in (4 * width, 8 * width):
            parts += [nn.Linear(ins, outs), _flat_norm(norm, outs), nn.ReLU(True)]
            ins = outs
        parts.append(nn.Linear(ins, channels * size**2))
        self.layers = nn.Sequential(*parts, nn.Tanh() if bounded else nn.Identity())

    def forward(self, codes: Tensor, conditions: Tensor) -> Tensor:
        pixels: Tensor = self.layers(torch.cat([codes, conditions], 1))
        return pixels.reshape(-1, *self.shape)


class Encoder(nn.Module):
    """DCGAN's discriminator up to its scores: pictures with conditions to features (N, F).

    A condition stands beside the picture, as planes that are everywhere the same.

    Args:
        channels, size: of the pictures.
        conditions: how many numbers stand beside each pixel.
        width: channels after the first halving.
        norm: after each convolution but the first.
        spectral: divide each weight by its largest singular value (Miyato et al. 2018,
            arXiv:1802.05957).
    """

    def __init__(
        self,
        channels: int,
        size: int,
        conditions: int = 0,
        *,
        width: int = 64,
        norm: Norm = "none",
        spectral: bool = False,
    ) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        widths = widths_of(size, width)
        ins = channels + conditions
        for level, outs in enumerate(widths):
            own = norm if level else "none"
            conv = nn.Conv2d(ins, outs, 4, 2, 1, bias=own == "none")
            parts += [spectral_normed(conv) if spectral else conv, _norm(own, outs)]
            parts.append(nn.LeakyReLU(0.2, True))
            ins = outs
        self.layers = nn.Sequential(*parts)
        self.features = ins * (size >> len(widths)) ** 2

    def forward(self, images: Tensor, conditions: Tensor) -> Tensor:
        planes = conditions[:, :, None, None].expand(-1, -1, *images.shape[2:])
        features: Tensor = self.layers(torch.cat([images, planes.to(images.dtype)], 1)).flatten(1)
        return features


class DenseEncoder(nn.Module):
    """The same without convolutions; a condition is appended to the pixels."""

    def __init__(
        self,
        channels: int,
        size: int,
        conditions: int = 0,
        *,
        width: int = 64,
        norm: Norm = "none",
        spectral: bool = False,
    ) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        ins = channels * size**2 + conditions
        for level, outs in enumerate((8 * width, 4 * width)):
            linear = nn.Linear(ins, outs)
            parts.append(spectral_normed(linear) if spectral else linear)
            parts += [_flat_norm(norm if level else "none", outs), nn.LeakyReLU(0.2, True)]
            ins = outs
        self.layers, self.features = nn.Sequential(*parts), ins

    def forward(self, images: Tensor, conditions: Tensor) -> Tensor:
        pixels = images.flatten(1)
        features: Tensor = self.layers(torch.cat([pixels, conditions.to(pixels.dtype)], 1))
        return features


class Classes(nn.Module):
    """Turns numbers of classes (N,) into conditions: one-hot (N, K), or learned (N, D)."""

    def __init__(self, count: int, embedded: int = 0) -> None:
        super().__init__()
        self.count = count
        self.learned = nn.Embedding(count, embedded) if embedded else None
        self.conditions = embedded or count

    def forward(self, labels: Tensor) -> Tensor:
        if self.learned is None:
            return F.one_hot(labels, self.count).float()
        conditions: Tensor = self.learned(labels)
        return conditions


class Scores(nn.Module):
    """A discriminator: features, and a score of them, (N, 1).

    Args:
        encoder: as ``Encoder``.
        classes: what the picture's class becomes beside it; None: it is not given.
        projected: as many classes, of which each says by a direction among the features what
            speaks for it (Miyato and Koyama 2018, arXiv:1802.05637, eq. 3, here without pooling).
    """

    def __init__(
        self,
        encoder: Encoder | DenseEncoder,
        *,
        classes: Classes | None = None,
        projected: int = 0,
        spectral: bool = False,
    ) -> None:
        super().__init__()
        self.encoder, self.classes = encoder, classes
        score = nn.Linear(encoder.features, 1)
        directions = nn.Embedding(projected, encoder.features) if projected else None
        self.score = spectral_normed(score) if spectral else score
        self.directions = spectral_normed(directions) if spectral and directions else directions

    def forward(self, images: Tensor, *given: Tensor) -> Tensor:
        features = self.encoder(images, _beside(images, self.classes, given))
        scores: Tensor = self.score(features)  # (N, 1)
        if self.directions is not None:
            scores = scores + (self.directions(given[0]) * features).sum(1, keepdim=True)
        return scores


class AutoEncoder(nn.Module):
    """BEGAN's discriminator: an encoder, and a generator that brings its code back.

    The generator has no tanh, whose flat ends can hold what it reconstructs for good.

    Source: Berthelot et al. 2017, arXiv:1703.10717, figure 1.
    """

    def __init__(
        self,
        encoder: Encoder | DenseEncoder,
        decoder: Generator | DenseGenerator,
        codes: int,
        *,
        classes: Classes | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder, self.classes = encoder, decoder, classes
        self.code = nn.Linear(encoder.features, codes)

    def forward(self, images: Tensor, *given: Tensor) -> Tensor:
        conditions = _beside(images, self.classes, given)
        reconstructed: Tensor = self.decoder(
            self.code(self.encoder(images, conditions)), conditions
        )
        return reconstructed


def _beside(images: Tensor, classes: Classes | None, given: Sequence[Tensor]) -> Tensor:
    """Return what stands beside pictures: (N, D)."""
    if classes is None:
        return images.new_zeros(len(images), 0)
    conditions: Tensor = classes(given[0])
    return conditions


def doubling(ins: int, outs: int, upsample: Upsample, *, bias: bool = True) -> nn.Module:
    """Return a layer from (N, ins, H, W) to (N, outs, 2H, 2W)."""
    if upsample == "transposed":
        return nn.ConvTranspose2d(ins, outs, 4, 2, 1, bias=bias)
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(ins, outs, 3, 1, 1, bias=bias))


def _norm(norm: Norm, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if norm == "batch" else nn.Identity()


def _flat_norm(norm: Norm, numbers: int) -> nn.Module:
    return nn.BatchNorm1d(numbers) if norm == "batch" else nn.Identity()
