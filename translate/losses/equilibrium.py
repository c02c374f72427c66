"""BEGAN's objective: a balance between two reconstruction errors that is kept by a controller."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

from translate.losses.precision import wide


class Equilibrium(nn.Module):
    """BEGAN for a discriminator that reconstructs: its score is minus the error L, (N,).

    Args:
        diversity: γ in [0, 1], the wanted ratio of the errors of fakes and real pictures.
        rate: λ of the controller.

    Its memory, all of it in the state dict: k in [0, 1], the last convergence measure, and sums of
    errors since ``settle``.

    Source: Berthelot et al. 2017, arXiv:1703.10717, section 3.4.
    """

    balance: Tensor
    convergence: Tensor
    sums: Tensor

    def __init__(self, diversity: float = 0.5, rate: float = 0.001) -> None:
        super().__init__()
        self.diversity, self.rate = diversity, rate
        self.register_buffer("balance", torch.zeros(()))
        self.register_buffer("convergence", torch.zeros(()))
        self.register_buffer("sums", torch.zeros(3))  # L(real), L(fake), and of how many

    def discriminator(
        self, real: Tensor, fake: Tensor, wrong: Tensor | None = None, *, share: float = 0.5
    ) -> Tensor:
        """Return L(real) - k L(fake), and remember both: a scalar.

        Args:
            real, fake: scores.
            wrong: of real pictures under conditions of others; L(fake) is a mean with theirs then.
            share: theirs, in [0, 1].
        """
        real, fake = -wide(real).mean(), -wide(fake).mean()
        if wrong is not None:
            fake = (1 - share) * fake - share * wide(wrong).mean()
        one = torch.ones_like(self.balance)
        self.sums += torch.stack([real.detach(), fake.detach(), one])
        return real - self.balance.clone() * fake  # k may change before the backward pass

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Return L(fake): a scalar."""
        return -wide(fake).mean()

    @torch.no_grad()
    def settle(self) -> None:
        """Move k by the mean errors since the last call, over all processes."""
        if dist.is_initialized():
            dist.all_reduce(self.sums)
        real, fake, count = self.sums.unbind()
        drift = (self.diversity * real - fake) / count.clamp(min=1)
        self.convergence.copy_(real / count.clamp(min=1) + drift.abs())
        self.balance.add_(self.rate * drift).clamp_(0, 1)
        self.sums.zero_()
