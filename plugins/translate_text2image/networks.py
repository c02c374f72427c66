"""Generators and discriminators that are told what a picture should show.

Codes are (N, L), texts (N, D), pictures (N, C, S, S) in [-1, 1] with S = 4·2ⁿ.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translate_text2image.text import TextEncoder, rescaled

_TOLD = 128  # numbers that a text becomes in the concat form, and inside of an affine layer
_WIDEST = 8  # times width, at 4×4


def widths_of(size: int, width: int) -> list[int]:
    """Return the channels at 4×4, 8×8, … and at half of the size."""
    return [width * min(2**level, _WIDEST) for level in reversed(range(int(math.log2(size)) - 2))]


class Affine(nn.Module):
    """Scales and shifts channels as a condition says: (N, channels, H, W) to the same.

    With small weights it is nearly the identity, which is where training begins.
    """

    def __init__(self, conditions: int, channels: int) -> None:
        super().__init__()
        hidden = min(conditions, _TOLD)
        self.layers = nn.Sequential(
            nn.Linear(conditions, hidden), nn.ReLU(True), nn.Linear(hidden, 2 * channels)
        )

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        numbers: Tensor = self.layers(condition)
        scale, shift = numbers[..., None, None].chunk(2, dim=1)
        return x * (1 + scale) + shift


class FusionBlock(nn.Module):
    """DF-GAN's block: twice two affine layers and a convolution, beside a shortcut.

    Maps (N, ins, H, W) and (N, conditions) to (N, outs, H, W).

    Source: Tao et al. 2022, arXiv:2008.05865, section 3.4.
    """

    def __init__(self, ins: int, outs: int, conditions: int) -> None:
        super().__init__()
        self.affine = nn.ModuleList(Affine(conditions, n) for n in (ins, ins, outs, outs))
        self.convs = nn.ModuleList(nn.Conv2d(n, outs, 3, 1, 1) for n in (ins, outs))
        self.shortcut = nn.Conv2d(ins, outs, 1) if ins != outs else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = x
        for place, affine in enumerate(self.affine):
            y = F.leaky_relu(affine(y, condition), 0.2)
            if place % 2:
                y = self.convs[place // 2](y)
        out: Tensor = self.shortcut(x) + y
        return out


class FusionGenerator(nn.Module):
    """DF-GAN's generator: codes make a 4×4 map, which blocks double while the text shapes it.

    Args:
        codes, texts: how many numbers it starts from; the blocks are told both.
        channels, size: of the pictures.
        width: channels at half of the size; they halve on the way there.
    """

    def __init__(self, codes: int, texts: int, *, channels: int, size: int, width: int) -> None:
        super().__init__()
        widths = widths_of(size, width)
        self.start = (widths[0], 4, 4)
        self.project = nn.Linear(codes, widths[0] * 16)
        self.blocks = nn.ModuleList(
            FusionBlock(ins, outs, codes + texts)
            for ins, outs in pairwise([widths[0], *widths, widths[-1]])
        )
        self.last = nn.Sequential(
            nn.LeakyReLU(0.2, True), nn.Conv2d(widths[-1], channels, 3, 1, 1), nn.Tanh()
        )

    def forward(self, codes: Tensor, texts: Tensor) -> Tensor:
        condition = torch.cat([codes, texts], 1)
        x = self.project(codes).reshape(-1, *self.start)
        for place, block in enumerate(self.blocks):
            x = block(F.interpolate(x, scale_factor=2.0) if place else x, condition)
        images: Tensor = self.last(x)
        return images


class ConcatGenerator(nn.Module):
    """The first one for texts: DCGAN's, which starts from codes with the projected text beside.

    Source: Reed et al. 2016, arXiv:1605.05396, figure 2.
    """

    def __init__(self, codes: int, texts: int, *, channels: int, size: int, width: int) -> None:
        super().__init__()
        widths = widths_of(size, width)
        self.start = (widths[0], 4, 4)
        self.tell = nn.Sequential(nn.Linear(texts, _TOLD), nn.LeakyReLU(0.2, True))
        self.project = nn.Linear(codes + _TOLD, widths[0] * 16, bias=False)
        parts: list[nn.Module] = [nn.BatchNorm2d(widths[0]), nn.ReLU(True)]
        for ins, outs in pairwise(widths):
            parts += [nn.ConvTranspose2d(ins, outs, 4, 2, 1, bias=False), nn.BatchNorm2d(outs)]
            parts.append(nn.ReLU(True))
        last = nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1)
        self.layers = nn.Sequential(*parts, last, nn.Tanh())

    def forward(self, codes: Tensor, texts: Tensor) -> Tensor:
        x = self.project(torch.cat([codes, self.tell(texts)], 1))
        images: Tensor = self.layers(x.reshape(-1, *self.start))
        return images


class HalvingBlock(nn.Module):
    """DF-GAN's block of the discriminator: (N, ins, H, W) to (N, outs, H/2, W/2)."""

    def __init__(self, ins: int, outs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(ins, outs, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(outs, outs, 3, 1, 1, bias=False),
            nn.LeakyReLU(0.2, True),
        )
        self.shortcut = nn.Conv2d(ins, outs, 1) if ins != outs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = F.avg_pool2d(self.shortcut(x), 2) + self.layers(x)
        return out


class Eyes(nn.Module):
    """Sees in pictures (N, C, S, S) what captions say of them.

    Returns features (N, F, 4, 4), and the same numbers as texts have, (N, D): what they are to be
    near to. Both are brought to one size for each picture: how near they are says nothing of it, so
    that they would grow without end, and with them the scores and slopes that are made of them.

    Args:
        texts: D.
        size: S, at least 8. Where it is not a power of two, features are brought to 4×4.
        residual: DF-GAN's blocks; False: DCGAN's layers with batch norm, as Reed et al. have it.

    Attributes:
        sharpness: the logarithm of what cosines are multiplied by, learned as in CLIP (Radford
            et al. 2021, arXiv:2103.00020).
    """

    def __init__(self, texts: int, *, channels: int, size: int, width: int, residual: bool) -> None:
        super().__init__()
        widths = widths_of(size, width)[::-1]
        if residual:
            first = nn.Conv2d(channels, widths[0], 3, 1, 1)
            blocks = (HalvingBlock(*pair) for pair in pairwise([widths[0], *widths]))
            self.look = nn.Sequential(first, *blocks, nn.LeakyReLU(0.2))
        else:
            self.look = _strided([channels, *widths])
        if size & (size - 1):
            self.look.append(nn.AdaptiveAvgPool2d(4))
        self.features = widths[-1]
        self.say = nn.Linear(widths[-1] * 16, texts)
        self.sharpness = nn.Parameter(torch.tensor(math.log(10)))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.look(images)
        features = features * features.square().mean((1, 2, 3), keepdim=True).add(1e-8).rsqrt()
        return features, rescaled(self.say(features.flatten(1)))


class Judge(nn.Module):
    """Scores N pictures with M ≥ N texts, (M, 1), and says what it sees in them, (N, D).

    Texts behind the first N are for the first pictures once more. The text stands beside each place
    of the 4×4 features, and what is seen speaks for the text that it is near to.

    Args:
        residual: as for ``Eyes``.

    Source: Tao et al. 2022, section 3.3; Reed et al. 2016, figure 2; the projection Miyato and
    Koyama 2018, arXiv:1802.05637, eq. 3.
    """

    def __init__(self, texts: int, *, channels: int, size: int, width: int, residual: bool) -> None:
        super().__init__()
        self.eyes = Eyes(texts, channels=channels, size=size, width=width, residual=residual)
        features = self.eyes.features
        if residual:
            self.tell: nn.Module = nn.Identity()
            told, inner = texts, 2 * width
            self.compare: nn.Module = nn.Conv2d(features + told, inner, 3, 1, 1, bias=False)
        else:
            self.tell = nn.Sequential(nn.Linear(texts, _TOLD), nn.LeakyReLU(0.2, True))
            told, inner = _TOLD, features
            self.compare = nn.Sequential(
                nn.Conv2d(features + told, inner, 1, bias=False), nn.BatchNorm2d(inner)
            )
        self.score = nn.Sequential(nn.LeakyReLU(0.2, True), nn.Conv2d(inner, 1, 4))
        # In what is seen. At first batch norm makes noise of fakes, which are all alike then.
        self.trust = nn.Parameter(torch.tensor(4.0 if residual else 0.0))

    def forward(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        features, sees = self.eyes(images)
        more = len(texts) - len(images)
        features, seen = (torch.cat([x, x[:more]]) if more else x for x in (features, sees))
        told = self.tell(texts)[..., None, None].expand(-1, -1, *features.shape[2:])
        beside = self.compare(torch.cat([features, told.to(features.dtype)], 1))
        speaks = (seen * texts.to(seen.dtype)).mean(1, keepdim=True)
        scores: Tensor = self.score(beside).flatten(1) + self.trust * speaks
        return scores, sees


def _strided(widths: list[int]) -> nn.Sequential:
    """Return DCGAN's convolutions, each halving the sides; no norm after the first."""
    parts: list[nn.Module] = []
    for level, (ins, outs) in enumerate(pairwise(widths)):
        parts.append(nn.Conv2d(ins, outs, 4, 2, 1, bias=not level))
        parts += [nn.BatchNorm2d(outs)] if level else []
        parts.append(nn.LeakyReLU(0.2, True))
    return nn.Sequential(*parts)


class Augmentation(nn.Module):
    """Draws texts around themselves, so that those between them are known as well.

    Source: conditioning augmentation, Zhang et al. 2016, arXiv:1612.03242, section 3.2.
    """

    def __init__(self, texts: int) -> None:
        super().__init__()
        self.mean, self.spread = nn.Linear(texts, texts), nn.Linear(texts, texts)

    def forward(self, texts: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return (N, D) drawn by normal noise (N, D), and how far that is from normal: a scalar."""
        mean, log_variance = self.mean(texts).float(), self.spread(texts).float()
        drawn = mean + (0.5 * log_variance).exp() * noise
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        return drawn, divergence.sum(1).mean()


class Painter(nn.Module):
    """What is exported: the text encoder and the generator, with what lies between them.

    Sums of texts are brought to the length that texts have, so that a walk stays among them.
    """

    def __init__(self, text: TextEncoder, generator: nn.Module, *, augmented: int = 0) -> None:
        super().__init__()
        self.text, self.generator = text, generator
        self.augmentation = Augmentation(augmented) if augmented else None

    def forward(self, codes: Tensor, texts: Tensor) -> Tensor:
        images: Tensor = self.generator(codes, self.told(texts)[0])
        return images

    def told(self, texts: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return what the generator is told of texts (N, D), and what that costs: a scalar.

        Args:
            noise: normal, (N, D), where texts are drawn around themselves; else the mean is taken.
        """
        texts = rescaled(texts)
        if self.augmentation is None:
            return texts, texts.new_zeros(())
        if noise is None:
            return self.augmentation.mean(texts), texts.new_zeros(())
        drawn, divergence = self.augmentation(texts, noise)
        return drawn, divergence
