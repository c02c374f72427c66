"""The adversarial objectives against their formulas, worked by hand, slopes included."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from translate.losses import (
    Equilibrium,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Objective,
    Relativistic,
    Wasserstein,
)

REAL, FAKE = (0.5, -1.0), (0.25, 2.0)
Formula = Callable[[float], float]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


# Of one score: what it costs the discriminator, real and fake, and the generator; then slopes.
PLAIN: dict[str, tuple[Objective, list[Formula]]] = {
    "minimax": (
        Minimax(),
        [
            lambda r: -math.log(sigmoid(r)),
            lambda f: -math.log(1 - sigmoid(f)),
            lambda f: math.log(1 - sigmoid(f)),
            lambda r: sigmoid(r) - 1,
            lambda f: sigmoid(f),
            lambda f: -sigmoid(f),
        ],
    ),
    "non-saturating": (
        NonSaturating(),
        [
            lambda r: -math.log(sigmoid(r)),
            lambda f: -math.log(1 - sigmoid(f)),
            lambda f: -math.log(sigmoid(f)),
            lambda r: sigmoid(r) - 1,
            lambda f: sigmoid(f),
            lambda f: sigmoid(f) - 1,
        ],
    ),
    "smoothed": (
        NonSaturating(smoothing=0.1),
        [
            lambda r: -0.9 * math.log(sigmoid(r)) - 0.1 * math.log(1 - sigmoid(r)),
            lambda f: -math.log(1 - sigmoid(f)),
            lambda f: -math.log(sigmoid(f)),
            lambda r: sigmoid(r) - 0.9,
            lambda f: sigmoid(f),
            lambda f: sigmoid(f) - 1,
        ],
    ),
    "lsgan": (
        LeastSquares(),
        [
            lambda r: (r - 1) ** 2 / 2,
            lambda f: f**2 / 2,
            lambda f: (f - 1) ** 2,
            lambda r: r - 1,
            lambda f: f,
            lambda f: 2 * (f - 1),
        ],
    ),
    "smoothed lsgan": (
        LeastSquares(smoothing=0.2),
        [
            lambda r: (r - 0.8) ** 2 / 2,
            lambda f: f**2 / 2,
            lambda f: (f - 1) ** 2,
            lambda r: r - 0.8,
            lambda f: f,
            lambda f: 2 * (f - 1),
        ],
    ),
    "wasserstein": (
        Wasserstein(),
        [lambda r: -r, lambda f: f, lambda f: -f, lambda r: -1, lambda f: 1, lambda f: -1],
    ),
    "hinge": (
        Hinge(),
        [
            lambda r: max(0, 1 - r),
            lambda f: max(0, 1 + f),
            lambda f: -f,
            lambda r: -float(r < 1),
            lambda f: float(f > -1),
            lambda f: -1,
        ],
    ),
}


def scores(numbers: tuple[float, ...]) -> Tensor:
    return torch.tensor(numbers, requires_grad=True)


def slopes(loss: Tensor, of: Tensor) -> list[float]:
    (gradient,) = torch.autograd.grad(loss, of, retain_graph=True)
    return gradient.tolist()


@pytest.mark.parametrize("name", PLAIN)
def test_objectives_are_their_formulas(name: str) -> None:
    objective, (by_real, by_fake, by_generator, *_) = PLAIN[name]
    # A score's place has no meaning: neither does the shape.
    real, fake = scores(REAL), scores(FAKE).view(1, 2, 1)
    expected = mean([by_real(r) for r in REAL]) + mean([by_fake(f) for f in FAKE])
    assert objective.discriminator(real, fake).item() == pytest.approx(expected)
    made = mean([by_generator(f) for f in FAKE])
    assert objective.generator(fake).item() == pytest.approx(made)


@pytest.mark.parametrize("name", PLAIN)
def test_slopes_are_the_formulas(name: str) -> None:
    objective, (*_, by_real, by_fake, by_generator) = PLAIN[name]
    real, fake = scores(REAL), scores(FAKE)
    judged, made = objective.discriminator(real, fake), objective.generator(fake)
    assert slopes(judged, real) == pytest.approx([by_real(r) / 2 for r in REAL])
    assert slopes(judged, fake) == pytest.approx([by_fake(f) / 2 for f in FAKE])
    assert slopes(made, fake) == pytest.approx([by_generator(f) / 2 for f in FAKE])


# Of one difference: what it costs if it should say real, or fake, and the slopes of both.
RELATIVE: dict[str, tuple[Objective, list[Formula]]] = {
    "non-saturating": (NonSaturating(), PLAIN["non-saturating"][1][:2] + PLAIN["minimax"][1][3:5]),
    "lsgan": (
        LeastSquares(low=-1),
        [
            lambda d: (d - 1) ** 2,
            lambda d: (d + 1) ** 2,
            lambda d: 2 * (d - 1),
            lambda d: 2 * (d + 1),
        ],
    ),
    "hinge": (Hinge(), PLAIN["hinge"][1][:2] + PLAIN["hinge"][1][3:5]),
}


@pytest.mark.parametrize("name", RELATIVE)
def test_relativistic_forms_compare_with_the_other_sides_mean(name: str) -> None:
    plain, (says_real, says_fake, slope_real, slope_fake) = RELATIVE[name]
    objective = Relativistic(plain)
    above = [r - mean([*FAKE]) for r in REAL]  # of real, over the mean fake
    below = [f - mean([*REAL]) for f in FAKE]
    real, fake = scores(REAL), scores(FAKE)

    judged = objective.discriminator(real, fake)
    expected = mean([says_real(d) for d in above]) + mean([says_fake(d) for d in below])
    assert judged.item() == pytest.approx(expected)
    # Each score counts on its own, and as a part of its side's mean.
    as_mean = mean([slope_fake(d) for d in below])
    assert slopes(judged, real) == pytest.approx([(slope_real(d) - as_mean) / 2 for d in above])
    as_mean = mean([slope_real(d) for d in above])
    assert slopes(judged, fake) == pytest.approx([(slope_fake(d) - as_mean) / 2 for d in below])

    made = objective.generator(fake, real)
    expected = mean([says_real(d) for d in below]) + mean([says_fake(d) for d in above])
    assert made.item() == pytest.approx(expected)
    as_mean = mean([slope_fake(d) for d in above])
    assert slopes(made, fake) == pytest.approx([(slope_real(d) - as_mean) / 2 for d in below])


def test_a_relativistic_generator_needs_real_scores() -> None:
    with pytest.raises(ValueError, match="needs the scores of real pictures"):
        Relativistic(Hinge()).generator(scores(FAKE))


@pytest.mark.parametrize("name", [*PLAIN, *(f"relativistic {name}" for name in RELATIVE)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_confident_scores_stay_finite(name: str, sign: int) -> None:
    kind, _, plain = name.partition("relativistic ")
    objective = PLAIN[kind][0] if kind else Relativistic(RELATIVE[plain][0])
    real, fake = scores((sign * 200.0,) * 2), scores((-sign * 200.0,) * 2)
    judged, made = objective.discriminator(real, fake), objective.generator(fake, real)
    for loss, of in ((judged, real), (judged, fake), (made, fake)):
        assert math.isfinite(loss.item())
        assert all(math.isfinite(slope) for slope in slopes(loss, of))
    if sign < 0:  # who is confident and wrong learns
        assert min(abs(slope) for slope in slopes(judged, real)) > 0.1


def test_half_precision_scores_are_judged_in_fp32() -> None:
    for objective, _ in PLAIN.values():
        half = torch.tensor([300.0, -300.0], dtype=torch.float16)  # squares are beyond fp16
        for loss in (objective.discriminator(half, half), objective.generator(half)):
            assert loss.dtype == torch.float32
            assert loss.isfinite()


def test_equilibrium_by_hand() -> None:
    objective = Equilibrium(diversity=0.4, rate=0.1)
    # The scores are errors with the sign turned: L(real) = 2, L(fake) = 0.5, and k is 0 yet.
    real, fake = torch.tensor([-1.0, -3.0]), torch.tensor([-0.25, -0.75])
    assert objective.discriminator(real, fake).item() == pytest.approx(2)
    assert objective.generator(fake).item() == pytest.approx(0.5)
    objective.settle()
    k = 0.1 * (0.4 * 2 - 0.5)
    assert objective.balance.item() == pytest.approx(k)
    assert objective.convergence.item() == pytest.approx(2 + abs(0.4 * 2 - 0.5))
    assert objective.discriminator(real, fake).item() == pytest.approx(2 - k * 0.5)


def test_the_balance_moves_once_by_the_mean_of_all_micro_batches() -> None:
    objective = Equilibrium(diversity=0.5, rate=0.1)
    for real, fake in ((-1.0, -0.2), (-3.0, -0.4)):
        objective.discriminator(torch.tensor([real]), torch.tensor([fake]))
    objective.settle()
    assert objective.balance.item() == pytest.approx(0.1 * (0.5 * 2 - 0.3))
    before = objective.balance.item()
    objective.settle()  # without a turn, nothing moves
    assert objective.balance.item() == before


def test_the_balance_stays_between_0_and_1() -> None:
    objective = Equilibrium(diversity=1, rate=1)
    for real, fake, expected in ((-9.0, -1.0, 1.0), (-1.0, -9.0, 0.0)):
        objective.discriminator(torch.tensor([real]), torch.tensor([fake]))
        objective.settle()
        assert objective.balance.item() == expected


def test_the_balance_may_move_before_the_backward_pass() -> None:
    objective, fake = Equilibrium(rate=1), scores((-1.0, -1.0))
    objective.balance.fill_(0.25)
    loss = objective.discriminator(torch.tensor([-1.0]), fake)
    objective.settle()
    assert slopes(loss, fake) == pytest.approx([0.125, 0.125])
