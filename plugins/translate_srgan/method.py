"""Super-resolution in two stages: first near to every pixel, then, from there on, convincing."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.func import functional_call

from translate import (
    Adversarial,
    AdversarialOptions,
    Batch,
    Discriminator,
    Export,
    Facts,
    Fit,
    Fixed,
    Method,
    Optimizer,
    Phase,
    Settings,
    Step,
    UsageError,
)
from translate.losses import l1
from translate.networks import features
from translate.pipeline import bicubic
from translate_srgan.content import VGG, Layer, vgg
from translate_srgan.critics import UNetCritic, VGGCritic
from translate_srgan.networks import Compact, RRDBNet, SRResNet

_BLOCKS = {"srresnet": 16, "rrdb": 23, "compact": 16}
_CRITICS: dict[str, type[UNetCritic | VGGCritic]] = {"unet": UNetCritic, "vgg": VGGCritic}


class SRGANOptions(AdversarialOptions):
    """Without an adversarial weight, the first stage: near to every pixel."""

    network: Literal["srresnet", "rrdb", "compact"] = Field(
        default="srresnet",
        description="rrdb: ESRGAN's, large; srresnet: SRGAN's; compact: small, quick on CPUs",
    )
    scale: Literal[1, 2, 4, 8] = Field(default=4, description="how many times as wide and as high")
    width: int = Field(default=64, ge=4, le=256, description="channels")
    blocks: int | None = Field(
        default=None, ge=1, le=64, description="how deep; none: 16, of rrdb 23"
    )
    growth: int = Field(default=32, ge=4, le=128, description="of rrdb: channels a layer adds")
    gather: Literal[1, 2, 4] = Field(
        default=1, description="of rrdb: sides of squares that become one pixel; more is faster"
    )
    norm: bool = Field(default=False, description="of srresnet: batch norm, as published")
    skips: bool = Field(
        default=True, description="of compact: past every two layers; learns sooner"
    )
    base: Literal["none", "nearest", "bicubic"] = Field(
        default="none", description="what the network's output is added to: the picture so enlarged"
    )
    pixel_weight: float = Field(
        default=1.0, ge=0, le=1e4, description="of being near to every pixel; more is smoother"
    )
    adversarial_weight: float = Field(
        default=0.0, ge=0, le=1e4, description="of looking real; 0 is the first stage"
    )
    content: Literal["none", "vgg", "discriminator"] = Field(
        default="none",
        description="whose features are to be like the original's: VGG-19's, which is downloaded "
        "or given as vgg_weights, or the discriminator's own",
    )
    content_weight: float = Field(default=1.0, gt=0, le=1e4, description="of these features")
    content_layers: tuple[Layer, ...] = Field(
        default=("conv5_4",), min_length=1, description="of VGG-19, before their activations"
    )
    vgg_weights: Path | None = Field(
        default=None, description="torchvision's file of VGG-19; none: torchvision downloads it"
    )
    adversarial: Adversarial = Field(
        default="non-saturating", description="the objective of both players"
    )
    critic: Literal["unet", "vgg"] = Field(
        default="unet", description="unet judges every pixel, vgg (SRGAN's) the whole cut"
    )
    critic_width: int = Field(default=64, ge=4, le=256, description="the discriminator's channels")
    keep_start: bool = Field(
        default=True,
        description="the second stage's model holds the weights it began from too, for the "
        "run-time option blend; its file is twice as large",
    )

    @model_validator(mode="after")
    def _stages(self) -> SRGANOptions:
        if self.content == "discriminator" and not self.adversarial_weight:
            raise ValueError("content=discriminator needs one: set adversarial_weight")
        if not (self.pixel_weight or self.adversarial_weight or self.content == "vgg"):
            raise ValueError("pixel_weight and adversarial_weight are both 0: nothing teaches it")
        if self.gather > 1 and self.network != "rrdb":
            raise ValueError("gather is for network=rrdb")
        return self


class SRGANRunOptions(Settings):
    """What can be told when translating."""

    blend: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="of a model of the second stage: 0 is the first stage's, faithful and smooth",
    )


class Blended(nn.Module):
    """A network, and the weights that it began from."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.start = network, copy.deepcopy(network).requires_grad_(False)

    def forward(self, x: Tensor, blend: float = 1.0) -> Tensor:
        """Return what the network makes of x with weights ``blend`` of the way from its start.

        Source: Wang et al. 2018, arXiv:1809.00219, section 3.4.
        """
        if blend == 1:
            out: Tensor = self.network(x)
            return out
        start, end = self.start.state_dict(), self.network.state_dict()
        weights = {
            name: torch.lerp(start[name], w, blend) if w.is_floating_point() else w
            for name, w in end.items()
        }
        mixed: Tensor = functional_call(self.network, weights, (x,))
        return mixed


class SRGAN(Method[SRGANOptions]):
    """A network that enlarges; in its second stage with a discriminator."""

    Options = SRGANOptions
    RunOptions = SRGANRunOptions

    def __init__(self, options: SRGANOptions, facts: Facts) -> None:
        super().__init__(options, facts)
        network = self._network()
        self.halo = network.halo if isinstance(network, RRDBNet) else network.radius
        second = options.adversarial_weight > 0
        self.generator = Blended(network) if second and options.keep_start else network
        self.critic = self._critic() if second else None
        self.content: Fixed[VGG] | None = None

    def _network(self) -> SRResNet | RRDBNet | Compact:
        o, channels = self.options, self.facts.channels
        blocks = o.blocks or _BLOCKS[o.network]
        match o.network:
            case "srresnet":
                return SRResNet(channels, scale=o.scale, width=o.width, blocks=blocks, norm=o.norm)
            case "rrdb":
                return RRDBNet(
                    channels,
                    scale=o.scale,
                    width=o.width,
                    blocks=blocks,
                    growth=o.growth,
                    gather=o.gather,
                )
        return Compact(channels, scale=o.scale, width=o.width, blocks=blocks, skips=o.skips)

    def _critic(self) -> Discriminator:
        o = self.options
        critic = _CRITICS[o.critic](self.facts.channels, width=o.critic_width)
        return Discriminator(critic, o)

    @classmethod
    def data(cls, options: SRGANOptions) -> Mapping[str, object]:
        needs: dict[str, object] = {"scale": options.scale, "multiple_of": options.gather}
        if options.adversarial_weight:
            needs["high_multiple_of"] = _CRITICS[options.critic].multiple_of
        return needs

    def prepare(self) -> None:
        if self.options.content == "vgg":
            self.content = Fixed(vgg(self.options.vgg_weights))

    def begin(self, export: str, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Take a first stage's network as where the second starts, and the other way round."""
        ours = isinstance(self.generator, Blended)
        theirs = any(name.startswith("start.") for name in weights)
        if ours and not theirs:
            return {f"{side}.{k}": w for side in ("network", "start") for k, w in weights.items()}
        if theirs and not ours:
            begun = {k.removeprefix("network."): w for k, w in weights.items()}
            return {k: w for k, w in begun.items() if not k.startswith("start.")}
        return weights

    def phases(self) -> Sequence[Phase]:
        if self.critic is None:
            learn = Optimizer(lr=2e-4, betas=(0.9, 0.999), schedule="cosine")
            return [Phase("generator", [self.generator], self.generator_losses, learn)]
        learn = self.critic.optimizer(Optimizer(lr=1e-4, betas=(0.9, 0.999), schedule="step"))
        return [
            Phase("generator", [self.generator], self.generator_losses, learn),
            Phase("discriminator", [self.critic], self.critic_losses, learn),
        ]

    def generator_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        o, high = self.options, batch["high"]
        fake = self.enlarge(self.generator, batch["low"])
        step.keep(fake=fake)
        terms = {}
        if o.pixel_weight:
            terms["pixel"] = o.pixel_weight * l1(fake, high)
        if o.content != "none":
            terms["content"] = o.content_weight * self.content_loss(fake, high)
        if self.critic is not None:
            real = self.critic.generator_loss(fake, high, batch)
            terms["adversarial"] = o.adversarial_weight * real
        return terms

    def content_loss(self, fake: Tensor, high: Tensor) -> Tensor:
        """Return the mean distance of features: a scalar.

        VGG's are taken before their activations, the discriminator's own after them.

        Source: Wang et al. 2018, arXiv:1809.00219, section 3.3; of the discriminator's own: Wang
        et al. 2017, arXiv:1711.11585, eq. 4.
        """
        if self.content is not None:
            network, layers = self.content.network, self.options.content_layers
            with torch.no_grad():
                wanted = network(high, layers)
            made = network(fake, layers)
        else:
            assert self.critic is not None
            critic = self.critic.network
            names = [name for name, m in critic.named_modules() if isinstance(m, nn.Conv2d)][:-1]
            with torch.no_grad():
                wanted = features(critic, high, names)
            made = features(critic, fake, names)
        return torch.stack([l1(a, b) for a, b in zip(made, wanted, strict=True)]).mean()

    def critic_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        assert self.critic is not None
        fake = step.recall("fake", lambda: self.enlarge(self.generator, batch["low"]))
        return {"real or not": self.critic.discriminator_loss(batch["high"], fake, batch)}

    def exports(self) -> Mapping[str, Export]:
        mode = ("L", "L") if self.facts.channels == 1 else ("RGB", "RGB")
        return {"generator": Export(self.generator, {"image": "low"}, like="high", mode=mode)}

    def translate(self, network: nn.Module, source: Batch) -> Tensor:
        settings = source.settings
        blend = settings.blend if isinstance(settings, SRGANRunOptions) else 1.0
        return self.enlarge(network, source["image"], blend).clamp(-1, 1)

    def enlarge(self, network: nn.Module, x: Tensor, blend: float = 1.0) -> Tensor:
        """Return (N, C, sH, sW) for (N, C, H, W), around [-1, 1]; networks see [0, 1]."""
        x = (x + 1) / 2
        blends = isinstance(self.generator, Blended)
        if blend != 1 and not blends:
            raise UsageError(
                f"blend={blend:g}: this model holds no first stage's weights; "
                "only those of second stages with keep_start=true do"
            )
        out: Tensor = network(x, blend) if blends else network(x)
        match self.options.base:
            case "nearest":
                out = out + F.interpolate(x, scale_factor=self.options.scale, mode="nearest")
            case "bicubic":
                out = out + bicubic(x, up=self.options.scale)
        return 2 * out - 1

    def fit(self, export: str) -> Fit:
        # What the base depends on, 2 pixels for "bicubic", lies within what any network does.
        return Fit(multiple_of=self.options.gather, scale=self.options.scale, halo=self.halo)
