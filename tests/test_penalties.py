"""Penalties on a discriminator's slope, where the slope is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from translate.losses import gradient_penalty, local_penalty, r1_penalty

WEIGHTS = torch.tensor([3.0, 4.0])  # of a linear critic: its slope is 5 everywhere


def linear(weights: Tensor = WEIGHTS) -> nn.Linear:
    critic = nn.Linear(len(weights), 1)
    with torch.no_grad():
        critic.weight.copy_(weights)
    return critic


def pairs(count: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, count, 2, generator=g)
    return real, fake, torch.rand(count, generator=g)


def test_the_penalties_of_a_linear_critic_are_known() -> None:
    real, fake, share = pairs()
    critic = linear()
    assert gradient_penalty(critic, real, fake, share).item() == pytest.approx((5 - 1) ** 2)
    assert local_penalty(critic, real, torch.randn_like(real)).item() == pytest.approx(16)
    assert r1_penalty(critic, real).item() == pytest.approx(25 / 2)


def test_a_critic_may_give_one_number_a_picture() -> None:
    real, _, _ = pairs()
    critic = linear()
    assert r1_penalty(lambda x: critic(x)[:, 0], real).item() == pytest.approx(25 / 2)


def test_the_critic_learns_from_them() -> None:
    real, fake, share = pairs()
    slope, direction = 5, WEIGHTS / 5
    critic = linear()
    for penalty, expected in (
        (gradient_penalty(critic, real, fake, share), 2 * (slope - 1) * direction),
        (local_penalty(critic, real, fake), 2 * (slope - 1) * direction),
        (r1_penalty(critic, real), WEIGHTS),
    ):
        (gradient,) = torch.autograd.grad(penalty, critic.weight)
        torch.testing.assert_close(gradient[0], expected)


def bowl(x: Tensor) -> Tensor:
    """A critic whose slope at x is x."""
    return x.square().flatten(1).sum(1, keepdim=True) / 2


def test_slopes_are_taken_where_the_papers_take_them() -> None:
    real, fake = torch.tensor([[6.0, 8.0]]), torch.zeros(1, 2)
    assert r1_penalty(bowl, real).item() == pytest.approx(100 / 2)
    # A quarter of the way from fake to real, the length is 2.5.
    share = torch.tensor([0.25])
    assert gradient_penalty(bowl, real, fake, share).item() == pytest.approx(1.5**2)
    # Around the real picture: (6, 8) + 0.5 (6, 8) has the length 15.
    assert local_penalty(bowl, real, real, deviation=0.5).item() == pytest.approx(14**2)


def test_each_pair_has_its_own_place() -> None:
    real, fake = torch.tensor([[2.0], [2.0]]), torch.zeros(2, 1)
    share = torch.tensor([0.5, 1.0])  # lengths 1 and 2
    assert gradient_penalty(bowl, real, fake, share).item() == pytest.approx((0 + 1) / 2)


def test_a_pictures_score_is_the_mean_of_its_patches() -> None:
    def patches(x: Tensor) -> Tensor:
        return 3 * x  # every pixel a score

    real = torch.zeros(2, 1, 2, 2)
    # Of each pixel the mean's slope is 3 / 4, and there are 4 of them.
    assert r1_penalty(patches, real).item() == pytest.approx(4 * (3 / 4) ** 2 / 2)


def test_a_flat_critic_has_finite_slopes() -> None:
    real, fake, share = pairs()
    critic = linear(torch.zeros(2))
    penalty = gradient_penalty(critic, real, fake, share)
    penalty.backward()  # type: ignore[no-untyped-call]
    assert penalty.item() == 1
    assert critic.weight.grad is not None
    assert critic.weight.grad.isfinite().all()


def test_nothing_leaks_into_the_pictures() -> None:
    real, fake, share = pairs()
    fake.requires_grad_()
    gradient_penalty(linear(), real, fake, share).backward()  # type: ignore[no-untyped-call]
    r1_penalty(linear(), real).backward()  # type: ignore[no-untyped-call]
    assert not real.requires_grad
    assert real.grad is None
    assert fake.grad is None


def test_autocast_and_no_grad_around_it_change_nothing() -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    real, fake, share = pairs()
    alone = gradient_penalty(critic, real, fake, share)
    with torch.autocast("cpu", torch.bfloat16):
        critic(real)  # which leaves rounded weights in autocast's cache
        inside = gradient_penalty(critic, real.bfloat16().float(), fake, share)
        same = gradient_penalty(critic, real, fake, share)
    assert same.item() == alone.item()
    assert inside.dtype == torch.float32
    with torch.no_grad():
        assert gradient_penalty(critic, real, fake, share).item() == alone.item()


def test_pictures_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(4, 2\) and \(3, 2\)"):
        gradient_penalty(linear(), torch.zeros(4, 2), torch.zeros(3, 2), torch.zeros(4))
