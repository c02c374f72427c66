"""Colour profiles: 8-bit pictures are brought to sRGB, which is what networks are trained on."""

from __future__ import annotations

import functools
import io
import struct

import numpy as np
from PIL import Image, ImageCms

# Relative colorimetric with black-point compensation is what photo editors use. Without NOCACHE
# a transform remembers its last pixel, in memory that threads would share.
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOCACHE
_SPACES = {1: b"GRAY", 3: b"RGB "}


@functools.cache
def srgb_profile() -> bytes:
    """Return an sRGB profile, the same bytes in every run."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    created = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # else the moment of the call
    return profile[:24] + created + profile[36:]


def fits(icc: bytes, channels: int) -> bool:
    """Return whether ``icc`` is a readable profile for pictures of that many channels."""
    return icc[16:20] == _SPACES.get(channels) and _parse(icc) is not None


def to_srgb(image: Image.Image, icc: bytes) -> tuple[Image.Image, bytes]:
    """Return an 8-bit picture in sRGB, as mode L or RGB, and the profile its pixels are now in.

    A profile that already means sRGB is kept with its pixels, since converting would only round
    them. A profile that is broken, or made for another kind of picture, is dropped.

    Args:
        image: mode L, RGB, CMYK or LAB, or another that Pillow converts to RGB.
        icc: the embedded profile; empty when there is none.
    """
    profile = _lab() if image.mode == "LAB" else _parse(icc)
    if image.mode not in ("L", "RGB", "CMYK", "LAB"):
        image = image.convert("RGB")
    if profile is not None:
        try:
            return _convert(image, profile, icc)
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # the profile is for another kind of picture
    return image if image.mode in ("L", "RGB") else image.convert("RGB"), b""


def _lab() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))


def _parse(icc: bytes) -> ImageCms.ImageCmsProfile | None:
    if not icc:
        return None
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(icc))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _convert(
    image: Image.Image, profile: ImageCms.ImageCmsProfile, icc: bytes
) -> tuple[Image.Image, bytes]:
    transform = ImageCms.buildTransform(
        profile,
        ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile())),
        image.mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        _FLAGS,
    )
    if image.mode in ("L", "RGB") and _changes_nothing(transform, image.mode):
        return image, icc
    converted = ImageCms.applyTransform(image, transform)
    if converted is None:  # only when asked to work in place
        raise ValueError("no picture came out of the conversion")
    if image.mode == "L":
        # Grey in sRGB is three equal channels. An RGB profile does not belong in a grey file.
        return converted.getchannel("G"), b""
    return converted, srgb_profile()


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Try the conversion on a lattice of colours: what moves none by more than rounding is sRGB."""
    steps = np.linspace(0, 255, 17).round().astype(np.uint8)
    if mode == "RGB":
        lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(17, 17 * 17, 3)
        moved = np.asarray(ImageCms.applyTransform(Image.fromarray(lattice), transform))
    else:
        lattice = np.arange(256, dtype=np.uint8)[None]
        moved = np.asarray(ImageCms.applyTransform(Image.fromarray(lattice), transform))[..., 1]
    return int(np.abs(moved.astype(int) - lattice.astype(int)).max()) <= 1
