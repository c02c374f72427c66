"""A network that judges pictures, with the objective that it and the generator minimise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from translate.errors import UsageError
from translate.losses.augment import NUMBERS, Kind, augment
from translate.losses.equilibrium import Equilibrium
from translate.losses.objectives import (
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Objective,
    Relativistic,
    Wasserstein,
)
from translate.losses.penalties import Critic, gradient_penalty, local_penalty, r1_penalty
from translate.losses.precision import wide
from translate.method import Batch, Optimizer
from translate.options import Settings
from translate.pipeline.seeds import draws, mix

Adversarial = Literal[
    "minimax", "non-saturating", "lsgan", "wgan", "wgan-gp", "dragan", "began", "hinge"
]

# Streams of a sample's random numbers that no method uses.
_REAL, _FAKE, _GENERATED, _SEGMENTS, _LABELS, _AROUND = range(100, 106)

_NO_TARGETS = {
    "wgan": "its scores have no targets",
    "wgan-gp": "its scores have no targets",
    "hinge": "its margins are no targets",
    "began": "it compares reconstruction errors",
}
_NOT_RELATIVE = {
    "minimax": "it takes the generator's side that does not saturate",
    "wgan": "its scores count by their difference already",
    "wgan-gp": "its scores count by their difference already",
    "began": "its errors count by their difference already",
}
_OWN_BOUND = {
    "wgan": "the slope is bounded by weight_clip",
    "wgan-gp": "the slope is bounded by gradient_penalty",
    "dragan": "the slope is bounded by gradient_penalty",
    "began": "its balance takes the penalty's place",
}


class AdversarialOptions(Settings):
    """The objective of a discriminator and its generator."""

    adversarial: Adversarial = Field(
        default="lsgan", description="the objective of both players; lsgan and hinge are calm"
    )
    relativistic: bool = Field(
        default=False, description="compare with the other side's mean; generators see real ones"
    )
    gradient_penalty: float = Field(
        default=10.0, ge=0, le=1e4, description="of slopes off 1, for wgan-gp and dragan"
    )
    weight_clip: float = Field(
        default=0.01, gt=0, le=100, description="largest weight of wgan's critic; less is flatter"
    )
    r1: float = Field(
        default=0.0, ge=0, le=1e4, description="of slopes at real pictures; more is calmer"
    )
    r1_every: int = Field(
        default=16, ge=1, le=1000, description="turns between r1's, each weighing so much more"
    )
    label_smoothing: float = Field(
        default=0.0, ge=0, le=0.5, description="how far real's target is below 1; less confident"
    )
    label_noise: float = Field(
        default=0.0, ge=0, le=0.5, description="share of the samples with real and fake swapped"
    )
    diversity: float = Field(
        default=0.5, ge=0, le=1, description="began's gamma; less is sharper and less diverse"
    )
    balance_rate: float = Field(
        default=0.001, gt=0, le=1, description="began's lambda_k, how fast the balance moves"
    )
    augment: tuple[Kind, ...] = Field(
        default=(), description="of what the discriminator sees; for few pictures"
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> AdversarialOptions:
        name = self.adversarial
        for option, why in (
            ("label_smoothing", _NO_TARGETS),
            ("label_noise", _NO_TARGETS),
            ("relativistic", _NOT_RELATIVE),
            ("r1", _OWN_BOUND),
        ):
            if getattr(self, option) and name in why:
                raise ValueError(f"{option} has no place in {name}: {why[name]}")
        for option, owners in (
            ("gradient_penalty", ("wgan-gp", "dragan")),
            ("weight_clip", ("wgan",)),
            ("diversity", ("began",)),
            ("balance_rate", ("began",)),
        ):
            changed = getattr(self, option) != type(self).model_fields[option].default
            if changed and name not in owners:
                raise ValueError(f"{option} does nothing in {name}; it is for {', '.join(owners)}")
        return self


class PatchGANOptions(AdversarialOptions):
    """For methods whose discriminator is a PatchGAN: with whether it wins, how it is built."""

    critic_width: int = Field(default=64, ge=4, le=256, description="discriminators' channels")
    critic_layers: int = Field(
        default=3, ge=0, le=6, description="3 sees 70×70 pixels; more sees larger patches"
    )
    critic_spectral: bool = Field(
        default=False, description="bound the slope of each of the discriminators' layers"
    )
    critic_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="chance in the discriminators; more memorises less"
    )


class Discriminator(nn.Module):
    """A network that judges pictures, with what it and the generator minimise.

    Pictures are (N, C, H, W) in [-1, 1]; ``given`` are conditions, which the network
    gets after them. Every random number is keyed by the batch's seeds. Losses are fp32 scalars.

    Args:
        network: maps (N, C, H, W) to unbounded scores (N, ...), more being more real; or to these
            and what else it sees (N, ...), of which an auxiliary loss can be made.
        options: the objective.
        reconstructs: the network maps pictures to pictures instead, and what it reconstructs well
            is real: BEGAN's.
        compares_again: the network takes (M, ...) conditions with M ≥ N and gives M scores: those
            behind are for the first pictures once more, which are looked at once.

    Attributes:
        updates: turns of the discriminator for each of the generator's that the objective asks for.

    Raises:
        UsageError: if the objective cannot work with such a network.
    """

    updates: int

    def __init__(
        self,
        network: nn.Module,
        options: AdversarialOptions,
        *,
        reconstructs: bool = False,
        compares_again: bool = False,
    ) -> None:
        super().__init__()
        name = options.adversarial
        mixes = any(isinstance(module, _BatchNorm) for module in network.modules())
        kind = type(network).__name__
        if name == "began" and not reconstructs:
            raise UsageError(
                f"adversarial=began: judges by how well it reconstructs pictures, but {kind} gives "
                "scores; choose another objective"
            )
        if reconstructs and name != "began":
            raise UsageError(
                f"adversarial={name}: judges by scores, but {kind} reconstructs; choose began"
            )
        if mixes and name == "wgan-gp":
            raise UsageError(
                f"adversarial=wgan-gp: bounds each picture's slope, but batch norm in {kind} mixes "
                "pictures; choose another norm, or dragan"
            )
        self.network, self.options = network, options
        self.reconstructs, self.compares_again = reconstructs, compares_again
        self.objective = make_objective(options)
        self.updates = 5 if name in ("wgan", "wgan-gp") else 1
        # Batch norm would see real and fake pictures as one batch.
        self.together = not mixes
        self.turns = 0  # turns settled
        self._seen_since: dict[str, list[Tensor]] = {}  # the last report
        self._clip()  # the generator's first turn comes before the first settling

    def optimizer(self, default: Optimizer) -> Optimizer:
        """Return ``default`` with what the objective's paper trains both players with."""
        match self.options.adversarial:
            case "wgan":  # with momentum its training is unstable: section 4.3
                return replace(default, name="rmsprop", lr=5e-5)
            case "wgan-gp":
                return replace(default, name="adam", lr=1e-4, betas=(0.0, 0.9))
            case "began":
                return replace(default, name="adam", lr=1e-4)
            case _:
                return default

    def forward(self, x: Tensor, *given: Tensor) -> Tensor:
        """Return the scores of (N, C, H, W): unbounded, more being more real."""
        return self._look(x, given)[0]

    def uncompiled(self, x: Tensor, *given: Tensor) -> Tensor:
        """Return the scores where they are differentiated twice, which compiled graphs cannot be.

        Neither the network nor a part of it that is compiled by itself is run as such.
        """
        with torch.compiler.set_stance("force_eager"):
            return self.forward(x, *given)

    def _look(self, x: Tensor, given: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """Return scores, and what else the network sees."""
        out = self.network(x, *given)
        scores, sees = out if isinstance(out, tuple) else (out, None)
        if self.reconstructs:
            scores = -(wide(x) - wide(scores)).abs().flatten(1).mean(1)  # (N,)
        return scores, sees

    def discriminator_loss(
        self,
        real: Tensor,
        fake: Tensor,
        batch: Batch,
        *,
        given: Sequence[Tensor] = (),
        mismatched: Sequence[Tensor] = (),
        mismatched_share: float = 0.5,
        auxiliary: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Return what the discriminator minimises, with its penalties: a scalar.

        Args:
            real, fake: (N, C, H, W) in [-1, 1]; nothing flows back into the fakes.
            batch: whose samples they are.
            given: conditions of both.
            mismatched: conditions that do not belong to the real pictures. These with those are a
                second kind of fakes (Reed et al. 2016, arXiv:1605.05396, section 4.2).
            mismatched_share: of that kind among all fakes, in [0, 1].
            auxiliary: a further loss, of what else the network sees in the real pictures (Odena et
                al. 2016, arXiv:1610.09585, there of the fakes, too).

        Raises:
            ValueError: if there is one, and the network returns scores alone.
        """
        seen_real, real_given = self._seen(real.detach(), batch, given, _REAL)
        seen_fake, fake_given = self._seen(fake.detach().to(real.dtype), batch, given, _FAKE)
        seen = [(seen_real, real_given), (seen_fake, fake_given)]
        if mismatched:  # the same stream: real pictures are changed in the same way
            seen.append(self._seen(real.detach(), batch, mismatched, _REAL))
        (real_scores, fake_scores, *wrong_scores), sees = self._score_all(seen)
        self._compare("above", real_scores, fake_scores)
        if wrong_scores:
            self._compare("matching", real_scores, wrong_scores[0])
        if self.options.label_noise:
            real_scores, fake_scores = self._swap(real_scores, fake_scores, batch)
        loss = self.objective.discriminator(
            real_scores, fake_scores, *wrong_scores, share=mismatched_share
        )
        if auxiliary is not None:
            loss = loss + _further(auxiliary, sees)
        penalty = self._penalty(seen_real, seen_fake, batch, real_given)
        return loss if penalty is None else loss + penalty

    def generator_loss(
        self,
        fake: Tensor,
        real: Tensor,
        batch: Batch,
        *,
        given: Sequence[Tensor] = (),
        auxiliary: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Return what the generator minimises: a scalar.

        Args:
            fake: (N, C, H, W) in [-1, 1], with its graph.
            real: as many; only the relativistic objectives look at them.
            batch: whose samples they are.
            given: conditions of both.
            auxiliary: a further loss, of what else the network sees in the fakes.

        Raises:
            ValueError: if there is one, and the network returns scores alone.
        """
        seen, its_given = self._seen(fake, batch, given, _GENERATED)
        scores, sees = self._look(seen, its_given)
        real_scores = []
        if self.options.relativistic:
            with torch.no_grad():
                seen, its_given = self._seen(real, batch, given, _REAL)
                real_scores = [self(seen, *its_given)]
        loss = self.objective.generator(scores, *real_scores)
        return loss if auxiliary is None else loss + _further(auxiliary, sees)

    def _score_all(
        self, seen: Sequence[tuple[Tensor, list[Tensor]]]
    ) -> tuple[Sequence[Tensor], Tensor | None]:
        """Return what several kinds of pictures score with their conditions.

        And what else is seen in the first kind; a third is the same pictures as that.
        """
        images = [pictures for pictures, _ in seen]
        if not self.together or any(x.shape != images[0].shape for x in images):
            looks = [self._look(x, given) for x, given in seen]
            return [scores for scores, _ in looks], looks[0][1]
        given = [torch.cat(kinds) for kinds in zip(*(given for _, given in seen), strict=True)]
        scores, sees = self._look(torch.cat(images[:2] if self.compares_again else images), given)
        return scores.chunk(len(seen)), None if sees is None else sees[: len(images[0])]

    @torch.no_grad()
    def settle(self) -> None:
        """Do what follows each of its optimizer steps: clip weights, move BEGAN's balance."""
        self.turns += 1
        self._clip()
        if isinstance(self.objective, Equilibrium):
            self.objective.settle()

    @torch.no_grad()
    def _clip(self) -> None:
        if self.options.adversarial == "wgan":
            limit = self.options.weight_clip
            for parameter in self.network.parameters():
                parameter.clamp_(-limit, limit)

    @torch.no_grad()
    def report(self) -> dict[str, Tensor]:
        """Return what became of the losses since the last report: scalars on the device.

        ``above`` is the share of scores in which real is above fake: 0.5 is confused, 1 too strong.
        ``matching``, where there were mismatched conditions, is the share of real pictures that
        score higher with their own. ``penalty`` is weighted, where there was one; with BEGAN,
        ``balance`` is k and ``convergence`` its measure. Nothing, if there were no losses.
        """
        report = {name: torch.stack(seen).mean() for name, seen in self._seen_since.items()}
        if report and isinstance(self.objective, Equilibrium):
            report["balance"] = self.objective.balance.clone()
            report["convergence"] = self.objective.convergence.clone()
        self._seen_since.clear()
        return report

    def get_extra_state(self) -> dict[str, int]:
        return {"turns": self.turns}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.turns = state["turns"]

    def _seen(
        self, images: Tensor, batch: Batch, given: Sequence[Tensor], stream: int
    ) -> tuple[Tensor, list[Tensor]]:
        """Return pictures and conditions as the network gets them."""
        if not self.options.augment:
            return images, list(given)
        chance = draws(batch.seeds, NUMBERS, stream)
        return augment(images, given, self.options.augment, chance)

    @torch.no_grad()
    def _compare(self, name: str, real: Tensor, fake: Tensor) -> None:
        if real.shape != fake.shape:
            fake = wide(fake).mean()
        self._saw(name, (real > fake).float().mean() + 0.5 * (real == fake).float().mean())

    def _saw(self, name: str, value: Tensor) -> None:
        self._seen_since.setdefault(name, []).append(value.detach())

    def _swap(self, real: Tensor, fake: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Exchange the scores of some samples."""
        chance = draws(batch.seeds, 1, _LABELS).to(real.device, non_blocking=True)
        swapped = (chance < self.options.label_noise).view(-1, *[1] * (real.ndim - 1))
        return torch.where(swapped, fake, real), torch.where(swapped, real, fake)

    @property
    def _penalised(self) -> bool:
        o = self.options
        return o.r1 > 0 or (o.adversarial in ("wgan-gp", "dragan") and o.gradient_penalty > 0)

    def _penalty(
        self, real: Tensor, fake: Tensor, batch: Batch, given: Sequence[Tensor]
    ) -> Tensor | None:
        o = self.options
        if not self._penalised or (o.r1 and self.turns % o.r1_every):
            return None
        critic = self._critic(given)
        if o.r1:
            penalty = o.r1 * o.r1_every * r1_penalty(critic, real)
        elif o.adversarial == "wgan-gp":
            share = draws(batch.seeds, 1, _SEGMENTS)[:, 0]
            penalty = o.gradient_penalty * gradient_penalty(critic, real, fake, share)
        else:
            noise = normal(batch.seeds, real.shape[1:], _AROUND)
            penalty = o.gradient_penalty * local_penalty(critic, real, noise)
        self._saw("penalty", penalty)
        return penalty

    def _critic(self, given: Sequence[Tensor]) -> Critic:
        """Return the scores as a function of pictures alone, in fp32."""
        fixed = [wide(g.detach()) if g.is_floating_point() else g for g in given]
        return lambda x: self.uncompiled(x, *fixed)


def _further(auxiliary: Callable[[Tensor], Tensor], sees: Tensor | None) -> Tensor:
    if sees is None:
        raise ValueError("there is nothing for an auxiliary loss: the network returns scores alone")
    return auxiliary(sees)


def make_objective(options: AdversarialOptions) -> Objective | Equilibrium:
    """Return the objective on scores that the options name."""
    smoothing = options.label_smoothing
    objective: Objective
    match options.adversarial:
        case "began":
            return Equilibrium(options.diversity, options.balance_rate)
        case "minimax":
            return Minimax(smoothing=smoothing)
        case "wgan" | "wgan-gp":
            return Wasserstein()
        case "lsgan":
            # Differences have no sign of their own: fake is as far below 0 as real is above.
            low = -1.0 if options.relativistic else 0.0
            objective = LeastSquares(low=low, smoothing=smoothing)
        case "hinge":
            objective = Hinge()
        case _:  # DRAGAN is this with a penalty
            objective = NonSaturating(smoothing=smoothing)
    return Relativistic(objective) if options.relativistic else objective


def normal(seeds: Tensor, shape: Sequence[int], stream: int) -> Tensor:
    """Return normal noise (N, *shape): row i depends on ``seeds[i]`` and ``stream`` alone."""
    generators = [torch.Generator().manual_seed(mix(int(seed), stream)) for seed in seeds]
    return torch.stack([torch.randn(tuple(shape), generator=g) for g in generators])
