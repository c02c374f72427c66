"""A conditional GAN of captions: Reed et al. 2016, arXiv:1605.05396, and Tao et al. 2022's DF-GAN.

First the text encoder and the discriminator's eyes learn to tell which caption belongs to which
picture, and then a generator and the discriminator learn with what it has learned, while the text
encoder stands still.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
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
from translate.losses import matching_penalty
from translate.networks import initialise
from translate.pipeline import draws
from translate_text2image.networks import ConcatGenerator, Eyes, FusionGenerator, Judge, Painter
from translate_text2image.text import (
    Heard,
    TextEncoder,
    alike,
    matching_loss,
    others,
    rescaled,
)

_MODES = {1: "L", 3: "RGB"}
_WRONG, _BETWEEN = 0, 1  # streams of the numbers that say whose caption takes part
_HEARD = 1024  # captions of earlier batches that pictures are compared with
_AROUND = 1  # of normal noise; the codes' is 0


class TextToImageOptions(AdversarialOptions):
    """The defaults are DF-GAN's and, of contrast, XMC-GAN's, with networks that a CPU can train."""

    adversarial: Adversarial = Field(
        default="hinge", description="the objective of both players; all but wgan and began"
    )
    form: Literal["affine", "concat"] = Field(
        default="affine",
        description="affine: the text shapes every layer; concat: it stands beside the noise only",
    )
    size: Literal[32, 64, 128, 256] = Field(default=64, description="sides in pixels")
    code: int = Field(default=100, ge=1, le=4096, description="numbers drawn beside the text")
    width: int = Field(
        default=32, ge=4, le=256, description="the generator's channels at full or half size"
    )
    critic_width: int = Field(default=32, ge=4, le=256, description="the discriminator's")
    text_width: int = Field(
        default=128, ge=32, le=1024, multiple_of=32, description="numbers that a caption becomes"
    )
    text_layers: int = Field(default=3, ge=1, le=24, description="of the text encoder")
    text_bytes: int = Field(
        default=128,
        ge=16,
        le=4096,
        multiple_of=16,
        description="of a caption that are read; the rest is cut off",
    )
    encoder_images: int = Field(
        default=50_000, ge=0, description="images in which the text encoder learns, before all else"
    )
    wrong_weight: float = Field(
        default=0.5, ge=0, le=1, description="share of wrong captions among fakes; more heeds them"
    )
    contrast: float = Field(
        default=1.0,
        ge=0,
        le=100,
        description="weight of finding the caption by what the discriminator sees; more heeds it",
    )
    pixel_weight: float = Field(
        default=0.0,
        ge=0,
        le=1e4,
        description="of squared distance from the caption's picture, where each has one",
    )
    adversarial_since: int = Field(
        default=0, ge=0, description="images before the discriminator joins in; for pixel_weight"
    )
    interpolate: float = Field(
        default=0.0, ge=0, le=100, description="weight of pictures of captions half way; GAN-INT"
    )
    conditioning_augmentation: float = Field(
        default=0.0, ge=0, le=100, description="weight that keeps drawn captions normal; 0: none is"
    )
    matching_penalty: float = Field(
        default=2.0,
        ge=0,
        le=1e4,
        description="of slopes at real pictures with their captions; for affine",
    )
    matching_power: float = Field(
        default=6.0, ge=1, le=12, description="of these slopes; more lets small ones be"
    )

    @model_validator(mode="after")
    def _something_teaches_at_first(self) -> TextToImageOptions:
        if self.adversarial_since > self.encoder_images and not self.pixel_weight:
            raise ValueError("adversarial_since: without pixel_weight nothing teaches until then")
        return self

    @model_validator(mode="after")
    def _objective_fits(self) -> TextToImageOptions:
        if self.adversarial == "wgan":
            raise ValueError("wgan clips what the first stage has learned; wgan-gp does not")
        if self.adversarial == "began":
            raise ValueError("began judges by how well it reconstructs pictures, not by captions")
        return self

    @model_validator(mode="after")
    def _penalties_have_a_place(self) -> TextToImageOptions:
        if self.form == "concat":
            for name in ("matching_penalty", "matching_power"):
                if getattr(self, name) not in (0, type(self).model_fields[name].default):
                    raise ValueError(f"{name} does nothing in concat: batch norm mixes pictures")
        return self


class TextToImage(Latent[TextToImageOptions]):
    """A generator of pictures from captions and codes, and a discriminator that reads, too."""

    Options = TextToImageOptions

    def __init__(self, options: TextToImageOptions, facts: Facts) -> None:
        super().__init__(options, facts)
        if facts.channels not in _MODES:
            raise UsageError(f"{facts.channels} channels; there are pictures of 1 and of 3")
        o, channels = options, facts.channels
        residual, texts = o.form == "affine", o.text_width
        kind = FusionGenerator if residual else ConcatGenerator
        generator = kind(o.code, texts, channels=channels, size=o.size, width=o.width)
        judge = Judge(
            texts, channels=channels, size=o.size, width=o.critic_width, residual=residual
        )
        if not residual:  # without norms, DCGAN's small weights let next to nothing through
            initialise(generator)
            initialise(judge)
        text = TextEncoder(texts, layers=o.text_layers, longest=o.text_bytes)
        augmented = texts if o.conditioning_augmentation else 0
        self.painter = Painter(text, generator, augmented=augmented)
        self.critic = Discriminator(judge, options, compares_again=True)
        self.heard = Heard(_HEARD, texts, channels)

    @property
    def eyes(self) -> Eyes:
        """Where the discriminator begins, which learns to see with the text encoder."""
        judge = self.critic.network
        assert isinstance(judge, Judge)
        return judge.eyes

    @classmethod
    def data(cls, options: TextToImageOptions) -> Mapping[str, object]:
        return {"size": options.size}

    def phases(self) -> Sequence[Phase]:
        since, painter = self.options.encoder_images, self.painter
        reading = Optimizer("adamw", lr=1e-3, betas=(0.9, 0.99), schedule="cosine")
        # The discriminator has more to learn: a fake, and a caption that is wrong.
        making = self.critic.optimizer(Optimizer(lr=1e-4, betas=(0.0, 0.9)))
        judging = self.critic.optimizer(Optimizer(lr=4e-4, betas=(0.0, 0.9)))
        makers = [m for m in (painter.generator, painter.augmentation) if m is not None]
        readers = [painter.text, self.eyes]
        return [
            Phase("encoder", readers, self.encoder_losses, reading, until=since),
            Phase("generator", makers, self.generator_losses, making, since=since),
            Phase(
                "discriminator",
                [self.critic],
                self.critic_losses,
                judging,
                since=max(since, self.options.adversarial_since),
            ),
        ]

    def encoder_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Let every picture of the batch find its caption, and every caption its picture."""
        _check_count(batch)
        captions, images = batch.texts["text"], batch["image"]
        texts, (_, sees) = self.painter.text.read(captions), self.eyes(images)
        loss, found = matching_loss(texts, sees, alike(captions, images), self.eyes.sharpness)
        step.log(found=found)
        return {"matching": loss}

    def generator_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        o, real, texts = self.options, batch["image"], self.texts(batch, step)
        fake, divergence = self.fakes(batch, texts)
        step.keep(fake=fake)
        terms: dict[str, Tensor] = {}
        if o.pixel_weight:
            # Squared: a median of pictures on one ground is that ground, where tanh lets go.
            terms["pixel"] = o.pixel_weight * F.mse_loss(fake.float(), real.float())
        judged = step.images >= o.adversarial_since
        if judged:
            terms["adversarial"] = self.critic.generator_loss(
                fake, real, batch, given=[texts], auxiliary=self.contrast(batch, texts, step)
            )
        if o.conditioning_augmentation:
            terms["divergence"] = o.conditioning_augmentation * divergence
        partners = None
        if o.interpolate and judged:
            partners = self.partners(batch, texts, step, _BETWEEN)
        if partners is not None:
            between = rescaled(0.5 * (texts + partners))
            fake, _ = self.fakes(batch, between)
            looks_real = self.critic.generator_loss(fake, real, batch, given=[between])
            terms["between"] = o.interpolate * looks_real
        return terms

    def critic_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        o, real, texts = self.options, batch["image"], self.texts(batch, step)
        fake = step.recall("fake", lambda: self.fakes(batch, texts)[0])
        wrong = self.partners(batch, texts, step, _WRONG) if o.wrong_weight else None
        terms = {
            "image": self.critic.discriminator_loss(
                real,
                fake,
                batch,
                given=[texts],
                mismatched=() if wrong is None else [wrong],
                mismatched_share=o.wrong_weight,
                auxiliary=self.contrast(batch, texts, step),
            )
        }
        if o.contrast:
            self.heard.keep(texts, real)
        if o.matching_penalty and o.form == "affine":
            slope = matching_penalty(self.critic.uncompiled, real, texts, o.matching_power)
            terms["slope"] = o.matching_penalty * slope
        return terms

    def texts(self, batch: Batch, step: Step) -> Tensor:
        """Return what the batch's captions say, (N, D)."""
        return step.recall("texts", lambda: self.painter.text.read(batch.texts["text"]))

    def contrast(
        self, batch: Batch, texts: Tensor, step: Step
    ) -> Callable[[Tensor], Tensor] | None:
        """Return a loss of what is seen (N, D): it is to find its text among all heard lately.

        Source: Zhang et al. 2021, arXiv:2101.04702, section 4.1, for sentences.
        """
        if not self.options.contrast:
            return None
        captions, images = batch.texts["text"], batch["image"]
        same = step.recall("alike", lambda: alike(captions, images))
        all_texts, same = self.heard.beside(texts, images, same)

        def loss(sees: Tensor) -> Tensor:
            lost, found = matching_loss(all_texts, sees, same, self.eyes.sharpness)
            step.log(found=found)
            return self.options.contrast * lost

        return loss

    def partners(self, batch: Batch, texts: Tensor, step: Step, stream: int) -> Tensor | None:
        """Return for each of the texts (N, D) one of the batch that says something else.

        None where there is no such, in this process or another one: all take the same turns.
        """
        _check_count(batch)
        chance = draws(batch.seeds, 1, stream)[:, 0]
        places = others(batch.texts["text"], chance)
        with_partners = step.mean(torch.tensor(float(places is not None)))  # of the processes
        if places is None or with_partners < 1:
            return None
        return texts[places.to(texts.device, non_blocking=True)]

    def fakes(self, batch: Batch, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Return the learning generator's pictures of texts, and what drawing these costs."""
        noise = None
        if self.painter.augmentation is not None:
            noise = batch.noise(texts.shape[1], stream=_AROUND).to(texts.device, non_blocking=True)
        told, divergence = self.painter.told(texts, noise)
        return self.painter.generator(self.codes(self.painter, batch), told), divergence

    def exports(self) -> Mapping[str, Export]:
        mode = _MODES[self.facts.channels]
        reads = {"text": "text"}
        return {"painter": Export(self.painter, reads, like="image", mode=(mode, mode))}

    def encode(self, network: nn.Module, source: Batch) -> tuple[Tensor, Tensor]:
        assert isinstance(network, Painter)
        return self.codes(network, source), network.text.read(source.texts["text"])

    def decode(self, network: nn.Module, codes: Tensor, conditions: Tensor) -> Tensor:
        out: Tensor = network(codes, conditions)
        return out

    def codes(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return the codes (N, L) that the seeds stand for."""
        device = next(network.parameters()).device
        return batch.noise(self.options.code).to(device, non_blocking=True)


def _check_count(batch: Batch) -> None:
    if len(batch) < 2:
        raise UsageError(
            "text2image: compares the captions of a batch, and one has none beside it; "
            "--batch-size 2 or more, and as many for each part of accumulate"
        )
