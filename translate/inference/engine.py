"""A model on its device: integers go in, integers come out."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from translate.bundle import Model
from translate.errors import ImageError, UsageError
from translate.images import Picture
from translate.images.encoding import on_white
from translate.inference.sizing import (
    apply_change,
    enlarge,
    keep_lightness,
    shrink,
    working_shape,
)
from translate.method import Batch
from translate.options import Settings
from translate.pipeline.seeds import mix
from translate.runtime import pick_device, pick_precision

_AT_ONCE = 16  # pictures in a batch at most, where nobody says otherwise
_SIDE_BY_SIDE_PIXELS = 2**20  # a larger picture keeps all cores busy, and fills the memory, alone
_LUMA = (0.299, 0.587, 0.114)
_AT_FULL_SIZE = {"change": apply_change, "lightness": keep_lightness, "none": enlarge}


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


@dataclass(frozen=True, eq=False)
class Finished:
    """What the network made of a picture, on the CPU, still to be composed.

    Attributes:
        result: (C, sh, sw) integers; or, of a picture that was shrunk, (C, h, w) floats at
            working size: the change in [-2, 2], or the output where ``Fit.detail`` says so.
    """

    result: Tensor
    prepared: Prepared


class Engine:
    """Runs an image model on batches of prepared pictures.

    Args:
        settings: the method's run-time options; None: their defaults.
        precision: "auto" computes pictures of 16 bits in fp32, since bf16 has 8.
        size: pictures of more than size² pixels are translated at that size; None: none are.

    Raises:
        UsageError: if the model starts from something else, or the device or precision is not
            to be had here.
    """

    def __init__(
        self,
        model: Model,
        *,
        settings: Settings | None = None,
        device: str = "auto",
        precision: str = "auto",
        size: int | None,
    ) -> None:
        reads = set(model.export.reads)
        if reads != {"image"}:
            source = " and ".join(sorted(reads)) or "noise"
            raise UsageError(
                f"the method {model.header.method!r} starts from {source}, "
                "not from a picture alone; translate.Generator runs it"
            )
        self.model, self.fit = model, model.fit
        self.settings = settings or model.method.RunOptions()
        self.device = pick_device(device)
        self.dtype = pick_precision(precision, self.device)
        self._deep_dtype = torch.float32 if precision == "auto" else self.dtype
        self.size = size if self.fit.scale == 1 else None
        self.channels = len(model.export.mode[0])  # "L" or "RGB"
        self._networks: dict[torch.dtype, nn.Module] = {}
        self._side_by_side = self.device.type == "cpu" and self.fit.independent

    def batch_size(self, wanted: int | None) -> int:
        """Return how many pictures to run at once; on a CPU some for each core, to share out."""
        if not self.fit.independent:
            return 1
        usual = 4 * torch.get_num_threads() if self.device.type == "cpu" else _AT_ONCE
        return wanted or min(usual, _AT_ONCE)

    def group(self, item: Prepared) -> Hashable:
        """Return what pictures must share to be given to ``run`` together."""
        return self._small(item) or (*item.pixels.shape, item.pixels.dtype)

    def _small(self, item: Prepared) -> bool:
        height, width = item.pixels.shape[:2]
        return self._side_by_side and height * width <= _SIDE_BY_SIDE_PIXELS

    def prepare(self, picture: Picture) -> Prepared:
        """Return a picture at working size, padded to what the network takes.

        What becomes another picture has no use for the transparency of this one: it is laid on
        white, as in training.
        """
        if picture.alpha is not None and self.fit.detail == "none":
            picture = replace(picture, pixels=on_white(picture.pixels, picture.alpha), alpha=None)
        pixels = _with_channels(picture.pixels, self.channels)
        shape = working_shape(pixels.shape[0], pixels.shape[1], self.size)
        small = shrink(pixels, shape)
        rows, columns = (self._mirrored(side) for side in shape)
        if (len(rows), len(columns)) != shape:
            small = small[rows][:, columns]
        return Prepared(np.ascontiguousarray(small), shape, picture)

    def _mirrored(self, side: int) -> NDArray[np.intp]:
        """Return which of ``side`` pixels stand at each place of a side the network takes.

        Mirrored with the border itself, since without it a mirror needs more pixels than it adds.
        """
        wanted = max(side, self.fit.minimum)
        places = np.arange(wanted + -wanted % self.fit.multiple_of) % (2 * side)
        return np.minimum(places, 2 * side - 1 - places)

    @torch.inference_mode()
    def run(self, items: Sequence[Prepared], seeds: Sequence[int]) -> list[Finished]:
        """Translate pictures of one ``group`` together; what cannot be one batch, in halves.

        That is what does not fit into memory, what draws random numbers of its own, and large
        pictures on a CPU.

        Raises:
            torch.OutOfMemoryError: if one alone is too large.
            ImageError: if what the model gives is no picture.
        """
        try:
            if len(items) > 1 and all(map(self._small, items)):
                return self._run_side_by_side(items, seeds)
            if len(items) == 1 or (self.fit.independent and not self._side_by_side):
                return self._run(items, seeds)
        except torch.OutOfMemoryError:
            if len(items) == 1:
                raise
        # Outside of the handler, whose traceback would keep the memory.
        torch.cuda.empty_cache()
        half = len(items) // 2
        return self.run(items[:half], seeds[:half]) + self.run(items[half:], seeds[half:])

    def _run_side_by_side(self, items: Sequence[Prepared], seeds: Sequence[int]) -> list[Finished]:
        """Run each picture on cores of its own.

        Threads within one picture wait for each other at every layer, and all of them for the
        one that a reader or a writer has pushed aside.
        """
        for dtype in set(map(self._precision_of, items)):
            self._network(dtype)  # made here, once, before the threads ask for it
        cores = torch.get_num_threads()
        count = min(len(items), cores)
        with ThreadPoolExecutor(count, "run", torch.set_num_threads, (cores // count,)) as pool:
            return list(pool.map(lambda item, seed: self._run([item], [seed])[0], items, seeds))

    def _precision_of(self, item: Prepared) -> torch.dtype:
        return self.dtype if item.pixels.dtype == np.uint8 else self._deep_dtype

    @torch.inference_mode()  # again, since it is each thread's own
    def _run(self, items: Sequence[Prepared], seeds: Sequence[int]) -> list[Finished]:
        stacked = torch.from_numpy(np.stack([item.pixels for item in items]))  # (N, h, w, C)
        top = int(np.iinfo(items[0].pixels.dtype).max)
        # Integers cross the bus and become floats there; channels last is how they lie already.
        x = stacked.to(self.device).permute(0, 3, 1, 2).float().div_(top / 2).sub_(1)
        y = self._forward(x, seeds, self._precision_of(items[0]))
        finished = []
        for item, before, after in zip(items, x, y, strict=True):
            h, w = item.shape
            after = after[:, : h * self.fit.scale, : w * self.fit.scale]
            if item.picture.pixels.shape[:2] == item.shape:
                result = after.add(1).mul_(top / 2).round_().clamp_(0, top)
                result = result.to(torch.uint8 if top == 255 else torch.int32)
            else:
                result = after.clamp(-1, 1)
                if self.fit.detail == "change":
                    result = result - in_channels(before[:, :h, :w], len(after))
            finished.append(Finished(result.cpu(), item))
        return finished

    @torch.inference_mode()
    def run_tensor(self, x: Tensor, seeds: Sequence[int]) -> Tensor:
        """Translate (N, C, H, W) in [-1, 1] on the device as it is; returns (N, C', sH, sW)."""
        height, width = x.shape[2:]
        rows, columns = (torch.from_numpy(self._mirrored(side)) for side in (height, width))
        if (len(rows), len(columns)) != (height, width):
            x = x[:, :, rows.to(x.device)][..., columns.to(x.device)]
        if self.fit.independent:
            y = self._forward(x, seeds, self.dtype)
        else:
            each = zip(x[:, None], seeds, strict=True)
            y = torch.cat([self._forward(one, [seed], self.dtype) for one, seed in each])
        return y[..., : height * self.fit.scale, : width * self.fit.scale].clamp(-1, 1)

    def _forward(self, x: Tensor, seeds: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Return (N, C', sH, sW) fp32 for (N, C, H, W), both in [-1, 1]."""
        mixed = [mix(seed) for seed in seeds]
        source = Batch({"image": x}, torch.tensor(mixed), settings=self.settings)
        with contextlib.ExitStack() as stack:
            if not self.fit.independent:
                stack.enter_context(seeded(self.device, mixed[0]))
            y = self.model.method.translate(self._network(dtype), source).float()
        wanted = (len(x), *(side * self.fit.scale for side in x.shape[2:]))
        if y.ndim != 4 or (len(y), *y.shape[2:]) != wanted or y.shape[1] not in (1, 3):
            raise ImageError(
                f"the model made {tuple(y.shape)} of {tuple(x.shape)}, which is no picture "
                f"of {self.fit.scale}× its size"
            )
        if not y.isfinite().all():
            raise ImageError("the model made numbers beyond all bounds; --precision fp32 may help")
        return y

    def _network(self, dtype: torch.dtype) -> nn.Module:
        """Return the network in a precision; the model's own stays as it is."""
        if dtype not in self._networks:
            network = copy.deepcopy(self.model.network).to(self.device)
            self._networks[dtype] = in_precision(network, dtype)
        return self._networks[dtype]

    def finish(self, finished: Finished) -> Picture:
        """Return the whole picture: at its own size, with its own alpha, EXIF and profile."""
        picture, result = finished.prepared.picture, finished.result
        if result.is_floating_point():
            base = _with_channels(_with_channels(picture.pixels, self.channels), len(result))
            pixels = _AT_FULL_SIZE[self.fit.detail](base, result)
        else:
            pixels = result.permute(1, 2, 0).numpy().astype(picture.pixels.dtype, copy=False)
        alpha = picture.alpha
        if alpha is not None and alpha.shape != pixels.shape[:2]:
            size = (pixels.shape[1], pixels.shape[0])
            alpha = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_CUBIC))
        return replace(picture, pixels=np.ascontiguousarray(pixels), alpha=alpha)


def _with_channels(pixels: NDArray[Any], channels: int) -> NDArray[Any]:
    """Return (H, W, C) integer pixels as grey (1) or colour (3)."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 1:
        grey = pixels.astype(np.float32) @ np.array(_LUMA, np.float32)
        return np.rint(grey)[..., None].astype(pixels.dtype)
    return np.repeat(pixels, channels, axis=2)


def in_channels(x: Tensor, channels: int, dim: int = 0) -> Tensor:
    """Return floats whose dimension ``dim`` is grey (1) or colour (3)."""
    if x.shape[dim] == channels:
        return x
    if channels == 1:
        red, green, blue = x.unbind(dim)
        return (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue).unsqueeze(dim)
    return x.repeat_interleave(channels, dim)


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
