"""Decoded numbers out of an opened file, in the depth that the file has."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from translate.images import colour

Samples = tuple[NDArray[Any], NDArray[Any] | None]

_PNG_GREY_ALPHA = 4
_PNG_COLOURED = (2, _PNG_GREY_ALPHA, 6)  # RGB, grey with alpha, RGB with alpha
# TIFF tags
_BITS, _PHOTOMETRIC, _EXTRA, _SAMPLE_FORMAT = 258, 262, 338, 339


def samples_of(image: Image.Image, data: bytes, icc: bytes) -> tuple[*Samples, bytes]:
    """Return (H, W, C) pixels with C 1 or 3, (H, W) alpha or None, and the pixels' profile.

    8-bit pictures come in sRGB. 16-bit ones keep their numbers and their profile: Pillow converts
    colours in 8 bits only, which would lose what the format was chosen for.

    Args:
        image: loaded by Pillow from ``data``, which is read again where Pillow reduces it.
        icc: the embedded profile.
    """
    if (deep := _deep_colour(image, data)) is None and image.mode.startswith(("I", "F")):
        deep = _deep_grey(image)
    if deep is not None:
        pixels, alpha = deep
        return pixels, alpha, icc if colour.fits(icc, pixels.shape[2]) else b""

    alpha = None
    if image.format == "PNG" and image.mode == "L" and "transparency" in image.info:
        # Pillow spreads grey of 2 and of 4 bits over 8, but not the one that is transparent.
        image.info["transparency"] *= 255 // (2 ** data[24] - 1)
    if image.has_transparency_data:
        grey = image.mode in ("1", "L", "LA", "La")
        image = image.convert("LA" if grey else "RGBA")
        alpha = np.array(image.getchannel("A"))
        image = image.convert("L" if grey else "RGB")
    image, icc = colour.to_srgb(image.convert("L") if image.mode == "1" else image, icc)
    pixels = np.array(image)
    return pixels.reshape(*pixels.shape[:2], -1), alpha, icc


def _deep_grey(image: Image.Image) -> Samples:
    """Return a one-channel picture of more than 8 bits as (H, W, 1) uint16."""
    values = np.asarray(image)
    if image.mode in ("I", "F"):
        return _spread(values)[..., None], None
    grey = values.astype(np.uint16)
    transparent = image.info.get("transparency")
    alpha = None
    if isinstance(transparent, int):
        alpha = np.where(grey == transparent, 0, 65535).astype(np.uint16)
    tags = getattr(image, "tag_v2", {})
    if tags.get(_BITS) == (12,):
        grey = ((grey.astype(np.uint32) * 65535 + 2047) // 4095).astype(np.uint16)
    if image.format == "TIFF" and tags.get(_PHOTOMETRIC) == 0:  # white is zero
        grey = np.uint16(65535) - grey
    return grey[..., None], alpha


def _spread(values: NDArray[Any]) -> NDArray[np.uint16]:
    """Return 32-bit integers or floats as uint16, without clipping.

    The file does not say which number is white. Integers that fit in 16 bits are taken as they
    are; floats as reaching to 1, 255 or 65535, the first that holds them; anything else is
    stretched from its least to its greatest value.
    """
    finite = values[np.isfinite(values)].astype(np.float64)
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    whites = (65535.0,) if values.dtype.kind in "iu" else (1.0, 255.0, 65535.0)
    white = next((white for white in whites if low >= 0 and high <= white), None)
    if white is not None:
        low, high = 0.0, white
    numbers = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
    return np.rint((numbers - low) * (65535 / max(high - low, 1e-300))).astype(np.uint16)


def _deep_colour(image: Image.Image, data: bytes) -> Samples | None:
    """Return a 16-bit PNG or TIFF that Pillow reduces to 8 bits; None if it is none of these."""
    if not _is_deep_colour(image, data):
        return None
    try:
        import cv2
    except ImportError:
        return None  # then in 8 bits
    # Pillow has decoded it before us and so refused what is cut short: OpenCV would fill it in.
    raw = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if raw is None or raw.dtype != np.uint16 or raw.ndim != 3:
        return None
    if raw.shape[:2] != (image.height, image.width):
        return None

    grey = image.format == "PNG" and data[25] == _PNG_GREY_ALPHA
    pixels = np.ascontiguousarray(raw[..., :1] if grey else raw[..., 2::-1])  # BGR to RGB
    if not image.has_transparency_data:
        return pixels, None
    if raw.shape[2] in (2, 4):
        alpha = np.ascontiguousarray(raw[..., -1])
    else:
        # One transparent colour, which OpenCV before 5 leaves to us.
        opaque = (pixels != image.info.get("transparency", (-1, -1, -1))).any(axis=-1)
        alpha = np.where(opaque, 65535, 0).astype(np.uint16)
    if image.format == "TIFF" and getattr(image, "tag_v2", {}).get(_EXTRA) == (1,):
        pixels = _divided_by_alpha(pixels, alpha)
    return pixels, alpha


def _is_deep_colour(image: Image.Image, data: bytes) -> bool:
    if image.format == "PNG":
        return data[12:16] == b"IHDR" and data[24] == 16 and data[25] in _PNG_COLOURED
    if image.format == "TIFF":
        tags = getattr(image, "tag_v2", {})
        bits, kinds = tags.get(_BITS, (1,)), tags.get(_SAMPLE_FORMAT, (1,))
        rgb = tags.get(_PHOTOMETRIC) == 2 and len(bits) in (3, 4)
        return rgb and set(bits) == {16} and set(kinds) == {1}
    return False


def _divided_by_alpha(pixels: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Undo a multiplication by alpha, which TIFF calls associated alpha."""
    weight = np.maximum(alpha, 1).astype(np.uint32)[..., None]
    divided = (pixels.astype(np.uint32) * 65535 + weight // 2) // weight
    result: NDArray[Any] = np.minimum(divided, 65535).astype(np.uint16)
    return result
