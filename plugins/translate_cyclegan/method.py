"""CycleGAN, after Zhu et al. 2017, arXiv:1703.10593."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field, model_validator
from torch import Tensor, nn

from translate import (
    Batch,
    Discriminator,
    Export,
    Facts,
    Fit,
    Method,
    Optimizer,
    PatchGANOptions,
    Phase,
    Step,
)
from translate.losses import ImagePool, l1
from translate.networks import Norm, PatchGAN, ResnetGenerator, Upsample, initialise

Channels = Annotated[int, Field(ge=1, le=4096)]


class CycleGANOptions(PatchGANOptions):
    """The published values are the defaults."""

    width: int = Field(default=64, ge=4, le=256, description="generators' channels after the stem")
    blocks: int = Field(default=9, ge=3, le=32, description="residual blocks; 6 for 128 pixels")
    separable: bool = Field(default=False, description="depthwise separable blocks: small and fast")
    widths: tuple[Channels, Channels, Channels] | None = Field(
        default=None, description="channels after stem and halvings, where not width × 1, 2, 4"
    )
    inners: tuple[Channels, ...] = Field(
        default=(), description="channels inside each block, where not the block's own"
    )
    norm: Norm = Field(default="instance", description="normalisation in the generators")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="chance inside the blocks")
    upsample: Upsample = Field(
        default="transposed", description="resize leaves no checkerboard, but is slower"
    )
    cycle_weight: float = Field(
        default=10.0, ge=0, description="of coming back to the input; more changes less"
    )
    identity_weight: float = Field(
        default=0.5,
        ge=0,
        description="of leaving the other side alone, times cycle_weight; more keeps colours",
    )
    pool: int = Field(default=50, ge=0, description="earlier fakes the discriminators remember")

    @model_validator(mode="after")
    def _an_inner_width_a_block(self) -> CycleGANOptions:
        if self.inners and len(self.inners) != self.blocks:
            raise ValueError(f"inners: {len(self.inners)} widths for {self.blocks} blocks")
        return self


class CycleGAN(Method[CycleGANOptions]):
    """Two generators that undo each other, and a discriminator for each side."""

    Options = CycleGANOptions

    def __init__(self, options: CycleGANOptions, facts: Facts) -> None:
        super().__init__(options, facts)
        self.a2b, self.b2a = self.generator(), self.generator()
        self.critic_a, self.critic_b = self.critic(), self.critic()
        self.pool_a, self.pool_b = ImagePool(options.pool), ImagePool(options.pool)

    def generator(self) -> ResnetGenerator:
        o, channels = self.options, self.facts.channels
        return initialise(
            ResnetGenerator(
                (channels, channels),
                widths=o.widths or (o.width, 2 * o.width, 4 * o.width),
                blocks=o.blocks,
                inners=o.inners,
                separable=o.separable,
                norm=o.norm,
                dropout=o.dropout,
                upsample=o.upsample,
            )
        )

    def critic(self) -> Discriminator:
        o = self.options
        network = PatchGAN(
            self.facts.channels,
            width=o.critic_width,
            layers=o.critic_layers,
            spectral=o.critic_spectral,
            dropout=o.critic_dropout,
        )
        return Discriminator(initialise(network), o)

    @classmethod
    def data(cls, options: CycleGANOptions) -> Mapping[str, object]:
        return {"multiple_of": 4, "minimum": max(16, 3 * 2**options.critic_layers)}

    def phases(self) -> Sequence[Phase]:
        learn = self.critic_a.optimizer(Optimizer(schedule="linear"))
        return [
            Phase("generator", [self.a2b, self.b2a], self.generator_losses, learn),
            Phase("discriminator", [self.critic_a, self.critic_b], self.critic_losses, learn),
        ]

    def generator_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        a, b, o = batch["a"], batch["b"], self.options
        fake_b, fake_a = self.a2b(a), self.b2a(b)
        step.keep(fake_a=fake_a, fake_b=fake_b)
        terms = {
            "adversarial": self.critic_b.generator_loss(fake_b, b, batch)
            + self.critic_a.generator_loss(fake_a, a, batch),
            "cycle": o.cycle_weight * (l1(self.b2a(fake_b), a) + l1(self.a2b(fake_a), b)),
        }
        if o.identity_weight:
            weight = o.cycle_weight * o.identity_weight
            terms["identity"] = weight * (l1(self.b2a(a), a) + l1(self.a2b(b), b))
        return terms

    def critic_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        a, b = batch["a"], batch["b"]
        fake_a = self.pool_a(step.recall("fake_a", lambda: self.b2a(b)), batch.seeds)
        fake_b = self.pool_b(step.recall("fake_b", lambda: self.a2b(a)), batch.seeds)
        return {
            "a": self.critic_a.discriminator_loss(a, fake_a, batch),
            "b": self.critic_b.discriminator_loss(b, fake_b, batch),
        }

    def exports(self) -> Mapping[str, Export]:
        mode = ("L", "L") if self.facts.channels == 1 else ("RGB", "RGB")
        return {
            "a2b": Export(self.a2b, {"image": "a"}, like="b", mode=mode),
            "b2a": Export(self.b2a, {"image": "b"}, like="a", mode=mode),
        }

    def translate(self, network: nn.Module, source: Batch) -> Tensor:
        out: Tensor = network(source["image"])
        return out

    def fit(self, export: str) -> Fit:
        return Fit(multiple_of=4, minimum=16)
