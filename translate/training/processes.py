"""Several processes, one run: each learns from its share of every batch, and all stay alike.

Started by ``torchrun``. Gradients are averaged by one all-reduce a turn. DistributedDataParallel
would want one forward for each backward, where players have several, and would not see gradients
that a penalty takes itself.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from translate.errors import UsageError
from translate.losses.precision import wide
from translate.runtime import global_mean


def rank() -> int:
    """Return which process this is; 0 writes."""
    return dist.get_rank() if dist.is_initialized() else 0


def count() -> int:
    """Return how many processes take part."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def joined(device: str) -> Iterator[str]:
    """Join the processes that torchrun started, if it did; yield this one's own device.

    Raises:
        UsageError: if the device is not one that processes can share out, or they do not meet.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise UsageError(f"--device {device}: with several processes there are auto, cpu and cuda")
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    # Small things, such as whether to stop, go over gloo, so that no GPU is waited for.
    try:
        dist.init_process_group("gloo" if device == "cpu" else "cpu:gloo,cuda:nccl")
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"WORLD_SIZE: the processes cannot be joined ({reason})") from None
    try:
        yield device
        meet()  # one that left earlier would pull the connection from under the others
    finally:
        # What the connection's threads would give back only while Python ends would abort it.
        gc.collect()
        dist.destroy_process_group()


def meet() -> None:
    """Wait until every process is here."""
    if dist.is_initialized():
        dist.all_reduce(torch.zeros(1))


def any_of(flag: bool) -> bool:
    """Say whether the flag is up in any process."""
    if not dist.is_initialized():
        return flag
    flags = torch.tensor([float(flag)])
    dist.all_reduce(flags, dist.ReduceOp.MAX)
    return bool(flags)


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Put the mean over all processes in place of each gradient, by one all-reduce a type.

    A parameter without a gradient in every process keeps none; where only some have one, the
    others' counts as 0.
    """
    if not dist.is_initialized():
        return
    # Which have one is known without waiting for the device.
    some = torch.tensor([float(p.grad is not None) for p in parameters])
    dist.all_reduce(some, dist.ReduceOp.MAX)
    learning = [p for p, has in zip(parameters, some.tolist(), strict=True) if has]
    for dtype in dict.fromkeys(p.dtype for p in learning):
        mine = [p for p in learning if p.dtype == dtype]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in mine]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        means = torch.split(flat / dist.get_world_size(), [p.numel() for p in mine])
        for p, gradient, mean in zip(mine, gradients, means, strict=True):
            # Fused optimizers take it for granted that a gradient lies in memory as its weight.
            p.grad = gradient.copy_(mean.view_as(gradient))


def average_scalars(scalars: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the mean of each scalar over all processes, which may hold them in any order."""
    if not dist.is_initialized() or not scalars:
        return dict(scalars)
    names = sorted(scalars)
    device = scalars[names[0]].device  # some may be on the host
    values = torch.stack([scalars[name].detach().float().to(device) for name in names])
    dist.all_reduce(values)
    means = dict(zip(names, (values / dist.get_world_size()).unbind(), strict=True))
    return {name: means[name] for name in scalars}


class _SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm with the statistics of all processes' samples, on any device.

    Torch's own refuses CPU tensors.
    """

    def _check_input_dim(self, x: Tensor) -> None:
        """Any of the three kinds has been taken over."""

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training or self.running_mean is None):
            return super().forward(x)
        dims = [d for d in range(x.ndim) if d != 1]
        shape = [-1 if d == 1 else 1 for d in range(x.ndim)]
        full, world = wide(x), dist.get_world_size()
        mean = global_mean(full, dims)
        centred = full - mean.view(shape)
        var = global_mean(centred.square(), dims)
        if self.training and self.running_mean is not None and self.running_var is not None:
            samples = x.numel() // x.shape[1] * world
            self._remember(mean.detach(), var.detach() * samples / max(1, samples - 1))
        out = centred * torch.rsqrt(var + self.eps).view(shape)
        if self.affine:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        normed: Tensor = out.to(x.dtype)
        return normed

    def _remember(self, mean: Tensor, var: Tensor) -> None:
        assert self.num_batches_tracked is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        self.num_batches_tracked.add_(1)
        share = self.momentum or 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(var.to(self.running_var.dtype), share)


def share_batch_norm(module: nn.Module) -> None:
    """Let every batch norm in ``module`` see the samples of all processes, if there are more."""
    if not dist.is_initialized():
        return
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            part.__class__ = _SharedBatchNorm  # type: ignore[assignment]
