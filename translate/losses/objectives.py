"""Adversarial objectives: what the discriminator and the generator each minimise.

Scores have any shape and are unbounded: more is more real. Sigmoids and logarithms are taken
together, so that confident scores stay finite. Everything is computed in fp32.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from translate.losses.precision import wide
from translate.runtime import global_mean


class Objective(ABC):
    """An objective, by what it asks of a score that should say real or fake.

    Args:
        smoothing: how far the discriminator's target for real pictures lies below 1, in [0, 1),
            where the objective has targets (Salimans et al. 2016, arXiv:1606.03498, section 3.4).
    """

    def __init__(self, *, smoothing: float = 0.0) -> None:
        self.smoothing = smoothing

    @abstractmethod
    def real(self, scores: Tensor, smoothing: float = 0.0) -> Tensor:
        """Return the loss of scores that should say real: a scalar."""

    @abstractmethod
    def fake(self, scores: Tensor) -> Tensor:
        """Return the loss of scores that should say fake: a scalar."""

    def discriminator(
        self, real: Tensor, fake: Tensor, wrong: Tensor | None = None, *, share: float = 0.5
    ) -> Tensor:
        """Return what the discriminator minimises, of its scores: a scalar.

        Args:
            real, fake: of real pictures and of fakes.
            wrong: of real pictures under conditions of others, which are fakes of another kind.
            share: of these among all fakes, in [0, 1].
        """
        fakes = _mixed(self.fake, wide(fake), wrong, share)
        return self.real(wide(real), self.smoothing) + fakes

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Return what the generator minimises: a scalar; only ``Relativistic`` needs ``real``."""
        return self.real(wide(fake))


class NonSaturating(Objective):
    """The generator makes its fakes likely, which has a slope where it is losing.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, section 3.
    """

    def real(self, scores: Tensor, smoothing: float = 0.0) -> Tensor:
        # The cross-entropy with the target t: t softplus(-s) + (1 - t) softplus(s).
        return (F.softplus(-scores) + smoothing * scores).mean()

    def fake(self, scores: Tensor) -> Tensor:
        return F.softplus(scores).mean()


class Minimax(NonSaturating):
    """The generator maximises what the discriminator minimises, and learns little while it loses.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, eq. 1.
    """

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -self.fake(wide(fake))


class Wasserstein(Objective):
    """The difference of the mean scores; something else must bound the critic's slope.

    Source: Arjovsky et al. 2017, arXiv:1701.07875, eq. 2.
    """

    def real(self, scores: Tensor, smoothing: float = 0.0) -> Tensor:
        return -scores.mean()

    def fake(self, scores: Tensor) -> Tensor:
        return scores.mean()


class LeastSquares(Objective):
    """LSGAN with the target 1 for real.

    Args:
        low: the target for fake.
        smoothing: as for every objective.

    Source: Mao et al. 2016, arXiv:1611.04076, eq. 9.
    """

    def __init__(self, *, low: float = 0.0, smoothing: float = 0.0) -> None:
        super().__init__(smoothing=smoothing)
        self.low = low

    def real(self, scores: Tensor, smoothing: float = 0.0) -> Tensor:
        return (scores - (1 - smoothing)).square().mean()

    def fake(self, scores: Tensor) -> Tensor:
        return (scores - self.low).square().mean()

    def discriminator(
        self, real: Tensor, fake: Tensor, wrong: Tensor | None = None, *, share: float = 0.5
    ) -> Tensor:
        return 0.5 * super().discriminator(real, fake, wrong, share=share)


class Hinge(Objective):
    """Scores beyond the margins of 1 and -1 are left alone by the discriminator.

    Source: Lim and Ye 2017, arXiv:1705.02894; as in Zhang et al. 2018, arXiv:1805.08318, eq. 4.
    """

    def real(self, scores: Tensor, smoothing: float = 0.0) -> Tensor:
        return F.relu(1 - scores).mean()

    def fake(self, scores: Tensor) -> Tensor:
        return F.relu(1 + scores).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -wide(fake).mean()


class Relativistic(Objective):
    """Asks whether real pictures look more real than fakes do on average, and the reverse.

    Means are over the batches of all processes. The generator also makes real pictures look
    less real, so that it learns from them too.

    Args:
        objective: what is asked of the differences.

    Source: Jolicoeur-Martineau 2018, arXiv:1807.00734, eq. 15 to 18; the generator's side is
    the discriminator's with real and fake exchanged.
    """

    def __init__(self, objective: Objective) -> None:
        super().__init__(smoothing=objective.smoothing)
        self.objective = objective

    def real(self, scores: Tensor, smoothing: float = 0.0) -> Tensor:
        return self.objective.real(scores, smoothing)

    def fake(self, scores: Tensor) -> Tensor:
        return self.objective.fake(scores)

    def discriminator(
        self, real: Tensor, fake: Tensor, wrong: Tensor | None = None, *, share: float = 0.5
    ) -> Tensor:
        real, fake = wide(real), wide(fake)
        above = real - _mixed(global_mean, fake, wrong, share)
        usual = global_mean(real)
        fakes = _mixed(lambda scores: self.fake(scores - usual), fake, wrong, share)
        return self.real(above, self.smoothing) + fakes

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Return what the generator minimises: a scalar.

        Raises:
            ValueError: without the real pictures' scores.
        """
        if real is None:
            raise ValueError("a relativistic generator needs the scores of real pictures, too")
        real, fake = wide(real), wide(fake)
        return self.real(fake - global_mean(real)) + self.fake(real - global_mean(fake))


def _mixed(
    of: Callable[[Tensor], Tensor], fake: Tensor, wrong: Tensor | None, share: float
) -> Tensor:
    """Return the mean of a function of both kinds of fakes' scores, weighted."""
    if wrong is None:
        return of(fake)
    return (1 - share) * of(fake) + share * of(wide(wrong))
