"""A model on its device: integers go in, integers come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from translate.bundle import Model
from translate.images import Picture
from translate.inference.sizing import apply_change, shrink, working_shape
from translate.method import Batch
from translate.pipeline.seeds import mix
from translate.runtime import pick_device, pick_precision

_ON_A_GPU = 16  # pictures in a batch there; one keeps a CPU's cores busy, and its caches warm


@dataclass(frozen=True, eq=False)
class Prepared:
    """A picture ready for the network.

    Attributes:
        pixels: (h, w, C) integers at working size, padded.
        shape: (height, width) at working size, before padding.
        picture: what it was made from.
    """

    pixels: NDArray[Any]
    shape: tuple[int, int]
    picture: Picture

    @property
    def key(self) -> tuple[object, ...]:
        """What pictures must share to be in one batch."""
        return (*self.pixels.shape, self.pixels.dtype)


@dataclass(frozen=True, eq=False)
class Finished:
    """What the network made of a picture, on the CPU, still to be composed.

    Attributes:
        result: (C, sh, sw) integers; or the change (C, h, w) float in [-2, 2] at working size.
    """

    result: Tensor
    prepared: Prepared


class Engine:
    """Runs an image model on batches of prepared pictures.

    Args:
        size: pictures of more than size² pixels are translated at that size; None: none are.
    """

    def __init__(
        self, model: Model, *, device: str = "auto", precision: str = "auto", size: int | None
    ) -> None:
        self.model, self.fit = model, model.fit
        self.device = pick_device(device)
        self.dtype = pick_precision(precision, self.device)
        self.size = size if self.fit.scale == 1 else None
        self.channels = len(model.header.mode[0])  # "L" or "RGB"
        self.network = _in_precision(model.network.to(self.device), self.dtype)

    def batch_size(self, wanted: int | None) -> int:
        """Return how many pictures to run at once."""
        if not self.fit.independent:
            return 1
        return wanted or (1 if self.device.type == "cpu" else _ON_A_GPU)

    def prepare(self, picture: Picture) -> Prepared:
        """Return a picture at working size, padded to what the network takes."""
        pixels = _with_channels(picture.pixels, self.channels)
        shape = working_shape(pixels.shape[0], pixels.shape[1], self.size)
        small = shrink(pixels, shape)
        padding = [(0, self._padding(side)) for side in shape]
        # Symmetric, since reflection needs more pixels than it adds.
        padded = (
            np.pad(small, [*padding, (0, 0)], mode="symmetric")
            if any(after for _, after in padding)
            else small
        )
        return Prepared(np.ascontiguousarray(padded), shape, picture)

    def _padding(self, side: int) -> int:
        wanted = max(side, self.fit.minimum)
        return wanted + -wanted % self.fit.multiple_of - side

    @torch.inference_mode()
    def run(self, items: Sequence[Prepared], seeds: Sequence[int]) -> list[Finished]:
        """Translate pictures of equal ``key`` together; out of memory, in halves.

        Raises:
            torch.OutOfMemoryError: if one alone is too large.
        """
        try:
            return self._run(items, seeds)
        except torch.OutOfMemoryError:
            if len(items) == 1:
                raise
        # Outside of the handler, whose traceback would keep the memory.
        torch.cuda.empty_cache()
        half = len(items) // 2
        return self.run(items[:half], seeds[:half]) + self.run(items[half:], seeds[half:])

    def _run(self, items: Sequence[Prepared], seeds: Sequence[int]) -> list[Finished]:
        stacked = torch.from_numpy(np.stack([item.pixels for item in items]))  # (N, h, w, C)
        top = float(np.iinfo(items[0].pixels.dtype).max)
        # Integers cross the bus and become floats there; channels last is how they lie already.
        x = stacked.to(self.device).permute(0, 3, 1, 2).float().div_(top / 2).sub_(1)
        y = self._forward(x, seeds)
        finished = []
        for item, before, after in zip(items, x, y, strict=True):
            h, w = item.shape
            after = after[:, : h * self.fit.scale, : w * self.fit.scale]
            if item.picture.pixels.shape[:2] == item.shape:
                result = after.add(1).mul_(top / 2).round_().clamp_(0, top)
                result = result.to(torch.uint8 if top == 255 else torch.int32)
            else:
                result = after.clamp(-1, 1)
                if after.shape[0] == before.shape[0]:
                    result = result - before[:, :h, :w]
            finished.append(Finished(result.cpu(), item))
        return finished

    @torch.inference_mode()
    def run_tensor(self, x: Tensor, seeds: Sequence[int]) -> Tensor:
        """Translate (N, C, H, W) in [-1, 1] on the device as it is; returns (N, C, sH, sW)."""
        height, width = x.shape[2:]
        padding = (0, self._padding(width), 0, self._padding(height))
        y = self._forward(F.pad(x, padding, mode="replicate"), seeds)
        return y[..., : height * self.fit.scale, : width * self.fit.scale].clamp(-1, 1)

    def _forward(self, x: Tensor, seeds: Sequence[int]) -> Tensor:
        field = next(iter(self.model.export.reads))
        source = Batch({field: x}, torch.tensor([mix(seed) for seed in seeds]))
        return self.model(source).float()

    def finish(self, finished: Finished) -> Picture:
        """Return the whole picture: at its own size, with its own alpha, EXIF and profile."""
        picture, result = finished.prepared.picture, finished.result
        kind = picture.pixels.dtype
        if result.is_floating_point():
            # A network that makes another kind of pixels changes everything: from black.
            base = _with_channels(picture.pixels, result.shape[0])
            if result.shape[0] != self.channels:
                base, result = np.zeros_like(base), result + 1
            pixels = apply_change(base, result)
        else:
            pixels = result.permute(1, 2, 0).numpy().astype(kind, copy=False)
        alpha = picture.alpha
        if alpha is not None and alpha.shape != pixels.shape[:2]:
            size = (pixels.shape[1], pixels.shape[0])
            alpha = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_CUBIC))
        return replace(picture, pixels=np.ascontiguousarray(pixels), alpha=alpha)


def _with_channels(pixels: NDArray[Any], channels: int) -> NDArray[Any]:
    """Return (H, W, C) pixels as grey (1) or colour (3)."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 1:
        grey = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        return np.rint(grey)[..., None].astype(pixels.dtype)
    return np.repeat(pixels, channels, axis=2)


def _in_precision(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Let a network compute in ``dtype`` between floats in fp32.

    Whole networks in half precision are faster than autocast, which converts weights again for
    every picture and normalises in fp32; and what a method does around its network (colour
    spaces, say) stays exact.
    """
    network = network.to(memory_format=torch.channels_last)
    if dtype == torch.float32:
        return network

    def halve(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return (
            tuple(_cast(arg, dtype) for arg in args),
            {name: _cast(arg, dtype) for name, arg in kwargs.items()},
        )

    network = network.to(dtype)
    network.register_forward_pre_hook(halve, with_kwargs=True)
    network.register_forward_hook(lambda module, args, output: _cast(output, torch.float32))
    return network


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.to(dtype)
    return value
