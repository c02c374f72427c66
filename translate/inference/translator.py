"""The Python door beside the command: ``translate.load("horse2zebra")(image)``."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Literal, overload

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from translate.bundle import Model, load_model
from translate.images import Picture, encode_picture, read_picture
from translate.inference.engine import Engine
from translate.inference.sizing import working_shape


class Translator:
    """A model, ready to be called.

    Args:
        size: pixels of the sides of a square; larger pictures are translated at that many pixels
            and keep their own detail. "working": what the model was trained at. "native": never.
    """

    def __init__(
        self,
        model: Model,
        *,
        device: str = "auto",
        precision: str = "auto",
        size: int | Literal["working", "native"] = "working",
    ) -> None:
        wanted = {"working": model.header.working_size, "native": None}
        self.model = model
        self.engine = Engine(
            model,
            device=device,
            precision=precision,
            size=size if isinstance(size, int) else wanted[size],
        )

    @overload
    def __call__(self, image: Tensor, *, seed: int = ...) -> Tensor: ...
    @overload
    def __call__(
        self, image: Image.Image | str | os.PathLike[str], *, seed: int = ...
    ) -> Image.Image: ...
    def __call__(
        self, image: Tensor | Image.Image | str | os.PathLike[str], *, seed: int = 0
    ) -> Tensor | Image.Image:
        """Translate a picture, a file, or a tensor.

        Args:
            image: a PIL image, a path, or (C, H, W) or (N, C, H, W) float in [-1, 1].

        Returns:
            A PIL image; for a tensor, one of its shape (times the scale) in [-1, 1] on its device.

        Raises:
            ImageError: if a file is no picture that can be read.
        """
        if isinstance(image, Tensor):
            return self._tensor(image, seed)
        if isinstance(image, Image.Image):
            done = self.picture(_from_pil(image), seed=seed)
        else:
            done = self.picture(read_picture(Path(image)), seed=seed)
        data = encode_picture(done, "png")
        return Image.open(io.BytesIO(data))

    def picture(self, picture: Picture, *, seed: int = 0) -> Picture:
        """Translate a decoded picture, with all that belongs to it."""
        [finished] = self.engine.run([self.engine.prepare(picture)], [seed])
        return self.engine.finish(finished)

    @torch.inference_mode()
    def _tensor(self, image: Tensor, seed: int) -> Tensor:
        if image.ndim == 3:
            return self._tensor(image[None], seed)[0]
        engine = self.engine
        x = image.to(engine.device, torch.float32)
        shape = working_shape(x.shape[2], x.shape[3], engine.size)
        small = x if shape == x.shape[2:] else F.interpolate(x, shape, mode="area")
        y = engine.run_tensor(small, [seed + i for i in range(len(x))])
        if shape != x.shape[2:]:
            y = y - small if y.shape == small.shape else y
            y = F.interpolate(y, x.shape[2:], mode="bicubic")
            y = (x + y if y.shape == x.shape else y).clamp(-1, 1)
        return y.to(image.device)


def load(
    name: str | os.PathLike[str],
    *,
    device: str = "auto",
    precision: str = "auto",
    size: int | Literal["working", "native"] = "working",
) -> Translator:
    """Return the model of that name, or in the file of that path, ready to be called.

    >>> load("horse2zebra")("photo.jpg").save("zebra.jpg")  # doctest: +SKIP

    Raises:
        UsageError: if there is no such model; BundleError: if its file cannot be used.
    """
    return Translator(load_model(os.fspath(name)), device=device, precision=precision, size=size)


def _from_pil(image: Image.Image) -> Picture:
    """Return a PIL image as a picture, read the way a file of it would be."""
    file = io.BytesIO()
    image.save(
        file,
        format="PNG" if image.mode != "CMYK" else "TIFF",
        compress_level=0,
        exif=image.getexif(),
        icc_profile=image.info.get("icc_profile"),
    )
    return read_picture(file.getvalue(), name="image")
