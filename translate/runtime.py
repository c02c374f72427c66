"""Where and how precisely to compute: what training and translating share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from translate.errors import UsageError

DEVICES = ("cpu", "cuda", "mps")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(name: str = "auto") -> torch.device:
    """Return the device called ``name``; "auto" prefers CUDA, then MPS, then the CPU.

    Raises:
        UsageError: if there is no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if name.partition(":")[0] not in DEVICES:
        raise UsageError(f"--device {name}: there are auto, {', '.join(DEVICES)}")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition(". ")[0].partition("\n")[0]
        raise UsageError(f"--device {name}: not available here ({reason})") from None
    return device


def bf16_is_fast(device: torch.device) -> bool:
    """Say whether the device has bf16 arithmetic of its own."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # Emulated bf16 is several times slower than fp32: ask the processor, not the library.
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def pick_precision(
    name: str, device: torch.device, *, without_bf16: torch.dtype = torch.float32
) -> torch.dtype:
    """Return the arithmetic to compute in; "auto" is bf16 where the device is fast at it.

    On a GPU that is not, "auto" is ``without_bf16``.

    Raises:
        UsageError: if there is no such precision, or the device cannot compute in it.
    """
    if name == "auto":
        if bf16_is_fast(device):
            return torch.bfloat16
        return without_bf16 if device.type == "cuda" else torch.float32
    if name == "fp16" and device.type == "cpu":
        raise UsageError("--precision fp16: a CPU does not compute in fp16; use bf16 or fp32")
    if name not in PRECISIONS:
        raise UsageError(f"--precision {name}: there are auto, {', '.join(PRECISIONS)}")
    return PRECISIONS[name]


@contextlib.contextmanager
def arithmetic(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Compute in ``dtype`` where that is safe (autocast); fp32 is left alone."""
    if dtype == torch.float32:
        yield
        return
    with torch.autocast(device.type, dtype):
        yield


def global_mean(x: Tensor, dims: Sequence[int] | None = None) -> Tensor:
    """Return x's mean over all processes, differentiable; over ``dims`` only, where given."""
    mean = x.mean() if dims is None else x.mean(tuple(dims))
    if not dist.is_initialized():
        return mean
    total: Tensor = _Sum.apply(mean)
    return total / dist.get_world_size()


class _Sum(torch.autograd.Function):
    """The sum over all processes; so is its gradient, since each process's loss hangs on it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total: Tensor = _Sum.apply(gradient)
        return total
