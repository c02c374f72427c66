"""The conditional GAN of Mirza and Osindero 2014, arXiv:1411.1784, on classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from translate import Batch, Export, Facts, UsageError
from translate_gan.method import GAN, GANOptions, critic_of, generator_of
from translate_gan.networks import Classes


class ConditionalGANOptions(GANOptions):
    """A GAN's, and how classes come in."""

    classes: Literal["one-hot", "embedding"] = Field(
        default="one-hot", description="what a class becomes; embedding: learned numbers"
    )
    embedding: int = Field(default=32, ge=1, le=1024, description="numbers that are learned")
    judged: Literal["beside", "projection"] = Field(
        default="beside",
        description="beside: the discriminator sees the class beside the pixels, as published; "
        "projection: each class has features that speak for it, which is surer",
    )

    @model_validator(mode="after")
    def _scores_are_projected(self) -> ConditionalGANOptions:
        if self.judged == "projection" and self.adversarial == "began":
            raise ValueError("judged=projection adds to scores, of which began has none")
        return self


class Conditional(nn.Module):
    """A generator, with what it makes of classes."""

    def __init__(self, generator: nn.Module, classes: Classes) -> None:
        super().__init__()
        self.generator, self.classes = generator, classes

    def forward(self, codes: Tensor, conditions: Tensor) -> Tensor:
        out: Tensor = self.generator(codes, conditions)
        return out


class ConditionalGAN(GAN):
    """A GAN whose players are both told the class."""

    Options = ConditionalGANOptions
    options: ConditionalGANOptions

    def __init__(self, options: ConditionalGANOptions, facts: Facts) -> None:
        if len(facts.classes) < 2:
            raise UsageError("cgan needs data of two classes or more; gan does without any")
        super().__init__(options, facts)

    def make_classes(self) -> Classes:
        embedded = self.options.embedding if self.options.classes == "embedding" else 0
        return Classes(len(self.facts.classes), embedded)

    def make_generator(self) -> nn.Module:
        o, classes = self.options, self.make_classes()
        network = generator_of(o, self.facts.channels, classes.conditions, norm=o.norm)
        return Conditional(network, classes)

    def make_critic(self) -> nn.Module:
        o, channels = self.options, self.facts.channels
        if o.judged == "projection":
            return critic_of(o, channels, projected=len(self.facts.classes))
        return critic_of(o, channels, self.make_classes())

    def given(self, batch: Batch) -> tuple[Tensor, ...]:
        return (batch["label"],)

    def exports(self) -> Mapping[str, Export]:
        return {
            name: replace(export, reads={"class": "label"})
            for name, export in super().exports().items()
        }

    def conditions(self, network: nn.Module, batch: Batch, *given: Tensor) -> Tensor:
        """Return what the generator is told of the classes, those ``given`` or of a source."""
        [labels] = given or (batch["class"],)
        assert isinstance(network, Conditional)
        told: Tensor = network.classes(labels)
        return told.float()
