"""Adversarial objectives: what the discriminator and the generator each minimise."""

from __future__ import annotations

from torch import Tensor


class LeastSquares:
    """LSGAN with targets 1 for real and 0 for fake; scores of any shape.

    Source: Mao et al. 2016, arXiv:1611.04076, eq. 9.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return half the sum of the mean squared distances to the targets: a scalar."""
        return 0.5 * ((real.float() - 1).square().mean() + fake.float().square().mean())

    def generator(self, fake: Tensor) -> Tensor:
        """Return the fakes' mean squared distance to the real target: a scalar."""
        return (fake.float() - 1).square().mean()
