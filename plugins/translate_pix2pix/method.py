"""Pix2Pix, after Isola et al. 2016, arXiv:1611.07004."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from translate import (
    Adversarial,
    Batch,
    Discriminator,
    Export,
    Facts,
    Fit,
    Method,
    Optimizer,
    PatchGANOptions,
    Phase,
    Settings,
    Step,
)
from translate.losses import l1
from translate.networks import Norm, PatchGAN, UNet, Upsample, initialise

Doubling = Annotated[int, Field(ge=0, le=9)]

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


class Pix2PixOptions(PatchGANOptions):
    """The published values are the defaults."""

    adversarial: Adversarial = Field(
        default="non-saturating", description="the objective of both players; lsgan is calmer"
    )
    adversarial_weight: float = Field(
        default=1.0, ge=0, le=1e4, description="of looking real beside the input; 0: L1 alone"
    )
    l1_weight: float = Field(
        default=100.0,
        ge=0,
        le=1e6,
        description="of being near the other half; 0: adversarial alone, which invents more",
    )
    width: int = Field(default=64, ge=4, le=256, description="channels after the first halving")
    widest: int = Field(default=8, ge=1, le=64, description="times width: channels at the bottom")
    halvings: int = Field(
        default=8, ge=2, le=10, description="of the U-Net; 7 for 128 pixels, 6 for 64"
    )
    norm: Norm = Field(default="batch", description="normalisation in both networks")
    dropout: float = Field(
        default=0.5, ge=0, lt=1, description="chance in the decoder: the noise that varies outputs"
    )
    dropout_at: tuple[Doubling, ...] = Field(
        default=(0, 1, 2), description="doublings that have it, counted from the bottom"
    )
    upsample: Upsample = Field(
        default="transposed", description="resize leaves no checkerboard, but is slower"
    )
    test_time: Literal["published", "deterministic"] = Field(
        default="published",
        description="published: dropout and the picture's own statistics stay on when translating",
    )
    detail: Literal["change", "lightness", "none"] = Field(
        default="none",
        description="what a picture larger than the working size keeps of its own: all but the "
        "change, its lightness, or nothing",
    )

    @model_validator(mode="after")
    def _something_teaches(self) -> Pix2PixOptions:
        if not (self.adversarial_weight or self.l1_weight):
            raise ValueError("adversarial_weight and l1_weight are both 0: nothing teaches it")
        return self


class Pix2PixRunOptions(Settings):
    """What can be told when translating."""

    deterministic: bool = Field(
        default=False, description="leave dropout out: always the same output, often a paler one"
    )


class Pix2Pix(Method[Pix2PixOptions]):
    """A U-Net, and a discriminator that sees its output beside its input."""

    Options = Pix2PixOptions
    RunOptions = Pix2PixRunOptions

    def __init__(self, options: Pix2PixOptions, facts: Facts) -> None:
        super().__init__(options, facts)
        self.generator = initialise(
            UNet(
                self._channels,
                width=options.width,
                widest=options.widest,
                halvings=options.halvings,
                norm=options.norm,
                dropout=options.dropout,
                dropout_at=options.dropout_at,
                upsample=options.upsample,
            )
        )
        self.critic = self.discriminator() if options.adversarial_weight else None

    @property
    def _channels(self) -> tuple[int, int]:
        return self.facts.channels, self.facts.channels_out or self.facts.channels

    def discriminator(self) -> Discriminator:
        o = self.options
        network = PatchGAN(
            sum(self._channels),
            width=o.critic_width,
            layers=o.critic_layers,
            norm=o.norm,
            spectral=o.critic_spectral,
            dropout=o.critic_dropout,
        )
        return Discriminator(initialise(network), o)

    @classmethod
    def data(cls, options: Pix2PixOptions) -> Mapping[str, object]:
        unit = 2**options.halvings
        seen = 3 * 2**options.critic_layers if options.adversarial_weight else 1
        return {"multiple_of": unit, "minimum": max(unit, seen)}

    def phases(self) -> Sequence[Phase]:
        learn = Optimizer(schedule="linear")
        if self.critic is None:
            return [Phase("generator", [self.generator], self.generator_losses, learn)]
        learn = self.critic.optimizer(learn)
        return [
            Phase("generator", [self.generator], self.generator_losses, learn),
            Phase("discriminator", [self.critic], self.critic_losses, learn),
        ]

    def generator_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        a, b, o = batch["a"], batch["b"], self.options
        fake = self.generator(a)
        step.keep(fake=fake)
        terms = {}
        if self.critic is not None:
            real = self.critic.generator_loss(fake, b, batch, given=(a,))
            terms["adversarial"] = o.adversarial_weight * real
        if o.l1_weight:
            terms["l1"] = o.l1_weight * l1(fake, b)
        return terms

    def critic_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        assert self.critic is not None
        a, b = batch["a"], batch["b"]
        fake = step.recall("fake", lambda: self.generator(a))
        # Halved, so that it learns more slowly than the generator: section 3.3.
        return {"pair": 0.5 * self.critic.discriminator_loss(b, fake, batch, given=(a,))}

    def exports(self) -> Mapping[str, Export]:
        ins, outs = self._channels
        mode = (_MODES[ins], _MODES[outs])
        return {"generator": Export(self.generator, {"image": "a"}, like="b", mode=mode)}

    def translate(self, network: nn.Module, source: Batch) -> Tensor:
        settings = source.settings
        calm = isinstance(settings, Pix2PixRunOptions) and settings.deterministic
        out: Tensor = network(source["image"], stochastic=self._varies and not calm)
        return out

    @property
    def _varies(self) -> bool:
        """Say whether translating draws dropout, or depends on what else is in the batch."""
        o = self.options
        noisy = bool(o.dropout and o.dropout_at)
        return o.test_time == "published" and (noisy or o.norm == "batch")

    def fit(self, export: str) -> Fit:
        unit = 2**self.options.halvings
        return Fit(
            multiple_of=unit,
            minimum=unit,
            independent=not self._varies,
            detail=self.options.detail,
        )
