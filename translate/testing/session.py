"""A short training by the real loop, watched turn by turn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from translate.method import Batch, Phase, Step
from translate.training.loop import Trainer
from translate.training.phases import Player
from translate.training.settings import TrainingSettings

if TYPE_CHECKING:
    from translate.testing.subject import Subject

_STEPS = 2  # in each stage
_LONGEST_ROUND = 60


@dataclass(frozen=True, eq=False)
class Turn:
    """What one phase's turn did, looked at before ``after``.

    Attributes:
        changed: the parameters that are not what they were.
        foreign: those among them that the phase does not name.
    """

    phase: Phase
    changed: frozenset[str]
    foreign: frozenset[str]
    scalars: dict[str, float]


def stages(phases: Sequence[Phase]) -> list[int]:
    """Return the images seen at which another set of phases begins to take part."""
    marks = {0, *(p.since for p in phases), *(p.until for p in phases if p.until is not None)}
    found: dict[tuple[bool, ...], int] = {}
    for images in sorted(marks):
        found.setdefault(tuple(phase.active(images) for phase in phases), images)
    return [images for active, images in found.items() if any(active)]


class Session(Trainer):
    """A training of a fresh method on the CPU in fp32."""

    def __init__(self, subject: Subject, *, seed: int) -> None:
        method = subject.ready(seed=seed)
        images = 1000 + 2 * max(stages(method.phases()), default=0)
        settings = TrainingSettings(images=images, batch_size=2, precision="fp32")
        super().__init__(method, settings, torch.device("cpu"), torch.float32)
        self.subject, self.turns = subject, list[Turn]()

    @property
    def round(self) -> int:
        """Steps in which every phase has had a turn, within reason."""
        return min(_LONGEST_ROUND, math.lcm(_STEPS, *(p.phase.every for p in self.players)))

    def visit_stages(self) -> None:
        """Train some steps in each stage, as if the images before it had been seen."""
        for images in stages([player.phase for player in self.players]):
            self.images = max(images, self.images)
            self.number += -self.number % self.round  # so that every phase has its turn
            self.steps(_STEPS)

    def steps(self, count: int) -> None:
        """Train on the next batches."""
        for _ in range(count):
            batch = self.subject.batch(self.number)
            self.step([[batch]] * self.updates())

    def _turn(
        self, turn: int, player: Player, batches: Sequence[Batch], steps: Sequence[Step]
    ) -> dict[str, Tensor]:
        parameters = dict(self.method.named_parameters())
        before = {name: p.detach().clone() for name, p in parameters.items()}
        terms = super()._turn(turn, player, batches, steps)
        changed = {name for name, p in parameters.items() if not torch.equal(p, before[name])}
        own = {id(p) for p in player.parameters}
        foreign = {name for name in changed if id(parameters[name]) not in own}
        scalars = {name: float(value) for name, value in terms.items()}
        self.turns.append(Turn(player.phase, frozenset(changed), frozenset(foreign), scalars))
        return terms
