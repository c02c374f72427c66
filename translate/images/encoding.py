"""Pixels to bytes, and bytes to a file that is whole whenever it exists."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from translate.errors import ImageError
from translate.files import WRITABLE, system_reason
from translate.images import colour

if TYPE_CHECKING:
    from translate.images.reading import Picture

_LONGEST_SIDE = {"jpg": 65_500, "webp": 16_383}  # in the formats' own headers
_LONGEST_EXIF_IN_JPEG = 65_533  # one segment
_PNG_LEVEL = 3  # on photographs as small as zlib's default 6, in less than half the time
_DEFLATE_LEVEL = 2  # after differencing, photographs come out as small as with 6, twice as fast
_BAND_BYTES = 1 << 22  # compressed piece by piece, so that a big picture is not held twice


def encode_picture(
    picture: Picture, format: str, *, quality: int = 95, strip: bool = False
) -> bytes:
    """Return the picture as a file's bytes.

    PNG and TIFF keep 16 bits; the others round to 8. Alpha is kept by PNG, WebP and TIFF; in the
    others the picture is laid on white. A profile made for another number of channels (a grey
    picture has become coloured) is left out.

    Args:
        format: one of ``WRITABLE``.
        quality: 1 to 100 for JPEG, never with reduced colour resolution, and for WebP, where 100
            is lossless.
        strip: drop EXIF data, with the place and time in it; colours stay.

    Raises:
        ImageError: if the format cannot hold the picture.
    """
    height, width, channels = picture.pixels.shape
    limit = _LONGEST_SIDE.get(format, max(height, width))
    if max(height, width) > limit:
        raise ImageError(f"{width:,}×{height:,}: a {format} has at most {limit:,} pixels a side")
    samples = picture.pixels
    if picture.alpha is not None:
        if format in ("jpg", "bmp"):
            samples = on_white(samples, picture.alpha)
        else:
            samples = np.concatenate([samples, picture.alpha[..., None]], axis=-1)
    if format not in ("png", "tiff"):
        samples = in_8_bits(samples)
    if format == "webp":
        channels = 3  # also for grey
    icc = picture.icc if colour.fits(picture.icc, channels) else b""
    exif = b"" if strip else picture.exif
    try:
        return _encode(samples, format, quality, exif, icc)
    except (OSError, ValueError, MemoryError, OverflowError, struct.error) as error:
        reason = system_reason(error)
    raise ImageError(f"cannot be written as {format}: {reason}")


def _encode(samples: NDArray[Any], format: str, quality: int, exif: bytes, icc: bytes) -> bytes:
    if format == "tiff":
        return _tiff(samples, exif, icc)
    if format == "png" and samples.dtype == np.uint16:
        return b"".join(_deep_png(samples, exif, icc))
    settings: dict[str, Any] = {"icc_profile": icc or None, "exif": exif}
    match format:
        case "png":
            name = "PNG"
            settings["compress_level"] = _PNG_LEVEL
        case "jpg":
            name = "JPEG"
            settings |= {"quality": quality, "subsampling": 0}  # 4:4:4
            if len(exif) > _LONGEST_EXIF_IN_JPEG:  # came from a format that takes more
                del settings["exif"]
        case "webp":
            name = "WEBP"
            # "exact" keeps the colours under full transparency.
            lossless = {"lossless": True, "exact": True}
            settings |= lossless if quality >= 100 else {"quality": quality}
        case "bmp":
            name, settings = "BMP", {}
        case _:
            raise ValueError(f"not one of {', '.join(WRITABLE)}")
    buffer = io.BytesIO()
    image = Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
    image.save(buffer, name, **settings)
    return buffer.getvalue()


def on_white(pixels: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Return (H, W, C) integer pixels of which (H, W) ``alpha`` says how much covers white."""
    return on_ground(pixels, alpha, 255)


def on_ground(pixels: NDArray[Any], alpha: NDArray[Any], level: int) -> NDArray[Any]:
    """Return pixels laid on a grey of that level, from 0 (black) to 255 (white)."""
    white = np.iinfo(pixels.dtype).max
    ground = np.uint32(white // 255 * level)
    weight = alpha.astype(np.uint32)[..., None]
    # At most 65535² + 32767, which still fits in 32 bits.
    mixed = pixels * weight + ground * (white - weight) + np.uint32(white // 2)
    return (mixed // white).astype(pixels.dtype)


def in_8_bits(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Return uint8 or uint16 samples as uint8, rounded."""
    if samples.dtype == np.uint8:
        return samples
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)  # 65535 = 255 · 257


def _bands(samples: NDArray[Any]) -> Iterator[slice]:
    rows = max(1, _BAND_BYTES // samples[0].nbytes)
    return (slice(top, top + rows) for top in range(0, len(samples), rows))


def _deep_png(samples: NDArray[np.uint16], exif: bytes, icc: bytes) -> Iterator[bytes]:
    """Yield a 16-bit PNG: Pillow writes none in colour, and OpenCV none with metadata before 5."""
    height, width, channels = samples.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    yield b"\x89PNG\r\n\x1a\n"
    yield _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    if icc:
        yield _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc))
    if exif:
        yield _chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    compressor = zlib.compressobj(_DEFLATE_LEVEL)
    above = np.zeros((1, width * channels * 2), np.uint8)
    for band in _bands(samples):
        rows = samples[band].astype(">u2").view(np.uint8).reshape(-1, width * channels * 2)
        filtered = np.full((len(rows), 1 + rows.shape[1]), 2, np.uint8)  # 2: minus the row above
        filtered[:, 1:] = rows - np.concatenate([above, rows[:-1]])
        above = rows[-1:]
        if packed := compressor.compress(filtered.data):
            yield _chunk(b"IDAT", packed)
    yield _chunk(b"IDAT", compressor.flush())
    yield _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _tiff(samples: NDArray[Any], exif: bytes, icc: bytes) -> bytes:
    """Return a TIFF, deflated with horizontal differences.

    Pillow writes no 16-bit colour, and no EXIF data into a compressed TIFF.
    """
    if samples.shape[2] == 2 and samples.dtype == np.uint16:
        samples = samples[..., [0, 0, 0, 1]]  # nearly no program reads grey with alpha, 16-bit
    height, width, channels = samples.shape
    samples = samples.astype(samples.dtype.newbyteorder("<"))
    rows = next(_bands(samples)).stop
    strips = []
    for band in _bands(samples):
        strip = samples[band].copy()
        strip[:, 1:] -= samples[band, :-1]
        strips.append(zlib.compress(strip.data, _DEFLATE_LEVEL))
    tags: dict[int, Any] = {
        256: width,
        257: height,
        258: (samples.dtype.itemsize * 8,) * channels,
        259: 8,  # deflate
        262: 1 if channels < 3 else 2,  # black is zero, or RGB
        273: tuple(sum(map(len, strips[:number])) for number in range(len(strips))),
        277: channels,
        278: min(rows, height),
        279: tuple(map(len, strips)),
        284: 1,  # the samples of a pixel stand together
        317: 2,  # horizontal differences
    }
    if channels in (2, 4):
        tags[338] = 2  # alpha, and colours not multiplied by it
    if icc:
        tags[34675] = icc
    try:
        directory = _tiff_directory(tags, exif)
    except Exception:  # odd metadata must not cost the picture
        directory = _tiff_directory(tags, b"")
    return b"".join([b"II*\0", struct.pack("<I", 8), directory, *strips])


def _tiff_directory(tags: dict[int, Any], exif: bytes) -> bytes:
    """Return the directory that stands after the header, right before the strips.

    Its offsets of strips, given from the first one on, are moved to their place by Pillow.
    """
    directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    found = Image.Exif()
    found.load(exif)
    for tag, value in found.items():
        group = tag in (0x8769, 0x8825)
        directory[tag] = found.get_ifd(tag) if group else value
    for tag, value in tags.items():
        directory[tag] = value
    return directory.tobytes(8)
