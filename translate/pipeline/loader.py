"""From numbered samples to batches on the device, read ahead by threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor

from translate.dataset import Dataset, Sample
from translate.errors import UsageError
from translate.method import Batch
from translate.pipeline.seeds import mix

_BATCHES_AHEAD = 2


def batches(
    dataset: Dataset[Any],
    *,
    seed: int,
    start: int,
    batch_size: int,
    workers: int,
    device: torch.device,
    rank: int = 0,
    processes: int = 1,
) -> Generator[Batch, None, None]:
    """Yield batches without end, beginning with the run's sample ``start``.

    Of every ``batch_size`` samples a process reads its own share, which is all that it yields.
    Threads are enough: decoding, resizing and array work all let go of the interpreter's lock.
    """
    share = batch_size // processes
    own = (start + step * batch_size + rank * share + i for step in count() for i in range(share))
    ahead: deque[tuple[int, Future[Sample]]] = deque()
    with ThreadPoolExecutor(max(1, workers), thread_name_prefix="read") as pool:
        try:
            while True:
                while len(ahead) < share * (1 + _BATCHES_AHEAD):
                    number = next(own)
                    ahead.append((number, pool.submit(dataset.sample, number, seed)))
                taken = [ahead.popleft() for _ in range(share)]
                samples = [future.result() for _, future in taken]
                seeds = [mix(seed, number) for number, _ in taken]
                yield dataset.on_device(collate(samples, seeds, device))
        finally:
            for _, future in ahead:
                future.cancel()


def collate(samples: Sequence[Sample], seeds: Sequence[int], device: torch.device) -> Batch:
    """Return samples as one batch on the device: bytes cross the bus and become floats there.

    Pictures become (N, C, H, W) in [-1, 1], numbers (N,) int64, texts stay on the host.

    Raises:
        UsageError: if pictures of a field differ in size.
    """
    tensors: dict[str, Tensor] = {}
    texts: dict[str, list[str]] = {}
    for field, first in samples[0].items():
        values = [sample[field] for sample in samples]
        if isinstance(first, str):
            texts[field] = [str(value) for value in values]
        elif isinstance(first, int | np.integer):
            tensors[field] = torch.tensor([int(v) for v in values]).to(device)
        else:
            tensors[field] = _stack(field, values, device)
    return Batch(tensors, torch.tensor(seeds, dtype=torch.int64), texts)


def _stack(field: str, pictures: Sequence[Any], device: torch.device) -> Tensor:
    sizes = {tuple(picture.shape) for picture in pictures}
    if len(sizes) > 1:
        one, other = sorted(sizes)[:2]
        raise UsageError(
            f"the pictures of a batch differ in size ({one[1]}×{one[0]} and {other[1]}×{other[0]} "
            f"in {field!r}): train with --batch-size 1, or let data.mode crop them"
        )
    if isinstance(pictures[0], Tensor):  # cut on the device already
        pixels = torch.stack(list(pictures))
    else:
        pixels = torch.from_numpy(np.stack(pictures))  # (N, H, W, C) uint8
        if device.type == "cuda":
            pixels = pixels.pin_memory().to(device, non_blocking=True)
    # Channels last in memory, as the networks want it.
    return pixels.permute(0, 3, 1, 2).to(device, torch.float32).div_(127.5).sub_(1)
