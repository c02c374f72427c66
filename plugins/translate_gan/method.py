"""The GAN of Goodfellow et al. 2014, arXiv:1406.2661, with the networks of DCGAN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from translate import (
    Adversarial,
    AdversarialOptions,
    Batch,
    Discriminator,
    Export,
    Facts,
    Latent,
    Optimizer,
    Phase,
    Step,
    UsageError,
)
from translate.networks import initialise
from translate.pipeline import draws
from translate_gan.networks import (
    AutoEncoder,
    Body,
    Classes,
    DenseEncoder,
    DenseGenerator,
    Encoder,
    Generator,
    Norm,
    Scores,
    Upsample,
    halvings,
)

_MODES = {1: "L", 3: "RGB"}


class GANOptions(AdversarialOptions):
    """The defaults are DCGAN's, at 64 pixels."""

    adversarial: Adversarial = Field(
        default="non-saturating", description="the objective of both players"
    )
    network: Body = Field(
        default="convolutional", description="what both players are made of; convolutions see more"
    )
    size: int = Field(
        default=64, ge=8, le=512, description="sides in pixels; convolutional: (4 to 7)·2ⁿ"
    )
    code: int = Field(default=100, ge=1, le=4096, description="numbers that a picture is made of")
    codes: Literal["normal", "uniform"] = Field(
        default="normal", description="how they are drawn; uniform: from -1 to 1, as published"
    )
    width: int = Field(
        default=64, ge=4, le=512, description="generator's channels at half of the size"
    )
    norm: Norm = Field(default="batch", description="normalisation in the generator")
    upsample: Upsample = Field(
        default="transposed", description="resize leaves no checkerboard, but is slower"
    )
    critic_width: int = Field(
        default=64, ge=4, le=512, description="discriminator's channels at half of the size"
    )
    critic_norm: Norm = Field(
        default="batch", description="in the discriminator; none for wgan-gp and penalties"
    )
    critic_spectral: bool = Field(
        default=False, description="bound the slope of each of the discriminator's layers"
    )

    @model_validator(mode="after")
    def _size_can_be_halved(self) -> GANOptions:
        if self.network == "convolutional":
            try:
                halvings(self.size)
            except ValueError as error:
                raise ValueError(f"size={self.size}: {error}") from None
        return self


def generator_of(
    o: GANOptions, channels: int, conditions: int = 0, *, norm: Norm, bounded: bool = True
) -> Generator | DenseGenerator:
    """Return a network from codes, with so many numbers beside them, to pictures."""
    if o.network == "fully-connected":
        return DenseGenerator(
            o.code,
            conditions,
            channels=channels,
            size=o.size,
            width=o.width,
            norm=norm,
            bounded=bounded,
        )
    return Generator(
        o.code,
        conditions,
        channels=channels,
        size=o.size,
        width=o.width,
        norm=norm,
        upsample=o.upsample,
        bounded=bounded,
    )


def critic_of(
    o: GANOptions, channels: int, classes: Classes | None = None, projected: int = 0
) -> Scores | AutoEncoder:
    """Return the discriminator's network: one that scores, or BEGAN's."""
    conditions = classes.conditions if classes else 0
    kind = DenseEncoder if o.network == "fully-connected" else Encoder
    encoder = kind(
        channels,
        o.size,
        conditions,
        width=o.critic_width,
        norm=o.critic_norm,
        spectral=o.critic_spectral,
    )
    if o.adversarial != "began":
        return Scores(encoder, classes=classes, projected=projected, spectral=o.critic_spectral)
    decoder = generator_of(o, channels, conditions, norm=o.critic_norm, bounded=False)
    return AutoEncoder(encoder, decoder, o.code, classes=classes)


class GAN(Latent[GANOptions]):
    """A generator of pictures from codes, and a discriminator that tells them from real ones."""

    Options = GANOptions

    def __init__(self, options: GANOptions, facts: Facts) -> None:
        super().__init__(options, facts)
        if facts.channels not in _MODES:
            raise UsageError(f"{facts.channels} channels; there are pictures of 1 and of 3")
        self.generator = initialise(self.make_generator())
        network = initialise(self.make_critic())
        reconstructs = options.adversarial == "began"
        self.critic = Discriminator(network, options, reconstructs=reconstructs)

    def make_generator(self) -> nn.Module:
        return generator_of(self.options, self.facts.channels, norm=self.options.norm)

    def make_critic(self) -> nn.Module:
        return critic_of(self.options, self.facts.channels)

    @classmethod
    def data(cls, options: GANOptions) -> Mapping[str, object]:
        return {"size": options.size}

    def phases(self) -> Sequence[Phase]:
        learn = self.critic.optimizer(Optimizer())
        return [
            Phase("generator", [self.generator], self.generator_losses, learn),
            Phase("discriminator", [self.critic], self.critic_losses, learn),
        ]

    def generator_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        real, given = batch["image"], self.given(batch)
        fake = self.fakes(batch)
        step.keep(fake=fake)
        return {"adversarial": self.critic.generator_loss(fake, real, batch, given=given)}

    def critic_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        real, given = batch["image"], self.given(batch)
        fake = step.recall("fake", lambda: self.fakes(batch))
        return {"image": self.critic.discriminator_loss(real, fake, batch, given=given)}

    def given(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return what both players are told of a training batch's pictures."""
        return ()

    def fakes(self, batch: Batch) -> Tensor:
        """Return the learning generator's pictures, one for each sample."""
        network = self.generator
        return self.decode(
            network, self.codes(network, batch), self.conditions(network, batch, *self.given(batch))
        )

    def exports(self) -> Mapping[str, Export]:
        mode = _MODES[self.facts.channels]
        return {"generator": Export(self.generator, {}, like="image", mode=(mode, mode))}

    def encode(self, network: nn.Module, source: Batch) -> tuple[Tensor, Tensor]:
        return self.codes(network, source), self.conditions(network, source)

    def decode(self, network: nn.Module, codes: Tensor, conditions: Tensor) -> Tensor:
        out: Tensor = network(codes, conditions)
        return out

    def codes(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return the codes (N, L) that the seeds stand for."""
        device = next(network.parameters()).device
        if self.options.codes == "uniform":
            return (draws(batch.seeds, self.options.code, 0) * 2 - 1).to(device)
        return batch.noise(self.options.code).to(device, non_blocking=True)

    def conditions(self, network: nn.Module, batch: Batch, *given: Tensor) -> Tensor:
        """Return what the generator is told beside the codes, (N, D): here nothing."""
        return torch.zeros(len(batch), 0, device=next(network.parameters()).device)
