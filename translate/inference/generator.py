"""A model that starts from no picture, on its device: classes, prompts and seeds go in."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from translate.bundle import Model
from translate.errors import ImageError, UsageError
from translate.images import Picture
from translate.inference.network import in_precision, seeded
from translate.inference.plan import Request
from translate.inference.requests import read_value, starts_from
from translate.method import Batch, Latent
from translate.options import build
from translate.pipeline.seeds import mix
from translate.runtime import pick_device, pick_precision

_AT_ONCE = 16  # pictures in a batch on a GPU


class Generator:
    """A model that starts from a class, a prompt or noise, ready to be called.

    Args:
        settings: run-time options of the model's method, as ``--set`` takes them.
        precision: "auto" is fp32 on a CPU, where a seed then gives the same picture everywhere.
        truncation: in (0, 1]; less draws codes towards their mean, to what is usual.

    Raises:
        UsageError: if the model starts from a picture, or has no codes to draw anywhere.
    """

    def __init__(
        self,
        model: Model,
        *,
        settings: Mapping[str, Any] | None = None,
        device: str = "auto",
        precision: str = "auto",
        truncation: float = 1.0,
    ) -> None:
        self.source = starts_from(model.header)
        if self.source not in ("class", "text", "noise"):
            raise UsageError(
                f"the method {model.header.method!r} starts from {self.source}; "
                "translate.Translator runs what starts from an image"
            )
        if not 0 < truncation <= 1:
            raise UsageError(f"--truncation {truncation}: above 0, and at most 1")
        method = model.method
        if truncation < 1 and not isinstance(method, Latent):
            raise UsageError(f"--truncation: the method {model.header.method!r} draws no codes")
        self.model, self.method, self.truncation = model, method, truncation
        self.settings = build(method.RunOptions, settings or {}, what=model.header.method)
        self.device = pick_device(device)
        if precision == "auto" and self.device.type == "cpu":
            precision = "fp32"
        self.dtype = pick_precision(precision, self.device)
        gpu = self.device.type != "cpu"
        self.together = _AT_ONCE if gpu and model.fit.independent else 1  # pictures in a batch
        self.network = in_precision(copy.deepcopy(model.network).to(self.device), self.dtype)

    def __call__(
        self, value: str | int | None = None, *, count: int = 1, seed: int = 0
    ) -> list[Image.Image]:
        """Make pictures of a class (its name or number), a prompt, or of nothing but noise.

        The second is that of ``seed + 1`` alone, and so on.

        Raises:
            UsageError: if the model knows no such class, or starts from something else.
        """
        requests = [self.request(value, seed + place) for place in range(count)]
        return [_as_image(picture) for picture in self.pictures(requests)]

    def request(self, value: str | int | None, seed: int) -> Request:
        """Return what is asked for as ``pictures`` takes it.

        Raises:
            UsageError: if the model knows no such class, or starts from something else.
        """
        if (value is None) != (self.source == "noise"):
            raise UsageError(f"the model starts from {self.source}, not from {value!r}")
        if value is None:
            return Request("", seed)
        header = self.model.header
        return Request(str(value), seed, read_value(str(value), header, model=header.method))

    def pictures(self, requests: Sequence[Request]) -> Iterator[Picture]:
        """Yield a picture for each request, in order.

        On a CPU one by one: then what else is asked for changes nothing, not even a rounding.

        Raises:
            ImageError: if what the model gives is no picture.
        """
        for start in range(0, len(requests), self.together):
            for made in self._make(self.batch(requests[start : start + self.together])):
                yield as_picture(made)

    def batch(self, requests: Sequence[Request]) -> Batch:
        """Return requests as sources, on the device."""
        seeds = torch.tensor([mix(request.seed) for request in requests])
        values = [request.value for request in requests]
        if self.source == "class":
            return Batch({"class": torch.tensor(values).to(self.device)}, seeds, {}, self.settings)
        texts = {"text": [str(value) for value in values]} if self.source == "text" else {}
        return Batch({}, seeds, texts, self.settings)

    @torch.inference_mode()
    def _make(self, batch: Batch) -> Tensor:
        """Return (N, C, H, W) in [-1, 1]; one item at a time where they depend on each other."""
        with contextlib.ExitStack() as stack:
            if not self.model.fit.independent:
                stack.enter_context(seeded(self.device, int(batch.seeds[0])))
            if self.truncation < 1:
                return self.decode(*self.encode(batch))
            return self._checked(self.method.translate(self.network, batch))

    @torch.inference_mode()
    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the codes (N, L) and conditions (N, D) of sources, in fp32.

        Raises:
            UsageError: if the method has none.
        """
        if not isinstance(self.method, Latent):
            raise UsageError(f"the method {self.model.header.method!r} draws no codes")
        codes, conditions = self.method.encode(self.network, batch)
        return codes.float() * self.truncation, conditions.float()

    @torch.inference_mode()
    def decode(self, codes: Tensor, conditions: Tensor) -> Tensor:
        """Return the pictures (N, C, H, W) in [-1, 1] of codes and conditions.

        Raises:
            ImageError: if what the model gives is no picture.
        """
        assert isinstance(self.method, Latent)
        here = codes.to(self.device), conditions.to(self.device)
        return self._checked(self.method.decode(self.network, *here))

    def pictures_at(self, codes: Tensor, conditions: Tensor) -> Iterator[Picture]:
        """Yield the pictures of codes (N, L) and conditions (N, D), in order."""
        for start in range(0, len(codes), self.together):
            here = slice(start, start + self.together)
            for made in self.decode(codes[here], conditions[here]):
                yield as_picture(made)

    def _checked(self, images: Tensor) -> Tensor:
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ImageError(f"the model made {tuple(images.shape)}, which is no picture")
        if not images.isfinite().all():
            raise ImageError("the model made numbers beyond all bounds; --precision fp32 may help")
        return images.float()


def as_picture(image: Tensor) -> Picture:
    """Return (C, H, W) in [-1, 1] as a picture of 8 bits."""
    pixels = image.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return Picture(np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy()), None)


def _as_image(picture: Picture) -> Image.Image:
    pixels = picture.pixels
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def sheet(pictures: Sequence[Picture], columns: int) -> Picture:
    """Return pictures of one size as rows, two pixels apart, on white."""
    height, width, channels = pictures[0].pixels.shape
    rows = -(-len(pictures) // columns)
    shape = (rows * (height + 2) - 2, columns * (width + 2) - 2, channels)
    pixels = np.full(shape, 255, np.uint8)
    for place, picture in enumerate(pictures):
        top, left = place // columns * (height + 2), place % columns * (width + 2)
        pixels[top : top + height, left : left + width] = picture.pixels
    return Picture(pixels, None)
