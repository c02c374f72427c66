"""From numbered samples to batches on the device, read ahead by threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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
) -> Generator[Batch, None, None]:
    """Yield batches without end, beginning with the run's sample ``start``.

    Threads are enough: decoding, resizing and array work all let go of the interpreter's lock.
    """
    number = start
    ahead: deque[Future[Sample]] = deque()
    with ThreadPoolExecutor(max(1, workers), thread_name_prefix="read") as pool:
        try:
            while True:
                while len(ahead) < batch_size * (1 + _BATCHES_AHEAD):
                    ahead.append(pool.submit(dataset.sample, number, seed))
                    number += 1
                samples = [ahead.popleft().result() for _ in range(batch_size)]
                first = number - len(ahead) - batch_size
                seeds = [mix(seed, first + i) for i in range(batch_size)]
                yield dataset.on_device(collate(samples, seeds, device))
        finally:
            for future in ahead:
                future.cancel()


def collate(samples: Sequence[Sample], seeds: Sequence[int], device: torch.device) -> Batch:
    """Return samples as one batch on the device: bytes cross the bus and become floats there.

    Raises:
        UsageError: if the samples differ in size.
    """
    tensors = {field: _stack(field, [s[field] for s in samples], device) for field in samples[0]}
    return Batch(tensors, torch.tensor(seeds, dtype=torch.int64))


def _stack(field: str, arrays: Sequence[Any], device: torch.device) -> Tensor:
    sizes = {array.shape for array in arrays}
    if len(sizes) > 1:
        one, other = sorted(sizes)[:2]
        raise UsageError(
            f"the pictures of a batch differ in size ({one[1]}×{one[0]} and {other[1]}×{other[0]} "
            f"in {field!r}): train with --batch-size 1, or let data.mode crop them"
        )
    pixels = torch.from_numpy(np.stack(arrays))  # (N, H, W, C) uint8
    if device.type == "cuda":
        pixels = pixels.pin_memory().to(device, non_blocking=True)
    return pixels.permute(0, 3, 1, 2).to(device, torch.float32).div_(127.5).sub_(1).contiguous()
