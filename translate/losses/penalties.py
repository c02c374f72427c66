"""Penalties on a discriminator's slope: how fast its score of a picture changes with the picture.

The score of a picture is the mean of all its scores. Slopes are computed in fp32 whatever the
autocast around them, and gradients flow through them to the discriminator's weights alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from translate.losses.precision import wide

Critic = Callable[[Tensor], Tensor]


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """Return WGAN-GP's penalty on the critic's slope between real and fake pictures.

    Args:
        critic: maps (N, ...) to unbounded scores (N, ...).
        real, fake: (N, ...), same shape.
        share: (N,) in [0, 1], how much of the real one; random.

    Returns:
        Scalar: the mean of (‖∇‖₂ - 1)² at those points on the segments between the pairs.

    Raises:
        ValueError: if the shapes differ.

    Source: Gulrajani et al. 2017, arXiv:1704.00028, eq. 3.
    """
    if real.shape != fake.shape:
        raise ValueError(f"real and fake differ in shape: {(*real.shape,)} and {(*fake.shape,)}")
    share = share.to(real.device, non_blocking=True).view(-1, *[1] * (real.ndim - 1))
    return _off_one(critic, share * wide(real.detach()) + (1 - share) * wide(fake.detach()))


def local_penalty(critic: Critic, real: Tensor, noise: Tensor, deviation: float = 0.25) -> Tensor:
    """Return DRAGAN's penalty on the slope around real pictures.

    Args:
        critic: maps (N, ...) to unbounded scores (N, ...).
        real, noise: (N, ...), same shape; the noise is normal.
        deviation: of the steps away from the real ones. The authors' code takes half of the
            pictures' own; this is half of what is usual for pictures in [-1, 1].

    Returns:
        Scalar: the mean of (‖∇‖₂ - 1)².

    Source: Kodali et al. 2017, arXiv:1705.07215, section 2.3; here of the score before the sigmoid.
    """
    noise = noise.to(real.device, non_blocking=True)
    return _off_one(critic, wide(real.detach()) + deviation * noise)


def r1_penalty(critic: Critic, real: Tensor) -> Tensor:
    """Return R1: half of the mean squared slope at real pictures, a scalar.

    Args:
        critic: maps (N, ...) to unbounded scores (N, ...).
        real: (N, ...).

    Source: Mescheder et al. 2018, arXiv:1801.04406, eq. 9.
    """
    return 0.5 * _gradients(critic, real).square().sum(1).mean()


def matching_penalty(
    critic: Callable[[Tensor, Tensor], Tensor], real: Tensor, given: Tensor, power: float = 6.0
) -> Tensor:
    """Return the penalty on the slope at real pictures with conditions that belong to them.

    What fits best is to lie on flat ground: then a fake is drawn to both the real pictures and
    their conditions. The power lets small slopes be, and stops steep ones.

    Args:
        critic: maps (N, ...) and (N, D) to unbounded scores (N, ...).
        real: (N, ...).
        given: (N, D), such as embedded texts.

    Returns:
        Scalar: the mean of (‖∇ by the picture‖₂ + ‖∇ by the condition‖₂)^power.

    Source: Tao et al. 2022, arXiv:2008.05865, eq. 1, there with the weight 2.
    """
    points = [wide(x.detach()).requires_grad_() for x in (real, given)]
    gradients = _by(lambda: critic(*points), points)
    slopes = torch.stack([torch.linalg.vector_norm(g, dim=1) for g in gradients])
    return slopes.sum(0).pow(power).mean()


def _off_one(critic: Critic, x: Tensor) -> Tensor:
    slopes: Tensor = torch.linalg.vector_norm(_gradients(critic, x), dim=1)
    return (slopes - 1).square().mean()


def _gradients(critic: Critic, x: Tensor) -> Tensor:
    """Return each score's gradient by its own picture, (N, numbers in a picture)."""
    x = wide(x.detach()).requires_grad_()  # a new tensor: nothing leaks into the batch
    [gradients] = _by(lambda: critic(x), [x])
    return gradients


def _by(scored: Callable[[], Tensor], points: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients of each sample's score by its own rows of ``points``, flat."""
    with torch.enable_grad(), torch.autocast(points[0].device.type, enabled=False):
        scores = wide(scored()).reshape(len(points[0]), -1).mean(1)
        gradients = torch.autograd.grad(scores.sum(), points, create_graph=True)
    return [gradient.flatten(1) for gradient in gradients]
