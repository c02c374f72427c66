"""Turns: freezing the other players, modes, optimizers and their schedules."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from translate.method import Method, Optimizer, Phase


class Player:
    """A phase with its optimizer: the parameters that learn in its turn."""

    def __init__(self, phase: Phase) -> None:
        self.phase = phase
        # What a method froze itself stays frozen.
        self.parameters = [p for p in unique_parameters(phase.trains) if p.requires_grad]
        self.optimizer = make_optimizer(phase.optimizer, self.parameters)

    def set_rate(self, images: int, total: int) -> None:
        """Set the learning rate for this many images seen of ``total``."""
        end = total if self.phase.until is None else min(self.phase.until, total)
        done = (images - self.phase.since) / max(1, end - self.phase.since)
        rate = self.phase.optimizer.lr * schedule(self.phase.optimizer.schedule, done)
        for group in self.optimizer.param_groups:
            group["lr"] = rate


def unique_parameters(modules: Sequence[nn.Module]) -> list[nn.Parameter]:
    """Return the modules' parameters, each once, in order."""
    return list(dict.fromkeys(p for module in modules for p in module.parameters()))


def make_optimizer(wanted: Optimizer, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimizer over ``parameters``, fused where torch has it."""
    if wanted.name == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=wanted.lr)
    kind = torch.optim.AdamW if wanted.name == "adamw" else torch.optim.Adam
    return kind(parameters, lr=wanted.lr, betas=wanted.betas, fused=True)


def schedule(name: str, done: float) -> float:
    """Return the factor on the learning rate once the share ``done`` in [0, 1] is done."""
    done = min(max(done, 0.0), 1.0)
    if name == "linear":
        return min(1.0, 2 * (1 - done))
    return 0.5 * (1 + math.cos(math.pi * done)) if name == "cosine" else 1.0


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
