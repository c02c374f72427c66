"""Pixels to bytes, and bytes to a file that is whole whenever it exists."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from translate.errors import ImageError
from translate.files import WRITABLE, system_reason
from translate.images import colour

if TYPE_CHECKING:
    from translate.images.reading import Picture

Samples = NDArray[Any]
Bytes = bytes | memoryview

_LONGEST_SIDE = {"jpg": 65_500, "webp": 16_383}  # in the formats' own headers
_LONGEST_EXIF_IN_JPEG = 65_533  # one segment
_PNG_LEVEL = 3  # on photographs as small as zlib's default 6, in less than half the time
_DEFLATE_LEVEL = 2  # after differencing, photographs come out as small as with 6, twice as fast
_BAND_BYTES = 1 << 22  # compressed piece by piece, so that a big picture is not held twice
# Larger PNGs of 8 bits are written here too: Pillow, which finds a filter for each row, holds four
# bytes a pixel and takes twice the time and more, for 2 to 14 % smaller photographs.
_LARGE_BYTES = 1 << 23
_HUGE_BYTES = 1 << 28  # a JPEG of more is written in bands too


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
    return b"".join(encode_in_pieces(picture, format, quality=quality, strip=strip))


def encode_in_pieces(
    picture: Picture, format: str, *, quality: int = 95, strip: bool = False
) -> Iterator[Bytes]:
    """Yield a file's bytes as they are made, so that few are held; as ``encode_picture``."""
    height, width, channels = picture.pixels.shape
    limit = _LONGEST_SIDE.get(format, max(height, width))
    if max(height, width) > limit:
        raise ImageError(f"{width:,}×{height:,}: a {format} has at most {limit:,} pixels a side")
    if format == "webp":
        channels = 3  # also for grey
    icc = picture.icc if colour.fits(picture.icc, channels) else b""
    exif = b"" if strip else picture.exif
    try:
        yield from _encode(picture.pixels, picture.alpha, format, quality, exif, icc)
    except (OSError, ValueError, MemoryError, OverflowError, struct.error) as error:
        reason = system_reason(error)
    else:
        return
    raise ImageError(f"cannot be written as {format}: {reason}")


def _encode(
    pixels: Samples, alpha: Samples | None, format: str, quality: int, exif: bytes, icc: bytes
) -> Iterator[Bytes]:
    if format == "tiff":
        yield from _tiff(pixels, alpha, exif, icc)
        return
    if format == "png" and (pixels.dtype == np.uint16 or pixels.nbytes > _LARGE_BYTES):
        yield from _png(pixels, alpha, exif, icc)
        return
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
    if format == "jpg" and pixels.nbytes > _HUGE_BYTES:
        yield from _jpeg(pixels, alpha, settings)
        return
    buffer = io.BytesIO()
    opaque = format in ("jpg", "bmp")
    if alpha is not None and opaque:
        pixels, alpha = on_white(pixels, alpha), None
    samples = in_8_bits(_with_alpha(pixels, alpha))
    image = Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
    image.save(buffer, name, **settings)
    yield buffer.getbuffer()


def _with_alpha(pixels: Samples, alpha: Samples | None) -> Samples:
    """Return (H, W, C) pixels, with alpha as one more channel where there is any."""
    if alpha is None:
        return pixels
    return np.concatenate([pixels, alpha[..., None]], axis=-1)


def on_white(pixels: Samples, alpha: Samples) -> Samples:
    """Return (H, W, C) integer pixels of which (H, W) ``alpha`` says how much covers white."""
    return on_ground(pixels, alpha, 255)


def on_ground(pixels: Samples, alpha: Samples, level: int) -> Samples:
    """Return pixels laid on a grey of that level, from 0 (black) to 255 (white)."""
    white = np.iinfo(pixels.dtype).max
    ground = np.uint32(white // 255 * level)
    out = np.empty_like(pixels)
    for band in _bands(pixels):
        weight = alpha[band].astype(np.uint32)[..., None]
        # At most 65535² + 32767, which still fits in 32 bits.
        mixed = pixels[band] * weight + ground * (white - weight) + np.uint32(white // 2)
        out[band] = mixed // white
    return out


def in_8_bits(samples: Samples) -> NDArray[np.uint8]:
    """Return uint8 or uint16 samples as uint8, rounded."""
    if samples.dtype == np.uint8:
        return samples
    out = np.empty(samples.shape, np.uint8)
    for band in _bands(samples):
        out[band] = (samples[band].astype(np.uint32) + 128) // 257  # 65535 = 255 · 257
    return out


def _bands(samples: Samples) -> Iterator[slice]:
    rows = max(1, _BAND_BYTES // samples[0].nbytes)
    return (slice(top, top + rows) for top in range(0, len(samples), rows))


def _png(pixels: Samples, alpha: Samples | None, exif: bytes, icc: bytes) -> Iterator[bytes]:
    """Yield a PNG of 8 or 16 bits, a band of rows at a time.

    Pillow writes none of 16 bits in colour, and OpenCV none with metadata before 5.
    """
    height, width, channels = pixels.shape
    channels += alpha is not None
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    length = width * channels * pixels.itemsize  # bytes of a row
    yield b"\x89PNG\r\n\x1a\n"
    bits = 8 * pixels.itemsize
    yield _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    if icc:
        yield _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc))
    if exif:
        yield _chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    compressor = zlib.compressobj(_DEFLATE_LEVEL)
    above = np.zeros((1, length), np.uint8)
    for band in _bands(pixels):
        samples = _with_alpha(pixels[band], None if alpha is None else alpha[band])
        rows = samples.astype(samples.dtype.newbyteorder(">"), copy=False)
        rows = np.ascontiguousarray(rows).view(np.uint8).reshape(-1, length)
        filtered = np.full((len(rows), 1 + length), 2, np.uint8)  # 2: minus the row above
        filtered[:, 1:] = rows
        filtered[:1, 1:] -= above
        filtered[1:, 1:] -= rows[:-1]
        above = rows[-1:]
        if packed := compressor.compress(filtered.data):
            yield _chunk(b"IDAT", packed)
    yield _chunk(b"IDAT", compressor.flush())
    yield _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _jpeg(pixels: Samples, alpha: Samples | None, settings: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield a JPEG whose bands are encoded one by one, and joined by restart markers.

    After such a marker the decoder begins anew, as it does with a file (ITU-T T.81, F.1.1.5); all
    bands have the same tables, since none are made to measure.
    """
    height, width = pixels.shape[:2]
    blocks = -(-width // 8)  # of 8×8 pixels in a row of them
    rows = max(1, min(65_535 // blocks, _BAND_BYTES // (8 * pixels[0].nbytes)))
    for number, top in enumerate(range(0, height, 8 * rows)):
        band = slice(top, top + 8 * rows)
        opaque = pixels[band] if alpha is None else on_white(pixels[band], alpha[band])
        samples = in_8_bits(opaque)
        image = Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", **settings)
        data = buffer.getvalue()
        frame, scan = _segment(data, 0xC0), _segment(data, 0xDA)
        if number == 0:
            size = struct.pack(">H", height)  # of all bands, instead of this one's
            interval = struct.pack(">BBHH", 0xFF, 0xDD, 4, rows * blocks)
            yield data[: frame + 5] + size + data[frame + 7 : scan] + interval
            yield data[scan:-2]
            settings = {**settings, "exif": b"", "icc_profile": None}
        else:
            (length,) = struct.unpack_from(">H", data, scan + 2)
            yield bytes([0xFF, 0xD0 + (number - 1) % 8]) + data[scan + 2 + length : -2]
    yield b"\xff\xd9"


def _segment(data: bytes, kind: int) -> int:
    """Return where in a JPEG the segment of that kind begins."""
    place = 2
    while data[place + 1] != kind:
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return place


def _tiff(pixels: Samples, alpha: Samples | None, exif: bytes, icc: bytes) -> Iterator[bytes]:
    """Yield a TIFF, deflated with horizontal differences.

    Pillow writes no 16-bit colour, and no EXIF data into a compressed TIFF.
    """
    if alpha is not None and pixels.shape[2] == 1 and pixels.dtype == np.uint16:
        pixels = pixels.repeat(3, axis=2)  # nearly no program reads grey with alpha, 16-bit
    height, width, channels = pixels.shape
    channels += alpha is not None
    rows = next(_bands(pixels)).stop
    strips = []
    for band in _bands(pixels):
        samples = _with_alpha(pixels[band], None if alpha is None else alpha[band])
        strip = samples.astype(samples.dtype.newbyteorder("<"))
        strip[:, 1:] -= samples[:, :-1]
        strips.append(zlib.compress(strip.data, _DEFLATE_LEVEL))
    places = itertools.accumulate(map(len, strips[:-1]), initial=0)
    tags: dict[int, Any] = {
        256: width,
        257: height,
        258: (pixels.itemsize * 8,) * channels,
        259: 8,  # deflate
        262: 1 if channels < 3 else 2,  # black is zero, or RGB
        273: tuple(places),
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
    yield b"II*\0" + struct.pack("<I", 8) + directory
    yield from strips


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
