"""The channels-last layout changes no number: in normalisation, and in what optimizers see."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from translate.method import Optimizer
from translate.networks.blocks import InstanceNorm, is_channels_last
from translate.training.layout import in_channels_last
from translate.training.phases import make_optimizer
from translate.training.processes import average_gradients

LAST, USUAL = torch.channels_last, torch.contiguous_format


@pytest.fixture
def alone() -> Iterator[None]:
    """A group of processes that this one has to itself."""
    store = dist.HashStore()  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def convolution() -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(3, 5, 3).to(memory_format=LAST)


def after_a_step(layer: nn.Conv2d, between: Callable[[list[nn.Parameter]], object]) -> Tensor:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    parameters = list(layer.parameters())
    optimizer = make_optimizer(Optimizer(lr=0.1), parameters)
    layer(x.to(memory_format=LAST)).square().sum().backward()
    between(parameters)
    optimizer.step()
    return layer.weight.detach()


@pytest.mark.usefixtures("alone")
def test_a_gradient_of_several_processes_lies_in_memory_as_its_weight() -> None:
    """Fused optimizers go through both as they lie; in another order they would mix elements up."""
    layer = convolution()
    averaged = after_a_step(layer, average_gradients)
    assert layer.weight.grad is not None
    assert layer.weight.stride() == layer.weight.grad.stride() != (27, 9, 3, 1)
    assert torch.equal(averaged, after_a_step(convolution(), lambda parameters: None))


@pytest.mark.usefixtures("alone")
def test_a_parameter_without_a_gradient_anywhere_keeps_none() -> None:
    layer, idle = convolution(), nn.Parameter(torch.ones(2))
    after_a_step(layer, lambda parameters: average_gradients([idle, *parameters]))
    assert idle.grad is None


def derivatives(
    norm: Callable[[Tensor], Tensor], x: Tensor, behind: torch.memory_format = USUAL
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a norm's output, its gradient, and the gradient of that gradient's size.

    ``behind`` is the layout of the gradient that comes to the norm from what follows it.
    """
    x = x.detach().requires_grad_()
    out = norm(x)
    generator = torch.Generator().manual_seed(2)
    towards = torch.randn(out.shape, generator=generator).to(out.dtype, memory_format=behind)
    [first] = torch.autograd.grad((out * towards).sum(), x, create_graph=True)
    [second] = torch.autograd.grad(first.square().sum(), x)
    return out.detach(), first.detach(), second


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("layout", [LAST, USUAL])
@pytest.mark.parametrize("behind", [LAST, USUAL])
@pytest.mark.parametrize(
    ("dtype", "near"), [(torch.float64, 1e-10), (torch.float32, 1e-4), (torch.bfloat16, 0.03)]
)
def test_instance_norm_is_the_same_in_either_layout(
    dtype: torch.dtype,
    near: float,
    count: int,
    layout: torch.memory_format,
    behind: torch.memory_format,
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = 3 * torch.randn(count, 6, 9, 7, generator=generator, dtype=torch.float64) + 1
    x = x.to(dtype)
    norm = InstanceNorm(6)
    assert is_channels_last(x.to(memory_format=LAST))
    ours = derivatives(norm, x.to(memory_format=layout), behind)
    exact = derivatives(lambda y: F.group_norm(y, 6), x.double())
    for name, one, other in zip(("value", "first", "second"), ours, exact, strict=True):
        assert one.dtype == dtype
        error = float((one.double() - other).norm() / other.norm())
        assert error < near, name
    # Without gradients another way is the faster one.
    with torch.no_grad():
        still = norm(x.to(memory_format=layout)).double()
    assert float((still - exact[0]).norm() / exact[0].norm()) < near


def test_training_in_channels_last_takes_the_quick_way_and_keeps_the_layout() -> None:
    x = torch.randn(3, 4, 5, 5).to(memory_format=LAST).requires_grad_()
    out = InstanceNorm(4)(x)
    assert is_channels_last(out)
    assert "GroupNorm" not in type(out.grad_fn).__name__


@pytest.mark.parametrize("channels", [1, 4])
def test_a_single_pixel_has_no_variance_and_becomes_nothing(channels: int) -> None:
    x = torch.randn(2, channels, 1, 1).to(memory_format=LAST).requires_grad_()
    assert InstanceNorm(channels)(x).abs().max() < 1e-3


def test_torchs_instance_norm_gets_its_gradient_in_the_layout_that_it_can_take() -> None:
    """In torch 2.15 its own gradient is wrong for one picture otherwise, several times over."""
    gradients = []
    for last in (False, True):
        torch.manual_seed(0)
        network = nn.Sequential(nn.InstanceNorm2d(4), nn.Conv2d(4, 3, 3))
        if last:
            network = in_channels_last(network)
        x = torch.randn(1, 4, 8, 8, requires_grad=True)
        network(x).square().sum().backward()
        assert x.grad is not None
        gradients.append(x.grad)
    torch.testing.assert_close(gradients[1], gradients[0])
