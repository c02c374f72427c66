"""How a network runs: in which precision, and with which random numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


@contextlib.contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Let torch's own generators, which dropout draws from, depend on the seed alone."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def in_precision(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Let a network compute in ``dtype`` between floats in fp32.

    Whole networks in half precision are faster than autocast, which converts weights again for
    every picture and normalises in fp32; and what a method does around its network (colour
    spaces, say) stays exact.
    """
    network = network.to(memory_format=torch.channels_last)
    if dtype == torch.float32:
        return network

    def halve(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return _cast(args, dtype), _cast(kwargs, dtype)

    network = network.to(dtype)
    network.register_forward_pre_hook(halve, with_kwargs=True)
    network.register_forward_hook(lambda module, args, output: _cast(output, torch.float32))
    return network


def _cast(value: Any, dtype: torch.dtype) -> Any:
    """Return a value with the floats among its tensors in ``dtype``."""
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if type(value) in (tuple, list):
        return type(value)(_cast(one, dtype) for one in value)
    if type(value) is dict:
        return {name: _cast(one, dtype) for name, one in value.items()}
    return value
