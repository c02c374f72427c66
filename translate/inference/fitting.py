"""Pictures as a network takes them, and back: working size, channels, padding, alpha."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from translate.images import Picture
from translate.images.encoding import on_white
from translate.images.transparency import even, seen_colours
from translate.inference.sizing import (
    apply_change,
    enlarge,
    keep_lightness,
    shrink,
    working_shape,
)
from translate.method import Fit
from translate.pipeline.resizing import mirrored

_LUMA = (0.299, 0.587, 0.114)
_AT_FULL_SIZE = {"change": apply_change, "lightness": keep_lightness, "none": enlarge}


@dataclass(frozen=True, eq=False)
class Prepared:
    """A picture ready for the network.

    Attributes:
        pixels: (h, w, C) integers at working size, padded.
        shape: (height, width) at working size, before padding.
        picture: what it was made from.
        alpha: (h, w) integers, padded, where the network enlarges them too.
        even: (h, w), where it need not, since alpha is the same all around.
    """

    pixels: NDArray[Any]
    shape: tuple[int, int]
    picture: Picture
    alpha: NDArray[Any] | None = None
    even: NDArray[np.bool_] | None = None

    @property
    def shrunk(self) -> bool:
        """Whether it is smaller than the picture."""
        return self.picture.pixels.shape[:2] != self.shape


@dataclass(frozen=True, eq=False)
class Finished:
    """What the network made of a picture, on the CPU, still to be composed.

    Attributes:
        result: (sh, sw, C) integers; or, of a picture that was shrunk, (h, w, C) floats at
            working size: the change in [-2, 2], or the output where ``Fit.detail`` says so.
        alpha: (sh, sw) integers, if the network made one.
    """

    result: NDArray[Any]
    prepared: Prepared
    alpha: NDArray[Any] | None = None


def prepare(picture: Picture, fit: Fit, channels: int, size: int | None) -> Prepared:
    """Return a picture at working size, padded to what the network takes.

    What becomes another picture has no use for the transparency of this one: it is laid on
    white, as in training. What is enlarged takes no colours from beneath transparency.

    Args:
        channels: that the network reads.
        size: pictures of more than size² pixels are brought to that many; None: none are.
    """
    if picture.alpha is not None and fit.detail == "none":
        picture = replace(picture, pixels=on_white(picture.pixels, picture.alpha), alpha=None)
    pixels, alpha = picture.pixels, None
    if picture.alpha is not None and fit.scale > 1:
        pixels = seen_colours(pixels, picture.alpha)
        if picture.alpha.min() < picture.alpha.max():
            alpha = padded(picture.alpha, fit)
    pixels = _with_channels(pixels, channels)
    shape = working_shape(pixels.shape[0], pixels.shape[1], size)
    pixels = padded(shrink(pixels, shape), fit)
    return Prepared(pixels, shape, picture, alpha, None if alpha is None else even(alpha))


def padded(pixels: NDArray[Any], fit: Fit) -> NDArray[Any]:
    """Return (H, W, …) pixels with sides that the network takes."""
    rows, columns = (taken(side, fit).numpy() for side in pixels.shape[:2])
    if (len(rows), len(columns)) != pixels.shape[:2]:
        pixels = pixels[rows][:, columns]
    return np.ascontiguousarray(pixels)


def taken(side: int, fit: Fit) -> Tensor:
    """Return which of ``side`` pixels stand at each place of a side the network takes.

    Mirrored with the border itself, since without it a mirror needs more pixels than it adds.
    """
    wanted = max(side, fit.minimum)
    return mirrored(side, 0, wanted + -wanted % fit.multiple_of - side)


def as_floats(pixels: NDArray[Any], device: torch.device) -> Tensor:
    """Return (N, h, w, C) integers as (N, C, h, w) floats in [-1, 1], on the device."""
    top = int(np.iinfo(pixels.dtype).max)
    # Integers cross the bus and become floats there; channels last is how they lie already.
    x = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)
    return x.permute(0, 3, 1, 2).float().div_(top / 2).sub_(1)


def unfinished(item: Prepared, fit: Fit, channels: int) -> Finished:
    """Return memory for what becomes of a picture, with its alpha where that is the same around."""
    height, width = item.shape
    if item.shrunk:
        return Finished(np.empty((height, width, channels), np.float32), item)
    size = (height * fit.scale, width * fit.scale, channels)
    alpha = None if item.alpha is None else enlarged(item.alpha[:height, :width], fit.scale)
    return Finished(np.empty(size, item.pixels.dtype), item, alpha)


def write(out: NDArray[Any], before: Tensor, after: Tensor, item: Prepared, fit: Fit) -> None:
    """Write what the network made to its place, which may be smaller: the rest is padding.

    Args:
        out: (h, w, C), a part of ``Finished.result``.
        before, after: (C, h, w) in [-1, 1], on the device.
    """
    height, width = out.shape[:2]
    after = after[:, :height, :width]
    if item.shrunk:
        made = after.clamp(-1, 1)
        if fit.detail == "change":
            made = made - in_channels(before[:, :height, :width], len(after))
    else:
        top = int(np.iinfo(out.dtype).max)
        made = after.add(1).mul_(top / 2).round_().clamp_(0, top)
        made = made.to(torch.uint8 if top == 255 else torch.int32)
    out[...] = made.permute(1, 2, 0).contiguous().cpu().numpy()


def finish(finished: Finished, fit: Fit, channels: int) -> Picture:
    """Return the whole picture: at its own size, with its own alpha, EXIF and profile."""
    picture, pixels = finished.prepared.picture, finished.result
    if finished.prepared.shrunk:
        base = _with_channels(_with_channels(picture.pixels, channels), pixels.shape[2])
        made = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
        pixels = _AT_FULL_SIZE[fit.detail](base, made)
    alpha = picture.alpha if finished.alpha is None else finished.alpha
    if alpha is not None and alpha.shape != pixels.shape[:2]:
        alpha = enlarged(alpha, fit.scale)  # the same everywhere
    return replace(picture, pixels=pixels, alpha=alpha)


def enlarged(values: NDArray[Any], scale: int) -> NDArray[Any]:
    """Return (H, W) values ``scale`` times larger, each repeated."""
    return values.repeat(scale, axis=0).repeat(scale, axis=1)


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
