"""Turns: freezing the other players, modes, optimizers and their schedules."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from translate.adversarial import Discriminator
from translate.errors import UsageError
from translate.method import Method, Optimizer, Phase
from translate.training.settings import EVERY, PlayerSettings, TrainingSettings


class Player:
    """A phase with its optimizer: the parameters that learn in its turn.

    Args:
        changes: what the user wants otherwise than the method.

    Attributes:
        critics: the discriminators that it trains.
        updates: how often it learns in a step.
    """

    def __init__(self, phase: Phase, changes: PlayerSettings | None = None) -> None:
        changes = changes or PlayerSettings()
        self.phase = phase
        self.wanted = changed(phase.optimizer, changes)
        # What a method froze itself stays frozen.
        self.parameters = [p for p in unique_parameters(phase.trains) if p.requires_grad]
        self.optimizer = make_optimizer(self.wanted, self.parameters)
        self.critics = [
            part
            for module in phase.trains
            for part in module.modules()
            if isinstance(part, Discriminator)
        ]
        asked = max((critic.updates for critic in self.critics), default=1)
        self.updates = changes.updates or phase.updates or asked
        self.clip = changes.clip or phase.clip

    def set_rate(self, images: int, total: int) -> float:
        """Set and return the learning rate for this many images seen of ``total``."""
        end = total if self.phase.until is None else min(self.phase.until, total)
        done = (images - self.phase.since) / max(1, end - self.phase.since)
        rate = self.wanted.lr * schedule(self.wanted, done)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate


def changed(optimizer: Optimizer, changes: PlayerSettings) -> Optimizer:
    """Return the optimizer with what a user wants otherwise."""
    given = changes.model_dump(exclude_none=True, exclude={"updates", "clip"})
    if "optimizer" in given:
        given["name"] = given.pop("optimizer")
    return replace(optimizer, **given)


def unique_parameters(modules: Sequence[nn.Module]) -> list[nn.Parameter]:
    """Return the modules' parameters, each once, in order."""
    return list(dict.fromkeys(p for module in modules for p in module.parameters()))


def make_optimizer(wanted: Optimizer, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimizer over ``parameters``, fused where torch has it."""
    lr, decay = wanted.lr, wanted.weight_decay
    if wanted.name == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=lr, weight_decay=decay)
    kind = torch.optim.AdamW if wanted.name == "adamw" else torch.optim.Adam
    return kind(parameters, lr=lr, betas=wanted.betas, weight_decay=decay, fused=True)


def schedule(wanted: Optimizer, done: float) -> float:
    """Return the factor on the learning rate once the share ``done`` in [0, 1] is done."""
    done = min(max(done, 0.0), 1.0)
    if wanted.schedule == "linear":
        return min(1.0, 2 * (1 - done))
    if wanted.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    if wanted.schedule == "step":
        return wanted.drop ** sum(done >= place for place in wanted.drops)
    return 1.0


def player_changes(settings: TrainingSettings, phases: Sequence[str]) -> dict[str, PlayerSettings]:
    """Return what the user wants otherwise, by phase: its own settings over those of all.

    Raises:
        UsageError: if there is no such phase.
    """
    for name in settings.players:
        if name not in (EVERY, *phases):
            raise UsageError(
                f"training.players.{name}: no such player; there are {EVERY}, {', '.join(phases)}"
            )
    everyone = settings.players.get(EVERY, PlayerSettings())
    return {
        name: everyone.model_copy(
            update=settings.players.get(name, everyone).model_dump(exclude_none=True)
        )
        for name in phases
    }


@torch.no_grad()
def clip_gradient(parameters: Sequence[nn.Parameter], largest: float | None) -> Tensor:
    """Return the norm of the gradient, all parameters together, and scale it to ``largest``."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return torch.zeros(())
    norm = nn.utils.get_total_norm(gradients)
    if largest is not None:
        nn.utils.clip_grads_with_norm_(parameters, largest, norm)
    return norm


@contextlib.contextmanager
def only_these_learn(method: Method[Any], parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Freeze every parameter of the method but these."""
    before = [(p, p.requires_grad) for p in method.parameters()]
    learning = set(parameters)
    for parameter, _ in before:
        parameter.requires_grad_(parameter in learning)
    try:
        yield
    finally:
        for parameter, required in before:
            parameter.requires_grad_(required)


def set_modes(method: Method[Any], phases: Sequence[Phase]) -> None:
    """Put what learns in this stage into training mode and everything else into evaluation."""
    method.eval()
    for phase in phases:
        for module in phase.trains:
            module.train()
