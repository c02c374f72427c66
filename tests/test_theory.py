"""What the theory of adversarial training predicts, seen in the code that trains."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from translate import AdversarialOptions, Batch, Discriminator
from translate.networks import PatchGAN

# Two densities on ten places, in counts out of 100.
P = torch.tensor([1, 2, 4, 8, 12, 20, 25, 15, 8, 5])
Q = torch.tensor([20, 20, 15, 12, 10, 8, 6, 4, 3, 2])
PLACES = torch.arange(10.0)


class Table(nn.Module):
    """A discriminator that is free to score each place as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(len(PLACES)))

    def forward(self, x: Tensor) -> Tensor:
        return self.scores[x.long()]


def best_scores(turns: int = 300, **options: Any) -> Tensor:
    """Train a discriminator between P and Q until it can do no better."""
    judge = Discriminator(Table(), AdversarialOptions(**options))
    optimizer = torch.optim.Adam(judge.parameters(), lr=0.1)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, turns)
    real = PLACES.repeat_interleave(P)[:, None]  # (100, 1)
    fake = PLACES.repeat_interleave(Q)[:, None]
    for turn in range(turns):
        optimizer.zero_grad()
        batch = Batch({}, torch.arange(turn * 100, (turn + 1) * 100))
        judge.discriminator_loss(real, fake, batch).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        judge.settle()
        rates.step()
    return judge.network.get_parameter("scores").detach()


def test_the_best_discriminator_knows_the_odds() -> None:
    """D* = p / (p + q): Goodfellow et al. 2014, proposition 1."""
    expected = P / (P + Q)
    for name in ("non-saturating", "minimax"):
        found = best_scores(adversarial=name).sigmoid()
        torch.testing.assert_close(found, expected, atol=0.01, rtol=0)
    # With the targets 1 and 0, LSGAN's is the same without a sigmoid: Mao et al. 2016, eq. 5.
    torch.testing.assert_close(best_scores(adversarial="lsgan"), expected, atol=0.01, rtol=0)


def test_the_best_hinge_says_only_who_is_likelier() -> None:
    found = best_scores(adversarial="hinge")
    torch.testing.assert_close(found, torch.where(P > Q, 1.0, -1.0), atol=0.05, rtol=0)


def test_smoothing_lowers_the_odds_of_real_alone() -> None:
    """D* = (1 - s) p / (p + q): Salimans et al. 2016, section 3.4."""
    found = best_scores(adversarial="non-saturating", label_smoothing=0.2).sigmoid()
    torch.testing.assert_close(found, 0.8 * P / (P + Q), atol=0.01, rtol=0)


def test_noisy_labels_mix_the_densities() -> None:
    found = best_scores(adversarial="non-saturating", label_noise=0.25).sigmoid()
    expected = (0.75 * P + 0.25 * Q) / (P + Q)
    torch.testing.assert_close(found, expected, atol=0.03, rtol=0)
    clean = best_scores(adversarial="non-saturating").sigmoid()
    assert (found - clean).abs().max() > 0.1


@pytest.mark.parametrize("score", [-4.0, -8.0, -16.0])
def test_where_the_discriminator_is_sure_only_minimax_stops_teaching(score: float) -> None:
    """Goodfellow et al. 2014, section 3: the ratio of the slopes is e^score."""
    slopes = {}
    for name in ("minimax", "non-saturating"):
        judge = Discriminator(nn.Identity(), AdversarialOptions(adversarial=name))
        fake = torch.full((4, 1), score, requires_grad=True)
        loss = judge.generator_loss(fake, fake.detach(), Batch({}, torch.arange(4)))
        (gradient,) = torch.autograd.grad(loss, fake)
        slopes[name] = gradient.sum().item()
    assert slopes["non-saturating"] == pytest.approx(-1, abs=0.02)
    assert slopes["minimax"] / slopes["non-saturating"] == pytest.approx(math.exp(score), rel=1e-3)


def test_simultaneous_steps_of_a_bilinear_game_circle_outwards() -> None:
    """On f(x, y) = xy each step is √(1 + lr²) further out and turns by atan(lr).

    Source: Goodfellow 2016, arXiv:1701.00160, section 8.2; Mescheder et al. 2018, lemma 2.3.
    """
    options = AdversarialOptions(adversarial="wgan", weight_clip=100)
    judge, made = Discriminator(nn.Linear(1, 1, bias=False), options), nn.Parameter(torch.ones(1))
    weight = judge.network.get_parameter("weight")
    nn.init.zeros_(weight)
    lr, steps, real, batch = 0.1, 100, torch.zeros(1, 1), Batch({}, torch.arange(1))
    path = []
    for _ in range(steps):
        path.append(complex(made.item(), weight.item()))
        fake = made.view(1, 1)
        judged = judge.discriminator_loss(real, fake, batch)
        generated = judge.generator_loss(fake, real, batch)
        (by_weight,) = torch.autograd.grad(judged, weight)
        (by_made,) = torch.autograd.grad(generated, made)
        with torch.no_grad():  # both at once
            weight.sub_(lr * by_weight)
            made.sub_(lr * by_made)
        judge.settle()
    assert abs(path[-1]) == pytest.approx((1 + lr**2) ** ((steps - 1) / 2), rel=1e-4)
    turned = sum(math.atan2((b / a).imag, (b / a).real) for a, b in pairwise(path))
    assert abs(turned) == pytest.approx((steps - 1) * math.atan(lr), rel=1e-4)
    assert abs(turned) > 2 * math.pi  # once around and more


def test_spectral_norm_bounds_every_layer() -> None:
    torch.manual_seed(0)
    network, x = PatchGAN(width=4, layers=2, norm="none", spectral=True), torch.randn(2, 3, 16, 16)
    for _ in range(30):
        network(x)
    weights = [module.weight for module in network.layers if isinstance(module, nn.Conv2d)]
    assert len(weights) == 4
    for weight in weights:
        largest = torch.linalg.svdvals(weight.detach().flatten(1))[0]
        assert largest.item() == pytest.approx(1, abs=0.02)
