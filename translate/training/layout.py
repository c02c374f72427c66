"""How a method's weights lie in memory while it trains."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm

M = TypeVar("M", bound=nn.Module)


def in_channels_last(method: M) -> M:
    """Lay 4-D weights channels last: convolutions are faster so, in half precision many times.

    Torch's instance norm (2.15 and before) gives a wrong gradient without a word when its output's
    gradient lies channels last and the batch is one picture; so it gets that in the usual layout.
    """
    for module in method.modules():
        if isinstance(module, _InstanceNorm):
            module.register_forward_hook(_ask_for_the_usual_layout)
    return method.to(memory_format=torch.channels_last)


def _ask_for_the_usual_layout(module: nn.Module, args: Any, output: Tensor) -> None:
    if output.requires_grad:
        output.register_hook(torch.Tensor.contiguous)  # type: ignore[no-untyped-call]
