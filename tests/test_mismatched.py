"""Real pictures under conditions of others: a second kind of fakes; and slopes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from translate import AdversarialOptions, Batch, Discriminator
from translate.losses import Equilibrium, Hinge, LeastSquares, Objective, matching_penalty
from translate.losses import Relativistic as Relative

SCORES = [torch.tensor(s) for s in ((0.5, 2.0), (-0.25, -3.0), (0.75, -0.5))]
BATCH = Batch({}, torch.arange(4))


class Product(nn.Module):
    """Scores a picture by the sum of its pixels times its condition; its channels are three."""

    def __init__(self, *, norm: bool = False) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.norm = nn.BatchNorm2d(3, affine=False) if norm else nn.Identity()
        self.calls = 0

    def forward(self, images: Tensor, given: Tensor) -> Tensor:
        self.calls += 1
        light: Tensor = self.norm(images).mean((1, 2, 3))
        return self.scale * light[:, None] * given


class Echo(nn.Module):
    """Reconstructs a picture as a multiple of it."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((), 0.5))

    def forward(self, images: Tensor, given: Tensor) -> Tensor:
        return self.scale * images * given[..., None, None]


def judge(network: nn.Module | None = None, **options: Any) -> Discriminator:
    built = AdversarialOptions(**options)
    reconstructs = built.adversarial == "began"
    network = network or (Echo() if reconstructs else Product())
    return Discriminator(network, built, reconstructs=reconstructs)


def samples() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return real pictures, fakes, the conditions of both, and others."""
    g = torch.Generator().manual_seed(1)
    real, fake = torch.rand(2, 4, 3, 8, 8, generator=g) * 2 - 1
    given = torch.tensor([[1.0], [2.0], [3.0], [-1.0]])
    return real + 0.5, fake, given, given.flip(0)


def test_mismatches_are_half_of_the_hinge_losses_fakes() -> None:
    real, fake, wrong = SCORES
    # E max(0, 1 - real) + ½ E max(0, 1 + fake) + ½ E max(0, 1 + wrong), worked by hand.
    wanted = (0.5 + 0) / 2 + 0.5 * (0.75 + 0) / 2 + 0.5 * (1.75 + 0.5) / 2
    assert float(Hinge().discriminator(real, fake, wrong)) == pytest.approx(wanted)


@pytest.mark.parametrize("objective", [Hinge(), LeastSquares(), Relative(Hinge()), Equilibrium()])
def test_their_share_goes_from_none_to_all(objective: Objective | Equilibrium) -> None:
    if isinstance(objective, Equilibrium):
        objective.balance.fill_(0.5)
    real, fake, wrong = SCORES
    plain = objective.discriminator(real, fake)
    assert torch.equal(objective.discriminator(real, fake, wrong, share=0.0), plain)
    only = objective.discriminator(real, wrong)
    assert objective.discriminator(real, fake, wrong, share=1.0) == pytest.approx(float(only))
    assert not torch.equal(only, plain)
    # What is the same by both weighs as much as one of them.
    assert objective.discriminator(real, fake, fake) == pytest.approx(float(plain))


def test_a_relativistic_objective_compares_with_both_kinds() -> None:
    real, fake, wrong = SCORES
    usual = (fake.mean() + wrong.mean()) / 2
    fakes = sum((1 + s - real.mean()).clamp(min=0).mean() for s in (fake, wrong)) / 2
    wanted = (1 - (real - usual)).clamp(min=0).mean() + fakes
    assert float(Relative(Hinge()).discriminator(real, fake, wrong)) == pytest.approx(float(wanted))


@pytest.mark.parametrize("norm", [False, True])
def test_the_discriminator_scores_real_pictures_under_other_conditions(norm: bool) -> None:
    real, fake, given, other = samples()
    critic = judge(Product(norm=norm), adversarial="hinge")
    loss = critic.discriminator_loss(
        real, fake, BATCH, given=[given], mismatched=[other], mismatched_share=0.25
    )
    network = critic.network
    scores = [network(*pair) for pair in ((real, given), (fake, given), (real, other))]
    assert float(loss.detach()) == pytest.approx(
        float(Hinge().discriminator(*scores, share=0.25).detach()), rel=1e-5
    )


def test_pictures_are_scored_in_one_batch_where_nothing_mixes_them() -> None:
    real, fake, given, other = samples()
    for norm, calls in ((False, 1), (True, 3)):
        network = Product(norm=norm)
        judge(network).discriminator_loss(real, fake, BATCH, given=[given], mismatched=[other])
        assert network.calls == calls


def test_a_network_can_compare_a_picture_again_without_looking_again() -> None:
    real, fake, given, other = samples()
    looked: list[int] = []

    class Again(Product):
        def forward(self, images: Tensor, given: Tensor) -> Tensor:
            looked.append(len(images))
            images = torch.cat([images, images[: len(given) - len(images)]])
            return super().forward(images, given)

    critics = [
        Discriminator(network, AdversarialOptions(), compares_again=again)
        for network, again in ((Product(), False), (Again(), True))
    ]
    losses = [
        critic.discriminator_loss(real, fake, BATCH, given=[given], mismatched=[other])
        for critic in critics
    ]
    assert torch.equal(*losses)
    assert looked == [8]


@pytest.mark.parametrize(
    "name", ["minimax", "non-saturating", "lsgan", "wgan", "wgan-gp", "dragan", "began", "hinge"]
)
def test_every_objective_takes_them(name: str) -> None:
    real, fake, given, other = samples()
    critic = judge(adversarial=name)
    if name == "began":
        critic.objective.balance.fill_(0.5)  # type: ignore[union-attr]
    losses = [
        critic.discriminator_loss(real, fake, BATCH, given=[given], mismatched=wrong)
        for wrong in ((), [other])
    ]
    assert all(loss.isfinite() for loss in losses)
    assert not torch.equal(*losses)


def test_the_log_says_how_often_the_own_condition_scores_higher() -> None:
    critic = judge(adversarial="hinge")
    light = torch.ones(4, 3, 8, 8)
    own, other = torch.tensor([[2.0], [2.0], [2.0], [0.0]]), torch.ones(4, 1)
    critic.discriminator_loss(light, -light, BATCH, given=[own], mismatched=[other])
    assert float(critic.report()["matching"]) == 0.75
    critic.discriminator_loss(light, -light, BATCH, given=[own])
    assert "matching" not in critic.report()


def test_augmentation_changes_a_picture_in_one_way_for_both_conditions() -> None:
    real, fake, given, _ = samples()
    seen: list[Tensor] = []

    class Spy(Product):
        def forward(self, images: Tensor, given: Tensor) -> Tensor:
            seen.append(images)
            return super().forward(images, given)

    critic = judge(Spy(), adversarial="hinge", augment=("colour", "translation", "cutout"))
    critic.discriminator_loss(real, fake, BATCH, given=[given], mismatched=[given])
    first, _, third = seen[0].chunk(3)
    assert torch.equal(first, third)
    assert not torch.equal(first, real)


def test_the_matching_penalty_is_a_power_of_both_slopes() -> None:
    real, given = torch.rand(2, 3, 4, 4), torch.rand(2, 5)

    def critic(images: Tensor, texts: Tensor) -> Tensor:
        return 0.5 * images.flatten(1).sum(1) + 2 * texts.sum(1)

    slope = 0.5 * (3 * 16) ** 0.5 + 2 * 5**0.5
    assert float(matching_penalty(critic, real, given)) == pytest.approx(slope**6, rel=1e-5)
    assert float(matching_penalty(critic, real, given, 2)) == pytest.approx(slope**2, rel=1e-5)


def test_the_matching_penalty_flattens_the_critic_and_nothing_else() -> None:
    real, _, given, _ = samples()
    real.requires_grad_()
    network = Product()
    before = matching_penalty(network, real, given)
    before.backward()  # type: ignore[no-untyped-call]
    assert real.grad is None
    assert network.scale.grad is not None
    with torch.no_grad():
        network.scale.sub_(1e-3 * network.scale.grad.sign())
    assert matching_penalty(network, real, given) < before
    with torch.autocast("cpu", torch.bfloat16):
        assert matching_penalty(network, real, given).dtype == torch.float32


def test_a_flat_critic_has_no_penalty_and_finite_gradients() -> None:
    network = Product()
    real, _, given, _ = samples()
    with torch.no_grad():
        network.scale.zero_()
    penalty = matching_penalty(network, real, given)
    penalty.backward()  # type: ignore[no-untyped-call]
    assert float(penalty.detach()) == 0
    assert network.scale.grad is not None
    assert network.scale.grad.isfinite()
