"""Bytes to pixels: one picture as people see it, with all that must survive the network."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from translate.errors import ImageError
from translate.files import show, system_reason
from translate.images import damage
from translate.images.encoding import in_8_bits, on_ground
from translate.images.samples import samples_of

# A few kilobytes can claim to be gigapixels, so this is checked before anything is decoded. It is
# where Pillow itself refuses, about 13,377 × 13,377: 0.5 GB as 8-bit RGB, 2 GB as the network's
# floats. (Pillow's own check is only a warning up to here, and off if a program turns it off.)
MAX_PIXELS = 178_956_970

# What Pillow may open: plain pictures. Left out on purpose are the formats that run a program
# (EPS calls Ghostscript) or that hold no single picture.
Image.init()  # here, and not in the first threads that open something
_PLAIN = {"JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "AVIF", "JPEG2000", "PPM"}
_READS = tuple(sorted(_PLAIN & Image.OPEN.keys()))
# Warnings about size and odd tags: what matters of them we raise. Once, since the list of
# filters is one for all threads.
warnings.filterwarnings("ignore", module=r"PIL\.")

_MOVING = ("GIF", "WEBP", "PNG", "AVIF")  # an MPO's other pictures are previews and depth maps

_ORIENTATION = 0x0112
_EXIF, _GPS = 0x8769, 0x8825
# What tells of the picture. The rest of the first directory tells how the old file was laid out
# (strips, bit depth, compression) and would be false in the new one.
_DESCRIPTIVE = frozenset(
    {
        *(0x010D, 0x010E, 0x010F, 0x0110),  # document, description, make, model
        *(0x011A, 0x011B, 0x0128),  # resolution and its unit
        *(0x0131, 0x0132, 0x013B, 0x013C, 0x8298),  # software, date, artist, computer, copyright
        *(0x4746, 0x4749, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F),  # rating, title, comment, …
    }
)
# The old width and height, and a pointer to a directory about interoperability.
_STALE = frozenset({0xA002, 0xA003, 0xA005})


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture, upright.

    Args:
        pixels: (H, W, C) uint8 or uint16; C is 1 (grey) or 3 (RGB).
        alpha: (H, W), dtype of ``pixels``; None when the picture is opaque by nature.
        exif: what survives of it; never the orientation, which is applied.
        icc: the profile that ``pixels`` are in; empty means sRGB, untagged.
    """

    pixels: NDArray[Any]
    alpha: NDArray[Any] | None
    exif: bytes = b""
    icc: bytes = b""


def read_picture(source: Path | bytes, *, name: str | None = None) -> Picture:
    """Return the picture in a file or in a file's bytes.

    8-bit colours come in sRGB. 16-bit pictures keep their numbers and their profile. May be called
    from many threads.

    Args:
        name: what errors call it; the path by default.

    Raises:
        ImageError: in one line, whatever is wrong with it.
    """
    picture, reason = _try_to_read(source)
    if picture is None:
        # Raised here, where no decoder's error hangs on it: its frames would hold the pixels.
        shown = show(source) if name is None and isinstance(source, Path) else show(name or "")
        raise ImageError(f"{shown}: {reason}" if shown else reason)
    return picture


def _try_to_read(source: Path | bytes) -> tuple[Picture | None, str]:
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
    except (OSError, ValueError, MemoryError) as error:
        return None, system_reason(error)
    if not data:
        return None, "empty file"
    try:
        return _decode(data), ""
    except ImageError as error:
        return None, str(error)
    # Decoders raise what they please on bad files (SyntaxError, struct.error, zlib.error, …).
    except Exception as error:
        return None, damage.reason(error, data)


def _decode(data: bytes) -> Picture:
    try:
        image = Image.open(io.BytesIO(data), formats=_READS)
    except Image.DecompressionBombError:
        raise ImageError(f"more than {MAX_PIXELS:,} pixels, which is the most we decode") from None
    with image:
        _refuse_what_is_no_single_picture(image)
        # Before loading: a TIFF is turned upright by its decoder, which then forgets the tag.
        exif, orientation = _exif(image)
        icc = image.info.get("icc_profile") or b""
        image.load()
        upright = 1 if image.format == "TIFF" else orientation
        pixels, alpha, icc = samples_of(image, data, icc)
    return Picture(
        pixels=_oriented(pixels, upright),
        alpha=None if alpha is None else _oriented(alpha, upright),
        exif=exif,
        icc=icc,
    )


def _refuse_what_is_no_single_picture(image: Image.Image) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"{width}×{height}: a picture without pixels")
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{width:,}×{height:,} pixels are more than {MAX_PIXELS:,}, which is the most we decode"
        )
    frames = getattr(image, "n_frames", 1)
    if image.format in _MOVING and frames > 1:
        raise ImageError(f"animated ({frames} frames); only still pictures can be translated")
    if image.format == "TIFF" and frames > 1:
        pages = sum(_is_page(image, number) for number in range(frames))
        image.seek(0)
        if pages > 1:
            raise ImageError(f"{pages} pages in one TIFF; save each as a file of its own")


def _is_page(image: Image.Image, number: int) -> bool:
    image.seek(number)
    smaller_version_of_another_page = getattr(image, "tag_v2", {}).get(254, 0) & 1
    return not smaller_version_of_another_page


def _exif(image: Image.Image) -> tuple[bytes, int]:
    """Return the EXIF data that stays true of an upright copy, and the orientation to apply."""
    orientation = 1
    try:
        found = image.getexif()
        orientation = int(found.get(_ORIENTATION, 1))
        kept = Image.Exif()
        kept.endian = found.endian  # maker notes are bytes in the camera's own order
        for tag, value in found.items():
            if tag in _DESCRIPTIVE:
                kept[tag] = value
        for group in (_EXIF, _GPS):
            tags = {tag: v for tag, v in found.get_ifd(group).items() if tag not in _STALE}
            if tags:
                kept[group] = tags
        return (kept.tobytes() if len(kept) else b""), orientation
    except Exception:  # as above: damaged metadata must not cost the picture
        return b"", orientation


def _oriented(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return (H, W, …) pixels as EXIF says they are to be seen."""
    if orientation in (5, 6, 7, 8):  # the eight are a transposition, and two mirrorings
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def read_rgb(source: Path, *, ground: int = 255) -> NDArray[np.uint8]:
    """Return a picture as training wants it: (H, W, 3) uint8.

    Args:
        ground: the grey, from 0 (black) to 255 (white), that what is transparent is laid on.

    Raises:
        ImageError: as ``read_picture`` does.
    """
    picture = read_picture(source)
    pixels = picture.pixels
    if picture.alpha is not None:
        pixels = on_ground(pixels, picture.alpha, ground)
    return np.ascontiguousarray(np.broadcast_to(in_8_bits(pixels), (*pixels.shape[:2], 3)))
