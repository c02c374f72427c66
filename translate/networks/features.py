"""What a network computes on the way: for losses that compare features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn


class _Enough(Exception):
    """Everything that was asked for is there."""


def features(network: nn.Module, x: Tensor, layers: Sequence[str]) -> list[Tensor]:
    """Return what ``network`` computes for ``x`` at some of its layers, with gradients.

    It runs no further than it must, so that half a network costs half.

    Args:
        network: any module that takes ``x``.
        x: a batch.
        layers: names as in ``network.named_modules()``, in any order; "" is the network itself.

    Returns:
        The layers' outputs in the order of their names. One that the next layer overwrites (an
        activation in place) is given as that leaves it.

    Raises:
        ValueError: if there is no such layer, or it takes no part.
    """
    modules = dict(network.named_modules(remove_duplicate=False))
    for name in layers:
        if name not in modules:
            raise ValueError(f"{type(network).__name__} has no layer {name!r}")
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            found[name] = output
            if len(found) == len(handles):
                raise _Enough

        return hook

    handles = [modules[name].register_forward_hook(keep(name)) for name in dict.fromkeys(layers)]
    try:
        with _uncompiled(network):
            if handles:
                network(x)
    except _Enough:
        pass
    finally:
        for handle in handles:
            handle.remove()
    for name in layers:
        if name not in found:
            raise ValueError(f"layer {name!r} takes no part in {type(network).__name__}'s work")
    return [found[name] for name in layers]


def _uncompiled(network: nn.Module) -> Any:
    """Return what keeps compiled parts from being used: they do not see hooks that came later."""
    if all(module._compiled_call_impl is None for module in network.modules()):
        return nullcontext()
    return torch.compiler.set_stance("force_eager")
