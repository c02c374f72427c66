"""Players in the loop: whose turn, from which batch, how often, and by which optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from translate import (
    AdversarialOptions,
    Batch,
    Discriminator,
    Export,
    Facts,
    Method,
    Optimizer,
    Phase,
    Step,
    UsageError,
)
from translate.training.loop import Trainer
from translate.training.phases import Player
from translate.training.settings import TrainingSettings

CPU = torch.device("cpu")


class Critic(nn.Module):
    """One score a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.layer(x.flatten(1))
        return scores


class Pair(Method[AdversarialOptions]):
    """The smallest adversarial method; it remembers which batches each player saw."""

    Options = AdversarialOptions

    def __init__(self, options: AdversarialOptions, facts: Facts, **phase: Any) -> None:
        super().__init__(options, facts)
        self.generator = nn.Conv2d(1, 1, 1)
        self.critic = Discriminator(Critic(), options)
        self.phase = phase
        self.seen: list[tuple[str, list[int]]] = []
        self.fakes: list[Tensor] = []
        self.told: list[Mapping[str, Tensor]] = []

    def phases(self) -> Sequence[Phase]:
        learn = self.critic.optimizer(Optimizer(lr=1e-3))
        return [
            Phase("generator", [self.generator], self.generator_losses, learn),
            Phase(
                *("critic", [self.critic], self.critic_losses, learn),
                after=self.told.append,
                **self.phase,
            ),
        ]

    def generator_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        self.seen.append(("generator", batch.seeds.tolist()))
        fake = self.generator(batch["a"])
        step.keep(fake=fake)
        return {"adversarial": self.critic.generator_loss(fake, batch["a"], batch)}

    def critic_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        self.seen.append(("critic", batch.seeds.tolist()))
        self.fakes.append(step.recall("fake", lambda: self.generator(batch["a"])))
        return {"judge": self.critic.discriminator_loss(batch["a"], self.fakes[-1], batch)}

    def exports(self) -> Mapping[str, Export]:
        return {"generator": Export(self.generator, {"image": "a"})}

    def translate(self, network: nn.Module, source: Batch) -> Tensor:
        out: Tensor = network(source["image"])
        return out


def pair(adversarial: str = "lsgan", **phase: Any) -> Pair:
    torch.manual_seed(0)
    return Pair(AdversarialOptions(adversarial=adversarial), Facts(), **phase)  # type: ignore[arg-type]


def trainer(method: Method[Any], dtype: torch.dtype = torch.float32, **settings: Any) -> Trainer:
    return Trainer(method, TrainingSettings(**settings), CPU, dtype)


def batch(first: int, count: int = 2) -> Batch:
    g = torch.Generator().manual_seed(first)
    return Batch(
        {"a": torch.randn(count, 1, 2, 2, generator=g)}, torch.arange(first, first + count)
    )


@pytest.mark.parametrize(
    ("adversarial", "phase", "settings", "updates"),
    [
        ("lsgan", {}, {}, 1),
        ("wgan", {}, {}, 5),
        ("wgan-gp", {}, {}, 5),
        ("wgan", {"updates": 2}, {}, 2),
        ("lsgan", {}, {"players": {"critic": {"updates": 3}}}, 3),
    ],
)
def test_a_discriminator_learns_as_often_as_asked_each_time_from_a_fresh_batch(
    adversarial: str, phase: dict[str, Any], settings: dict[str, Any], updates: int
) -> None:
    method = pair(adversarial, **phase)
    subject = trainer(method, **settings)
    assert subject.updates() == updates
    subject.step([[batch(10 * place)] for place in range(updates)])
    assert method.seen[0] == ("generator", [0, 1])
    assert method.seen[1:] == [("critic", [10 * u, 10 * u + 1]) for u in range(updates)]
    # The first fakes are the generator's own; the others are made of their own batch.
    assert all(not torch.equal(one, other) for one, other in pairwise(method.fakes))
    assert subject.images == 2 * updates
    assert len(method.told) == updates
    assert method.critic.turns == updates


def test_wgans_weights_stay_clipped() -> None:
    method = pair("wgan")
    assert all(float(p.detach().abs().max()) <= 0.01 for p in method.critic.parameters())
    subject = trainer(method)
    subject.step([[batch(place)] for place in range(5)])
    assert all(float(p.detach().abs().max()) <= 0.01 for p in method.critic.parameters())
    assert type(subject.players[1].optimizer) is torch.optim.RMSprop


def test_users_change_how_a_player_learns() -> None:
    players = {
        "all": {"lr": 0.1, "betas": (0.0, 0.9), "clip": 1.0},
        "critic": {"lr": 0.2, "optimizer": "adamw", "weight_decay": 0.5, "schedule": "cosine"},
    }
    subject = trainer(pair(), images=100, players=players)
    generator, critic = subject.players
    assert generator.wanted == Optimizer("adam", 0.1, (0.0, 0.9))
    assert critic.wanted == Optimizer("adamw", 0.2, (0.0, 0.9), "cosine", 0.5)
    assert type(critic.optimizer) is torch.optim.AdamW
    assert (generator.clip, critic.clip) == (1.0, 1.0)
    scalars = subject.step([[batch(0)]])
    assert float(scalars["generator/rate"]) == pytest.approx(0.1)
    assert float(scalars["critic/rate"]) == pytest.approx(0.2)
    subject.images = 50
    scalars = subject.step([[batch(0)]])
    assert float(scalars["critic/rate"]) == pytest.approx(0.1)


def test_a_player_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match=r"players\.judge: .* there are all, generator, critic"):
        trainer(pair(), players={"judge": {"lr": 1.0}})


def test_a_gradient_is_logged_as_it_is_and_learned_from_clipped() -> None:
    steps = {}
    for clip in (None, 1e-3):
        method = pair()
        learn = Optimizer("rmsprop", lr=1.0)  # whose first step does not hang on the size alone
        before = method.generator.weight.detach().clone()
        subject = trainer(method, players={"generator": {"clip": clip}} if clip else {})
        subject.players[0].optimizer = torch.optim.SGD(method.generator.parameters(), lr=1.0)
        subject.players[0].wanted = learn
        scalars = subject.step([[batch(0)]])
        moved = float((method.generator.weight.detach() - before).abs())
        steps[clip] = (float(scalars["generator/gradient"]), moved)
    assert steps[None][0] == pytest.approx(steps[1e-3][0])
    assert steps[None][0] > 0.01
    assert steps[1e-3][1] <= 1e-3 < steps[None][1]


def test_only_the_networks_that_a_phase_names_change_in_it() -> None:
    method = pair()
    subject = trainer(method)
    turns: list[set[str]] = []
    turn = subject._turn

    def watched(*arguments: Any) -> dict[str, Tensor]:
        before = {name: p.detach().clone() for name, p in method.named_parameters()}
        terms = turn(*arguments)
        after = dict(method.named_parameters())
        turns.append({n.split(".")[0] for n, p in before.items() if not torch.equal(p, after[n])})
        return terms

    subject._turn = watched  # type: ignore[assignment,method-assign]
    for place in range(3):
        subject.step([[batch(place)]])
    assert turns == [{"generator"}, {"critic"}] * 3


def test_what_a_discriminator_reports_is_logged_under_its_name() -> None:
    scalars = trainer(pair()).step([[batch(0)]])
    assert 0 <= float(scalars["critic/above"]) <= 1


def test_half_precision_is_scaled_and_an_overflow_is_left_out() -> None:
    """fp16's gradients are scaled up; where that overflows, nothing is learned and it is halved."""
    method = pair()
    subject = trainer(method, torch.float16)
    scale = subject.scalers["generator"].get_scale()
    assert scale > 1000
    before = method.generator.weight.detach().clone()
    huge = Batch({"a": torch.full((2, 1, 2, 2), 3e4)}, torch.arange(2))
    scalars = subject.step([[huge]])
    assert torch.equal(method.generator.weight.detach(), before)
    assert float(scalars["generator/gradient"]) == 0
    assert subject.scalers["generator"].get_scale() == scale / 2
    state = subject.state_dict()
    other = trainer(pair(), torch.float16)
    other.load_state_dict(state)
    assert other.scalers["generator"].get_scale() == scale / 2
    for _ in range(20):
        subject.step([[batch(0)]])
    assert not torch.equal(method.generator.weight.detach(), before)


def test_half_precision_learns_what_full_precision_learns() -> None:
    weights: dict[torch.dtype, float] = {}
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        method = pair()
        subject = trainer(method, dtype)
        for place in range(30):
            subject.step([[batch(place)]])
        weights[dtype] = float(method.generator.weight.detach())
    full = weights[torch.float32]
    start = float(pair().generator.weight.detach())
    # fp16 leaves out its first steps, until its scale has come down.
    for dtype, allowed in ((torch.bfloat16, 0.1), (torch.float16, 0.4)):
        assert abs(weights[dtype] - full) < allowed * abs(full - start), dtype


def test_what_a_method_froze_is_in_no_optimizer() -> None:
    method = pair()
    method.generator.bias.requires_grad_(False)  # type: ignore[union-attr]
    player = Player(method.phases()[0])
    assert [p.shape for p in player.parameters] == [method.generator.weight.shape]
