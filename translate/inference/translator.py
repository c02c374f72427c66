"""The Python door beside the command: ``translate.load("horse2zebra")(image)``."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from translate.bundle import Model, load_model
from translate.errors import ImageError, UsageError
from translate.images import Picture, colour, read_picture
from translate.images.encoding import in_8_bits
from translate.inference.engine import Engine
from translate.inference.fitting import in_channels
from translate.inference.sizing import working_shape
from translate.options import build
from translate.pipeline.lab import lab_to_rgb, rgb_to_lab

# PIL's modes, and a format that holds each as it is.
_AS_FILES = {
    **dict.fromkeys(("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), "PNG"),
    **dict.fromkeys(("I", "I;16B", "F", "CMYK", "YCbCr", "LAB"), "TIFF"),
}


class Translator:
    """A model, ready to be called.

    Args:
        settings: run-time options of the model's method, as ``--set`` takes them.
        size: pixels of the sides of a square; larger pictures are translated at that many pixels
            and keep their own detail. "working": what the model was trained at. "native": never.
        tile: pixels of the sides of the parts that a large picture goes through the network in;
            the outcome does not depend on it. None: as is fast and fits into memory.
    """

    def __init__(
        self,
        model: Model,
        *,
        settings: Mapping[str, Any] | None = None,
        device: str = "auto",
        precision: str = "auto",
        size: int | Literal["working", "native"] = "working",
        tile: int | None = None,
    ) -> None:
        wanted = {"working": model.header.working_size, "native": None}
        if size not in wanted and (not isinstance(size, int) or size < 1):
            raise UsageError(f"size={size!r}: neither 'working', 'native' nor a number of pixels")
        self.model = model
        self.engine = Engine(
            model,
            settings=build(model.method.RunOptions, settings or {}, what=model.header.method),
            device=device,
            precision=precision,
            size=size if isinstance(size, int) else wanted[size],
            tile=tile,
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
            UsageError: if a tensor is none that the model takes.
        """
        if isinstance(image, Tensor):
            return self._tensor(image, seed)
        if isinstance(image, Image.Image):
            done = self.picture(_from_pil(image), seed=seed)
        else:
            done = self.picture(read_picture(Path(image)), seed=seed)
        return _to_pil(done)

    def picture(self, picture: Picture, *, seed: int = 0) -> Picture:
        """Translate a decoded picture, with all that belongs to it."""
        [finished] = self.engine.run([self.engine.prepare(picture)], [seed])
        return self.engine.finish(finished)

    @torch.inference_mode()
    def _tensor(self, image: Tensor, seed: int) -> Tensor:
        engine = self.engine
        if image.ndim == 3:
            return self._tensor(image[None], seed)[0]
        if image.ndim != 4 or image.shape[1] != engine.channels or not image.is_floating_point():
            raise UsageError(
                f"a tensor of {image.dtype} {tuple(image.shape)}: expected floats in [-1, 1], "
                f"(C, H, W) or (N, C, H, W) with C = {engine.channels}"
            )
        x = image.to(engine.device, torch.float32)
        height, width = x.shape[2:]
        if not height * width:
            raise UsageError(f"a tensor of {tuple(image.shape)}: a picture without pixels")
        shape = working_shape(height, width, engine.size)
        small = x if shape == (height, width) else F.interpolate(x, shape, mode="area")
        y = engine.run_tensor(small, [seed] * len(x))
        if small is not x:
            y = self._at_full_size(x, small, y)
        return y.to(image.device)

    def _at_full_size(self, x: Tensor, small: Tensor, y: Tensor) -> Tensor:
        """Return what was made of ``small`` at the size of x, with what ``Fit.detail`` keeps."""
        size, channels = x.shape[2:], y.shape[1]
        if self.engine.fit.detail == "lightness":
            colours = F.interpolate(rgb_to_lab(y)[:, 1:], size, mode="bilinear")
            lightness = rgb_to_lab(in_channels(x, channels, dim=1))[:, :1]
            return lab_to_rgb(torch.cat([lightness, colours], 1))
        if self.engine.fit.detail == "none":
            return F.interpolate(y, size, mode="bicubic").clamp(-1, 1)
        large = F.interpolate(y - in_channels(small, channels, dim=1), size, mode="bicubic")
        return (in_channels(x, channels, dim=1) + large).clamp(-1, 1)


def load(
    name: str | os.PathLike[str],
    *,
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    precision: str = "auto",
    size: int | Literal["working", "native"] = "working",
    tile: int | None = None,
) -> Translator:
    """Return the model of that name, or in the file of that path, ready to be called.

    >>> load("horse2zebra")("photo.jpg").save("zebra.jpg")  # doctest: +SKIP

    Raises:
        UsageError: if there is no such model; BundleError: if its file cannot be used.
    """
    return Translator(
        load_model(os.fspath(name)),
        settings=settings,
        device=device,
        precision=precision,
        size=size,
        tile=tile,
    )


def _from_pil(image: Image.Image) -> Picture:
    """Return a PIL image as a picture, read the way a file of it would be."""
    file = io.BytesIO()
    try:
        exif = image.getexif().tobytes()
    except Exception:  # damaged metadata must not cost the picture
        exif = b""
    icc = image.info.get("icc_profile")
    try:
        if image.mode not in _AS_FILES:
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        format = _AS_FILES[image.mode]
        settings = {"compress_level": 0} if format == "PNG" else {}
        image.save(file, format, exif=exif, icc_profile=icc, **settings)
    except ValueError as error:
        raise ImageError(f"image: {error}") from None
    return read_picture(file.getvalue(), name="image")


def _to_pil(picture: Picture) -> Image.Image:
    """Return a PIL image with the picture's EXIF and profile; PIL has no colours of 16 bits."""
    samples = picture.pixels
    if picture.alpha is not None:
        samples = np.concatenate([samples, picture.alpha[..., None]], axis=-1)
    channels = samples.shape[2]
    image = Image.fromarray(samples[..., 0] if channels == 1 else in_8_bits(samples))
    for name, value in (("exif", picture.exif), ("icc_profile", picture.icc)):
        if value and (name != "icc_profile" or colour.fits(value, picture.pixels.shape[2])):
            image.info[name] = value
    return image
