"""A model on its device: integers go in, integers come out."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from translate.bundle import Model
from translate.errors import ImageError, UsageError
from translate.images import Picture
from translate.inference import fitting
from translate.inference.fitting import Finished, Prepared, as_floats, enlarged, taken, write
from translate.inference.network import in_precision, seeded
from translate.inference.tiling import SMALLEST, Tile, is_lack_of_memory, tiles, usual_side
from translate.method import Batch
from translate.options import Settings
from translate.pipeline.seeds import mix
from translate.runtime import pick_device, pick_precision

_AT_ONCE = 16  # pictures in a batch at most, where nobody says otherwise
# Output pixels of what runs on one core beside others: more would fill the memory. In tiles of
# this size, a core each, a picture is done sooner than whole on all cores, in spite of halos.
_SIDE_BY_SIDE_PIXELS = 2**20
_ALONE_PIXELS = 2**22  # of a tile that has the device for itself; 1 to 3 GB for wide networks

T = TypeVar("T")


class Engine:
    """Runs an image model on batches of prepared pictures.

    Args:
        settings: the method's run-time options; None: their defaults.
        precision: "auto" computes pictures of 16 bits in fp32, since bf16 has 8.
        size: pictures of more than size² pixels are translated at that size; None: none are.
        tile: sides, in input pixels, of the parts that a picture is translated in; None: as
            is fast and fits into memory.

    Raises:
        UsageError: if the model starts from something else or takes no tiles, or the device or
            precision is not to be had here.
    """

    def __init__(
        self,
        model: Model,
        *,
        settings: Settings | None = None,
        device: str = "auto",
        precision: str = "auto",
        size: int | None,
        tile: int | None = None,
    ) -> None:
        reads = set(model.export.reads)
        if reads != {"image"}:
            source = " and ".join(sorted(reads)) or "noise"
            raise UsageError(
                f"the method {model.header.method!r} starts from {source}, "
                "not from a picture alone; translate.Generator runs it"
            )
        self.model, self.fit = model, model.fit
        # What draws random numbers would draw others in every tile.
        self._takes_tiles = self.fit.halo is not None and self.fit.independent
        if tile is not None and not self._takes_tiles:
            raise UsageError(
                f"--tile {tile}: the model needs the whole picture at once"
                + ("; --size bounds its memory" if self.fit.scale == 1 else "")
            )
        self.settings = settings or model.method.RunOptions()
        self.device = pick_device(device)
        self.dtype = pick_precision(precision, self.device)
        self._deep_dtype = torch.float32 if precision == "auto" else self.dtype
        self.size = size if self.fit.scale == 1 else None
        self.channels = len(model.export.mode[0])  # "L" or "RGB"
        self._networks: dict[torch.dtype, nn.Module] = {}
        self._side_by_side = self.device.type == "cpu" and self.fit.independent
        self._whole_pixels = _SIDE_BY_SIDE_PIXELS if self._side_by_side else _ALONE_PIXELS
        self.tile = tile
        self._fitting: int | None = None  # side of tiles, once larger ones did not fit in memory

    def batch_size(self, wanted: int | None) -> int:
        """Return how many pictures to run at once; on a CPU some for each core, to share out."""
        if not self.fit.independent:
            return 1
        usual = 4 * torch.get_num_threads() if self.device.type == "cpu" else _AT_ONCE
        return wanted or min(usual, _AT_ONCE)

    def group(self, item: Prepared) -> Hashable:
        """Return what pictures must share to be given to ``run`` together."""
        if self._small(item):
            return True
        return *item.pixels.shape, item.pixels.dtype, self._alone(item)

    def _small(self, item: Prepared) -> bool:
        """Say whether a picture runs on one core, with others beside it."""
        height, width = item.pixels.shape[:2]
        outputs: int = height * width * self.fit.scale**2
        if not self._side_by_side or outputs > _SIDE_BY_SIDE_PIXELS:
            return False
        return not self._tiled(item)

    def _alone(self, item: Prepared) -> bool:
        """Say whether a picture is no part of a batch."""
        return self._side_by_side or self._tiled(item) or item.alpha is not None

    def _tiled(self, item: Prepared) -> bool:
        height, width = item.pixels.shape[:2]
        tiled: bool = self._side(height, width) < max(height, width)
        return tiled

    def _side(self, height: int, width: int) -> int:
        """Return the side of the tiles that a picture runs in; its own where it runs whole."""
        whole = max(height, width)
        if not self._takes_tiles:
            return whole
        side = self.tile or whole
        if self.tile is None and height * width * self.fit.scale**2 > self._whole_pixels:
            side = usual_side(self.fit, self._whole_pixels)
        return min(side, whole, self._fitting or side)

    def prepare(self, picture: Picture) -> Prepared:
        """Return a picture as the network takes it."""
        return fitting.prepare(picture, self.fit, self.channels, self.size)

    def finish(self, finished: Finished) -> Picture:
        """Return the whole picture: at its own size, with its own alpha, EXIF and profile."""
        return fitting.finish(finished, self.fit, self.channels)

    def run(self, items: Sequence[Prepared], seeds: Sequence[int]) -> list[Finished]:
        """Translate pictures of one ``group`` together; what cannot be one batch, in halves.

        That is what does not fit into memory, what draws random numbers of its own, what has
        an alpha to enlarge or runs in tiles, and large pictures on a CPU. One picture that does not
        fit is tried again in smaller tiles, where the model takes any.

        Raises:
            torch.OutOfMemoryError: if one alone is too large.
            ImageError: if what the model gives is no picture.
        """
        if len(items) == 1:
            return [self._run_alone(items[0], seeds[0])]
        try:
            if all(map(self._small, items)):
                for dtype in set(map(self._precision_of, items)):
                    self._network(dtype)  # made here, once, before the threads ask for it
                return _on_cores(self._run_tiles, items, seeds)
            if self.fit.independent and not any(map(self._alone, items)):
                return self._run_batch(items, seeds)
        except torch.OutOfMemoryError:
            pass
        # Outside of the handler, whose traceback would keep the memory.
        torch.cuda.empty_cache()
        half = len(items) // 2
        return self.run(items[:half], seeds[:half]) + self.run(items[half:], seeds[half:])

    def _run_alone(self, item: Prepared, seed: int) -> Finished:
        """Run one picture, in tiles that fit into memory."""
        self._network(self._precision_of(item))  # as above
        height, width = item.pixels.shape[:2]
        return self._that_fit(height, width, lambda side: self._run_tiles(item, seed, side))

    def _that_fit(self, height: int, width: int, run: Callable[[int], T]) -> T:
        """Return what ``run`` gives with tiles of the largest side that fits into memory."""
        side = self._side(height, width)
        while True:
            try:
                return run(side)
            except RuntimeError as error:
                if not is_lack_of_memory(error) or not self._takes_tiles or side < 2 * SMALLEST:
                    raise
            torch.cuda.empty_cache()  # outside of the handler, again
            # For all that follow, too: each would only fail first.
            self._fitting = side = side // 2

    @torch.inference_mode()
    def _run_batch(self, items: Sequence[Prepared], seeds: Sequence[int]) -> list[Finished]:
        """Run pictures of one padded size together."""
        x = as_floats(np.stack([item.pixels for item in items]), self.device)
        y = self._forward(x, seeds, self._precision_of(items[0]))
        finished = [self._unfinished(item) for item in items]
        for done, before, after in zip(finished, x, y, strict=True):
            write(done.result, before, after, done.prepared, self.fit)
        return finished

    def _run_tiles(self, item: Prepared, seed: int, side: int | None = None) -> Finished:
        """Run one picture in tiles, whose results are written straight into their places."""
        height, width = item.pixels.shape[:2]
        parts = tiles(item.shape, (height, width), side or max(height, width), self.fit)
        finished = self._unfinished(item)

        def run(tile: Tile) -> None:
            self._run_tile(tile, finished, seed)

        # Those that are larger than usual, by their halos or by request, share memory and cores.
        largest = max(tile.outputs(self.fit.scale) for tile in parts)
        room = 2 * torch.get_num_threads() * _SIDE_BY_SIDE_PIXELS // largest
        if self._side_by_side and min(room, len(parts)) > 1:
            _on_cores(run, parts, at_once=room)
        else:
            for tile in parts:
                run(tile)
        return finished

    @torch.inference_mode()  # here, since it is each thread's own
    def _run_tile(self, tile: Tile, finished: Finished, seed: int) -> None:
        item, scale = finished.prepared, self.fit.scale
        dtype = self._precision_of(item)
        x = as_floats(item.pixels[tile.seen][None], self.device)
        after = self._forward(x, [seed], dtype)[0][..., *tile.inner(scale)]
        place = tile.place(scale)
        write(finished.result[place], x[0][..., *tile.inner(1)], after, item, self.fit)
        if finished.alpha is None or item.alpha is None or item.even is None:
            return
        even = item.even[tile.own]
        if even.all():
            return
        x = as_floats(item.alpha[tile.seen][None, ..., None], self.device)
        x = x.repeat(1, self.channels, 1, 1)
        grey = self._forward(x, [seed], dtype).mean(1)[..., *tile.inner(scale)]  # (1, sh, sw)
        out = finished.alpha[place]
        uneven = ~enlarged(even, scale)
        made = np.empty((*out.shape, 1), out.dtype)
        write(made, x[0], grey, item, self.fit)
        np.copyto(out, made[..., 0], where=uneven[: out.shape[0], : out.shape[1]])

    @torch.inference_mode()
    def run_tensor(self, x: Tensor, seeds: Sequence[int]) -> Tensor:
        """Translate (N, C, H, W) in [-1, 1] on the device as it is; returns (N, C', sH, sW)."""
        height, width = x.shape[2:]
        rows, columns = (taken(side, self.fit) for side in (height, width))
        if (len(rows), len(columns)) != (height, width):
            x = x[:, :, rows.to(x.device)][..., columns.to(x.device)]
        if self.fit.independent:
            y = self._that_fit(
                len(rows), len(columns), lambda side: self._tensor_tiles(x, seeds, side)
            )
        else:
            each = zip(x[:, None], seeds, strict=True)
            y = torch.cat([self._forward(one, [seed], self.dtype) for one, seed in each])
        return y[..., : height * self.fit.scale, : width * self.fit.scale].clamp(-1, 1)

    def _tensor_tiles(self, x: Tensor, seeds: Sequence[int], side: int) -> Tensor:
        """Return what the network gives for all of (N, C, H, W), tile by tile."""
        shape, scale = (x.shape[2], x.shape[3]), self.fit.scale
        parts = tiles(shape, shape, side, self.fit)
        if len(parts) == 1:
            return self._forward(x, seeds, self.dtype)
        size = (len(x), len(self.model.export.mode[1]), *(side * scale for side in shape))
        y = x.new_empty(size)
        for tile in parts:
            made = self._forward(x[..., *tile.seen], seeds, self.dtype)
            y[..., *tile.place(scale)] = made[..., *tile.inner(scale)]
        return y

    def _unfinished(self, item: Prepared) -> Finished:
        return fitting.unfinished(item, self.fit, len(self.model.export.mode[1]))

    def _precision_of(self, item: Prepared) -> torch.dtype:
        return self.dtype if item.pixels.dtype == np.uint8 else self._deep_dtype

    def _forward(self, x: Tensor, seeds: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Return (N, C', sH, sW) fp32 for (N, C, H, W), both in [-1, 1]."""
        mixed = [mix(seed) for seed in seeds]
        source = Batch({"image": x}, torch.tensor(mixed), settings=self.settings)
        with contextlib.ExitStack() as stack:
            if not self.fit.independent:
                stack.enter_context(seeded(self.device, mixed[0]))
            y = self.model.method.translate(self._network(dtype), source).float()
        mode = self.model.export.mode[1]
        wanted = (len(x), len(mode), *(side * self.fit.scale for side in x.shape[2:]))
        if y.shape != wanted:
            raise ImageError(
                f"the model made {tuple(y.shape)} of {tuple(x.shape)}, which is no {mode} picture "
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


def _on_cores(
    function: Callable[..., T], *arguments: Sequence[Any], at_once: int | None = None
) -> list[T]:
    """Call a function for each of its arguments, each call on cores of its own.

    Threads within one picture wait for each other at every layer, and all of them for the
    one that a reader or a writer has pushed aside.
    """
    cores = torch.get_num_threads()
    count = min(len(arguments[0]), cores, at_once or cores)
    pool = ThreadPoolExecutor(count, "run", torch.set_num_threads, (cores // count,))
    try:
        return list(pool.map(function, *arguments))
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C, say, what has not begun never does
