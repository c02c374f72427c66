"""Colours for photographs, after Zhang et al. 2016, arXiv:1603.08511, by the U-Net of pix2pix."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from translate import Batch, Export, Facts, Fit, Method, Optimizer, Phase, Settings, Step
from translate.networks import Norm, UNet, Upsample, initialise
from translate.pipeline import lab_to_rgb, rgb_to_lab

_MEMORY = 0.99  # share of the colours' running frequencies that a step keeps


class ColorizeOptions(Settings):
    """The defaults are a network of two million parameters for pictures of 256 pixels."""

    width: int = Field(default=32, ge=4, le=256, description="channels after the first halving")
    widest: int = Field(default=5, ge=1, le=64, description="times width: channels at the bottom")
    halvings: int = Field(default=5, ge=2, le=8, description="of the U-Net, after folding")
    fold: int = Field(
        default=4, ge=1, le=8, description="pixels a side that share a colour; more is faster"
    )
    norm: Norm = Field(default="batch", description="normalisation in the network")
    upsample: Upsample = Field(
        default="resize", description="transposed may leave a checkerboard of colours"
    )
    spacing: int = Field(
        default=16, ge=5, le=64, description="between the colours it chooses from; less is finer"
    )
    balance: float = Field(
        default=0.15,
        ge=0,
        lt=1,
        description="how far rare colours count more: vivid, but off more often; 0: not at all",
    )
    temperature: float = Field(
        default=0.7, gt=0, le=1, description="1: the mean of what may be; less: of the likelier"
    )


class ColorizeRunOptions(Settings):
    """What can be told when translating."""

    temperature: float | None = Field(
        default=None, gt=0, le=1, description="1: the mean of what may be; less: of the likelier"
    )
    saturation: float = Field(default=1.0, ge=0, le=4, description="times the colours' strength")


class Colorize(Method[ColorizeOptions]):
    """A U-Net that sees how light each pixel is, and gives chances to colours.

    What it is unsure of would come out grey if it learnt the colours as numbers, whose mean is
    grey. It learns how likely each of a grid of colours is instead, rare ones more eagerly; a
    mean in which likely ones prevail is then taken of them.
    """

    Options = ColorizeOptions
    RunOptions = ColorizeRunOptions

    def __init__(self, options: ColorizeOptions, facts: Facts) -> None:
        super().__init__(options, facts)
        count = len(palette(options.spacing))
        self.network = initialise(
            UNet(
                (options.fold**2, count),
                width=options.width,
                widest=options.widest,
                halvings=options.halvings,
                norm=options.norm,
                upsample=options.upsample,
                dropout=0.0,
                bounded=False,
            )
        )
        self.frequencies: Tensor
        self.register_buffer("frequencies", torch.full((count,), 1 / count))

    @classmethod
    def data(cls, options: ColorizeOptions) -> Mapping[str, object]:
        unit = options.fold * 2**options.halvings
        return {"domains": ("a",), "input": "grey", "multiple_of": unit, "minimum": unit}

    def phases(self) -> Sequence[Phase]:
        learn = Optimizer(lr=1e-3, betas=(0.9, 0.999), schedule="cosine")
        return [Phase("network", [self.network], self.losses, learn)]

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        lab = rgb_to_lab(batch["a"])
        logits = self.network(self._folded(lab[:, :1]))  # (N, Q, h, w)
        chances = self._chances(F.avg_pool2d(lab[:, 1:], self.options.fold))
        weights = self._weights(chances, step)  # (N, h, w)
        surprise = -(chances * logits.log_softmax(1)).sum(1)
        return {"colours": (weights * surprise).mean()}

    def _folded(self, lightness: Tensor) -> Tensor:
        """Return lightness (N, 1, H, W) in [0, 100] as (N, fold², H/fold, W/fold) in [-1, 1]."""
        return F.pixel_unshuffle(lightness / 50 - 1, self.options.fold)

    def _chances(self, ab: Tensor) -> Tensor:
        """Return how near (N, 2, h, w) colours are to each of the palette: (N, Q, h, w)."""
        centres = self._palette(ab)
        apart = (ab[:, None] - centres[None, :, :, None, None]).square().sum(2)
        return torch.softmax(-2 * apart / self.options.spacing**2, 1)  # deviation: half a step

    @torch.no_grad()
    def _weights(self, chances: Tensor, step: Step) -> Tensor:
        """Return how much each place counts, (N, h, w), by how rare its colour is: 1 on average."""
        mean = step.mean(chances, (0, 2, 3))
        self.frequencies.lerp_(mean.to(self.frequencies), 1 - _MEMORY)
        even = (1 - self.options.balance) / len(self.frequencies)
        weights = 1 / (self.options.balance * self.frequencies + even)
        return (weights / (weights * self.frequencies).sum())[chances.argmax(1)]

    def _palette(self, like: Tensor) -> Tensor:
        return torch.tensor(palette(self.options.spacing), dtype=like.dtype, device=like.device)

    def exports(self) -> Mapping[str, Export]:
        return {"colours": Export(self.network, {"image": "a"}, like="a")}

    def translate(self, network: nn.Module, source: Batch) -> Tensor:
        settings = source.settings
        if not isinstance(settings, ColorizeRunOptions):
            settings = ColorizeRunOptions()
        lightness = rgb_to_lab(source["image"])[:, :1]
        logits = network(self._folded(lightness))
        chances = (logits / (settings.temperature or self.options.temperature)).softmax(1)
        ab = torch.einsum("nqhw,qc->nchw", chances, self._palette(chances)) * settings.saturation
        ab = F.interpolate(ab, lightness.shape[2:], mode="bilinear")
        return lab_to_rgb(torch.cat([lightness, ab], 1))

    def fit(self, export: str) -> Fit:
        unit = self.options.fold * 2**self.options.halvings
        return Fit(multiple_of=unit, minimum=unit, detail="lightness")


@functools.cache
def palette(spacing: int) -> tuple[tuple[int, int], ...]:
    """Return the (a, b) of a grid, that far apart, which a screen can show at some lightness."""
    with torch.device("cpu"):  # although a method may be built without memory
        levels = torch.linspace(-1, 1, 24)
        cube = torch.stack(torch.meshgrid(levels, levels, levels, indexing="ij"))  # (3, r, g, b)
        shown = rgb_to_lab(cube.reshape(1, 3, 24 * 24, 24))[0, 1:].flatten(1)  # (2, rgb)
        steps = {(round(a), round(b)) for a, b in (shown.T / spacing).tolist()}
    return tuple((spacing * a, spacing * b) for a, b in sorted(steps))
