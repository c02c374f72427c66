"""Pictures in and out: every wart of real files, each made here."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, ImageCms, TiffImagePlugin

from translate.atomic import write_atomic
from translate.errors import ImageError, TranslateError
from translate.images import (
    MAX_PIXELS,
    Picture,
    colour,
    encode_picture,
    encoding,
    read_picture,
)
from translate.images.encoding import encode_in_pieces, on_white

Array = NDArray[Any]

# Under pytest, Pillow's warnings about odd tags pass the filter that images.py sets.
pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")


def saved(image: Image.Image, format: str, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **settings)
    return buffer.getvalue()


def noise(*shape: int, dtype: type = np.uint8) -> Array:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def noisy(side: int = 64) -> Image.Image:
    return Image.fromarray(noise(side, side, 3))


def png(samples: Array, kind: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG of big-endian samples in colour type ``kind``, unfiltered."""
    height, width = samples.shape[:2]
    bits = samples.dtype.itemsize * 8
    rows = samples.astype(samples.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    data = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return png_of((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(data)))


def png_of(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return the file of these chunks and the end."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in (*chunks, (b"IEND", b""))
    )


def tiff(samples: Array, photometric: int, **tags: Any) -> bytes:
    """Return an uncompressed TIFF of ``samples`` with extra tags, ``t274=6`` being tag 274."""
    height, width = samples.shape[:2]
    channels = samples.shape[2] if samples.ndim == 3 else 1
    body = samples.astype(samples.dtype.newbyteorder("<")).tobytes()
    directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    bits = (samples.dtype.itemsize * 8,) * channels
    for tag, value in {
        256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 0, 277: channels,
        278: height, 279: len(body),
    }.items():  # fmt: skip
        directory[tag] = value
    for name, value in tags.items():
        directory[int(name[1:])] = value
    return b"II*\0" + struct.pack("<I", 8) + directory.tobytes(8) + body


def exif_of(data: bytes) -> Image.Exif:
    with Image.open(io.BytesIO(data)) as image:
        found = image.getexif()
        for group in (0x8769, 0x8825):
            found.get_ifd(group)
        return found


def camera_exif(orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    exif[0x8298] = "© nobody"
    exif[0x8769] = {0x9003: "2020:01:02 03:04:05", 0xA002: 4000, 0x927C: b"\1\2\3"}
    exif[0x8825] = {1: "N", 2: (48.0, 12.0, 30.0)}
    return exif.tobytes()


def wide_gamut() -> bytes:
    """Return an RGB profile with Display-P3's primaries and a gamma of 2.2.

    Made from lcms's sRGB, whose red, green and blue columns are replaced.
    """
    profile = bytearray(colour.srgb_profile())
    columns = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }
    for number in range(struct.unpack_from(">I", profile, 128)[0]):
        name, offset, _ = struct.unpack_from(">4sII", profile, 132 + 12 * number)
        if name in columns:
            struct.pack_into(">3i", profile, offset + 8, *(round(v * 65536) for v in columns[name]))
    return bytes(profile)


def red_cyan() -> bytes:
    """Return a CMYK profile of a press whose cyan ink is red and whose others are invisible."""
    ramp = bytes(range(256))
    white, red = bytes([255, 128, 128]), bytes([135, 208, 195])  # CIELAB
    table = b"mft1" + struct.pack(">I4B", 0, 4, 3, 2, 0)  # 4 inks, 3 outputs, 2 steps of each
    table += struct.pack(">9i", *(65536 * (n % 4 == 0) for n in range(9)))
    table += ramp * 4 + white * 8 + red * 8 + ramp * 3
    texts = {
        b"desc": b"desc" + struct.pack(">2I", 0, 4) + b"red\0" + bytes(78),
        b"wtpt": b"XYZ " + struct.pack(">I3i", 0, 63190, 65536, 54061),
        b"A2B0": table,
    }
    offset = 132 + 12 * len(texts)
    tags, body = struct.pack(">I", len(texts)), b""
    for name, data in texts.items():
        data += bytes(-len(data) % 4)
        tags += name + struct.pack(">2I", offset + len(body), len(data))
        body += data
    header = struct.pack(
        ">I4sI4s4s4s", offset + len(body), b"lcms", 0x02100000, b"prtr", b"CMYK", b"Lab "
    )
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + tags + body


def reason(data: bytes | Path, **settings: Any) -> str:
    with pytest.raises(ImageError) as caught:
        read_picture(data, **settings)
    text = str(caught.value)
    assert "\n" not in text
    assert "0x" not in text  # no object's address
    assert caught.value.__context__ is None  # which would hold the decoder's memory
    return text


# Orientation and metadata


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tiff", "png 16-bit", "tiff 16-bit"])
def test_all_eight_orientations_are_applied(orientation: int, kind: str) -> None:
    # White in the corner that the orientation says is seen at the top left, on a 16 × 32 picture.
    stored = np.zeros((16, 32, 3), np.uint8)
    bottom, right = orientation in (3, 4, 6, 7), orientation in (2, 3, 7, 8)
    stored[8 * bottom : 8 * bottom + 8, 16 * right : 16 * right + 16] = 255
    exif = camera_exif(orientation)
    deep = np.ascontiguousarray(stored.astype(np.uint16) * 257)
    data = {
        "jpg": lambda: saved(Image.fromarray(stored), "JPEG", exif=exif, quality=95),
        "png": lambda: saved(Image.fromarray(stored), "PNG", exif=exif),
        "webp": lambda: saved(Image.fromarray(stored), "WEBP", exif=exif, lossless=True),
        "tiff": lambda: saved(Image.fromarray(stored), "TIFF", exif=exif),
        "png 16-bit": lambda: png(deep, 2, (b"eXIf", exif.removeprefix(b"Exif\0\0"))),
        "tiff 16-bit": lambda: tiff(deep, 2, t274=orientation),
    }[kind]()
    picture = read_picture(data)
    height, width = picture.pixels.shape[:2]
    assert (height, width) == ((32, 16) if orientation > 4 else (16, 32))
    white = picture.pixels > np.iinfo(picture.pixels.dtype).max // 2
    assert white[2, 2].all()
    assert not white[2, -3].any()
    assert not white[-3, 2].any()
    with Image.open(io.BytesIO(encode_picture(picture, "png"))) as again:
        assert again.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("format", ["png", "jpg", "webp", "tiff"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_exif_and_profile_survive(format: str, dtype: type) -> None:
    source = saved(noisy(), "JPEG", exif=camera_exif(6), icc_profile=colour.srgb_profile())
    read = read_picture(source)
    picture = Picture(noise(9, 7, 3, dtype=dtype), None, read.exif, read.icc)
    data = encode_picture(picture, format)
    exif = exif_of(data)
    assert exif[0x010F] == "Maker"
    assert exif.get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"
    assert exif.get_ifd(0x8769)[0x927C] == b"\1\2\3"
    assert exif.get_ifd(0x8825)[2] == (48.0, 12.0, 30.0)
    assert 0xA002 not in exif.get_ifd(0x8769)  # the width of another picture
    assert read_picture(data).icc == colour.srgb_profile()

    stripped = encode_picture(picture, format, strip=True)
    assert b"Maker" not in stripped
    assert not read_picture(stripped).exif
    assert read_picture(stripped).icc == colour.srgb_profile()


def test_a_tiffs_layout_is_not_carried_as_metadata() -> None:
    data = tiff(noise(6, 5, 3), 2, t270="a description", t305="Scanner 3")
    picture = read_picture(data)
    exif = exif_of(encode_picture(picture, "jpg"))
    assert dict(exif) == {270: "a description", 305: "Scanner 3"}
    assert read_picture(encode_picture(picture, "tiff")).pixels.shape == (6, 5, 3)


def test_damaged_exif_does_not_cost_the_picture() -> None:
    data = saved(noisy(), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f\1\2\3")
    assert read_picture(data).pixels.shape == (64, 64, 3)


def test_exif_longer_than_a_jpeg_takes_does_not_cost_the_picture() -> None:
    exif = Image.Exif()
    exif[0x010E] = "x" * 70_000
    data = encode_picture(Picture(noise(8, 8, 3), None, exif.tobytes()), "jpg")
    assert read_picture(data).pixels.shape == (8, 8, 3)


# Colours


def test_wide_gamut_colours_are_converted_to_srgb_and_tagged() -> None:
    image = Image.new("RGB", (8, 8), (170, 200, 110))
    picture = read_picture(saved(image, "PNG", icc_profile=wide_gamut()))
    red, _, blue = (int(v) for v in picture.pixels[0, 0])
    assert red < 165  # P3's primaries are purer, so sRGB needs more of them for the same green
    assert blue < 105
    assert picture.icc == colour.srgb_profile()
    back = ImageCms.profileToProfile(
        Image.fromarray(picture.pixels),
        ImageCms.createProfile("sRGB"),
        ImageCms.ImageCmsProfile(io.BytesIO(wide_gamut())),
    )
    assert back is not None
    assert np.abs(np.asarray(back).astype(int) - (170, 200, 110)).max() <= 2


def test_srgb_pixels_are_not_touched_and_keep_their_own_profile() -> None:
    image = noisy()
    another = bytearray(colour.srgb_profile())
    another[24:26] = struct.pack(">H", 1998)  # the year it was made
    picture = read_picture(saved(image, "PNG", icc_profile=bytes(another)))
    np.testing.assert_array_equal(picture.pixels, np.asarray(image))
    assert picture.icc == bytes(another)


@pytest.mark.parametrize("icc", [b"nonsense", wide_gamut()[:300], b"\0" * 400])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_broken_profile_is_dropped(icc: bytes, format: str) -> None:
    picture = read_picture(saved(noisy(), format, icc_profile=icc))
    assert picture.pixels.shape == (64, 64, 3)
    assert picture.icc == b""


def test_a_profile_for_other_colours_is_dropped() -> None:
    grey = Image.fromarray(noise(8, 8))
    picture = read_picture(saved(grey, "PNG", icc_profile=wide_gamut()))
    np.testing.assert_array_equal(picture.pixels[..., 0], np.asarray(grey))
    assert picture.icc == b""
    # And when a network has made grey of colour.
    made = Picture(noise(8, 8, 1), None, icc=colour.srgb_profile())
    assert b"iCCP" not in encode_picture(made, "png")
    assert b"ICCP" in encode_picture(made, "webp")  # which has no grey


def test_cmyk_jpegs_come_out_in_their_colours() -> None:
    """Adobe stores CMYK inverted in JPEG; read plainly, paper is black."""
    cmyk = Image.new("RGB", (16, 16), (200, 30, 60)).convert("CMYK")
    picture = read_picture(saved(cmyk, "JPEG", quality=95))
    assert np.abs(picture.pixels.astype(int) - (200, 30, 60)).max() <= 6


def test_cmyk_goes_through_its_profile() -> None:
    cmyk = Image.new("CMYK", (4, 4), (255, 0, 0, 0))
    for format in ("TIFF", "JPEG"):
        picture = read_picture(saved(cmyk, format, icc_profile=red_cyan()))
        assert np.abs(picture.pixels[0, 0].astype(int) - (255, 0, 0)).max() <= 12
        assert picture.icc == colour.srgb_profile()
    plain = read_picture(saved(cmyk, "TIFF", icc_profile=wide_gamut()))  # which is not for CMYK
    assert plain.pixels[0, 0].tolist() == [0, 255, 255]
    assert plain.icc == b""


def test_lab_pictures_come_out_in_their_colours() -> None:
    lab = Image.new("LAB", (4, 4))
    lab.putdata([(136, 128 + 80, 128 + 67)] * 16)  # sRGB's red
    picture = read_picture(saved(lab, "TIFF"))
    assert np.abs(picture.pixels[0, 0].astype(int) - (255, 0, 0)).max() <= 12
    assert picture.icc == colour.srgb_profile()


def test_16_bit_colours_keep_their_numbers_and_their_profile() -> None:
    pixels = noise(6, 7, 3, dtype=np.uint16)
    data = encode_picture(Picture(pixels, None, icc=wide_gamut()), "tiff")
    picture = read_picture(data)
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert picture.icc == wide_gamut()


# Modes


def test_a_palette_with_transparency_becomes_rgb_and_alpha() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    picture = read_picture(saved(image, "PNG", transparency=bytes([255, 100])))
    assert picture.pixels.tolist() == [[[255, 0, 0], [0, 0, 255]]]
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255, 100]]
    gif = read_picture(saved(image, "GIF", transparency=1))
    assert gif.alpha is not None
    assert gif.alpha.tolist() == [[255, 0]]
    opaque = read_picture(saved(image, "PNG"))
    assert opaque.alpha is None


@pytest.mark.parametrize("bits", [2, 4])
def test_the_transparent_grey_of_few_bits_becomes_alpha(bits: int) -> None:
    top = 2**bits - 1
    header = struct.pack(">IIBBBBB", 2, 1, bits, 0, 0, 0, 0)  # two pixels in one byte: 1, white
    row = bytes([0, (1 << (8 - bits)) | (top << (8 - 2 * bits))])
    clear = (b"tRNS", struct.pack(">H", top))
    picture = read_picture(png_of((b"IHDR", header), clear, (b"IDAT", zlib.compress(row))))
    assert picture.pixels.ravel().tolist() == [255 // top, 255]
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255, 0]]


def test_one_transparent_colour_becomes_alpha() -> None:
    grey = Image.fromarray(np.array([[7, 8]], np.uint8))
    picture = read_picture(saved(grey, "PNG", transparency=7))
    assert picture.pixels.shape == (1, 2, 1)
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[0, 255]]

    deep = np.array([[7, 8, 65535]], np.uint16)
    picture = read_picture(png(deep, 0, (b"tRNS", struct.pack(">H", 8))))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[65535, 0, 65535]]
    assert picture.pixels[..., 0].tolist() == deep.tolist()

    coloured = noise(2, 3, 3, dtype=np.uint16)
    chunk = struct.pack(">HHH", *(int(v) for v in coloured[1, 2]))
    picture = read_picture(png(coloured, 2, (b"tRNS", chunk)))
    np.testing.assert_array_equal(picture.pixels, coloured)
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[65535] * 3, [65535, 65535, 0]]


def test_a_transparent_colour_that_opencv_overlooks_is_applied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cv2 = pytest.importorskip("cv2")
    coloured = noise(2, 3, 3, dtype=np.uint16)
    chunk = struct.pack(">HHH", *(int(v) for v in coloured[1, 2]))
    decode = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda *args: decode(*args)[..., :3])
    picture = read_picture(png(coloured, 2, (b"tRNS", chunk)))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[65535] * 3, [65535, 65535, 0]]


def test_black_and_white_pictures_are_grey() -> None:
    picture = read_picture(saved(Image.fromarray(np.array([[True, False]])), "PNG"))
    assert picture.pixels.tolist() == [[[255], [0]]]
    assert picture.alpha is None


@pytest.mark.parametrize("mode", ["PA", "LA", "RGBA", "RGBX", "CMYK", "LAB"])
def test_every_mode_that_pillow_saves_is_read(mode: str) -> None:
    picture = read_picture(saved(Image.new(mode, (5, 4)), "TIFF"))
    assert picture.pixels.shape[:2] == (4, 5)
    assert picture.pixels.shape[2] in (1, 3)
    assert (picture.alpha is not None) == (mode in ("PA", "LA", "RGBA"))


def test_luma_and_chroma_come_out_in_their_colours() -> None:
    luma_chroma = Image.new("RGB", (4, 4), (200, 30, 60)).convert("YCbCr")
    image, _ = colour.to_srgb(luma_chroma, b"")  # Pillow before 12 cannot read such a TIFF
    assert np.abs(np.asarray(image).astype(int) - (200, 30, 60)).max() <= 2


def test_wide_grey_integers_and_floats_are_scaled_without_clipping() -> None:
    def ramp(image: Array, format: str = "TIFF") -> list[int]:
        picture = read_picture(saved(Image.fromarray(image), format))
        assert picture.pixels.dtype == np.uint16
        return [int(v) for v in picture.pixels[0, :, 0]]

    assert ramp(np.array([[0, 5000, 65535]], np.int32)) == [0, 5000, 65535]
    assert ramp(np.array([[-100, 0, 100]], np.int32)) == [0, 32768, 65535]
    assert ramp(np.array([[0, 1 << 20, 1 << 21]], np.int32)) == [0, 32768, 65535]
    assert ramp(np.array([[0, 0.5, 1]], np.float32)) == [0, 32768, 65535]
    assert ramp(np.array([[0, 51, 255]], np.float32)) == [0, 13107, 65535]
    assert ramp(np.array([[-2, 0, 2]], np.float32)) == [0, 32768, 65535]
    assert ramp(np.array([[0, np.nan, 1]], np.float32)) == [0, 0, 65535]
    assert ramp(np.array([[7e6, 7e6]], np.float32)) == [0, 0]
    assert ramp(np.array([[0, 4096, 65535]], np.uint16), "PNG") == [0, 4096, 65535]


def test_16_bit_grey_in_either_byte_order_and_polarity() -> None:
    grey = noise(3, 4, dtype=np.uint16)
    np.testing.assert_array_equal(read_picture(tiff(grey, 1)).pixels[..., 0], grey)
    np.testing.assert_array_equal(read_picture(tiff(grey, 0)).pixels[..., 0], 65535 - grey)
    big = Image.frombytes("I;16B", (4, 3), grey.astype(">u2").tobytes())
    np.testing.assert_array_equal(read_picture(saved(big, "TIFF")).pixels[..., 0], grey)


def test_alpha_multiplied_into_16_bit_colours_is_divided_out() -> None:
    alpha = np.array([[0, 32768, 65535]], np.uint16)
    colours = np.array([[[0, 0, 0], [10000, 20000, 32768], [1, 2, 3]]], np.uint16)
    stored = np.concatenate([colours, alpha[..., None]], axis=-1)
    picture = read_picture(tiff(stored, 2, t338=1))
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha, alpha)
    assert picture.pixels[0].tolist() == [[0, 0, 0], [20000, 39999, 65535], [1, 2, 3]]
    np.testing.assert_array_equal(read_picture(tiff(stored, 2, t338=2)).pixels, colours)


# Writing


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_png_and_tiff_give_back_every_bit(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16]))
    height, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    channels = data.draw(st.sampled_from([1, 3]))
    pixels: Array = data.draw(arrays(dtype, (height, width, channels)))
    alpha: Array | None = data.draw(st.none() | arrays(dtype, (height, width)))
    for format in ("png", "tiff"):
        picture = read_picture(encode_picture(Picture(pixels, alpha), format))
        expected = pixels
        if format == "tiff" and dtype == np.uint16 and alpha is not None:
            expected = np.broadcast_to(pixels, (height, width, 3))  # written in colour
        np.testing.assert_array_equal(picture.pixels, expected)
        assert picture.pixels.dtype == dtype
        if alpha is None:
            assert picture.alpha is None
        else:
            assert picture.alpha is not None
            assert picture.alpha.dtype == dtype
            np.testing.assert_array_equal(picture.alpha, alpha)


@pytest.mark.parametrize("format", ["png", "tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_other_programs_read_16_bit_files(format: str, channels: int) -> None:
    cv2 = pytest.importorskip("cv2")
    pixels = noise(700, 600, channels, dtype=np.uint16)  # more than one band, and smooth below
    pixels[350:] = np.arange(600, dtype=np.uint16)[:, None] * 100
    data = encode_picture(Picture(pixels, None), format)
    raw = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    raw = raw[..., None] if channels == 1 else raw[..., ::-1]
    np.testing.assert_array_equal(raw, pixels)


def test_a_big_16_bit_picture_is_written_in_several_bands() -> None:
    pixels = noise(900, 1000, 3, dtype=np.uint16)  # 5.4 MB, a band being 4 MB
    for format in ("png", "tiff"):
        np.testing.assert_array_equal(
            read_picture(encode_picture(Picture(pixels, None), format)).pixels, pixels
        )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_large_pngs_of_8_bits_are_as_others(
    channels: int, with_alpha: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, alpha = noise(60, 50, channels), noise(60, 50) if with_alpha else None
    profile = colour.srgb_profile() if channels == 3 else b""
    picture = Picture(pixels, alpha, camera_exif(), profile)
    usual = encode_picture(picture, "png")
    monkeypatch.setattr(encoding, "_LARGE_BYTES", 1000)
    monkeypatch.setattr(encoding, "_BAND_BYTES", 1000)
    large = encode_picture(picture, "png")
    assert large != usual
    with Image.open(io.BytesIO(large)) as one, Image.open(io.BytesIO(usual)) as other:
        assert one.mode == other.mode
        assert one.info.get("icc_profile", b"") == other.info.get("icc_profile", b"") == profile
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    assert exif_of(large)[0x010F] == "Maker"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_a_large_png_is_never_held_a_second_time(
    dtype: type, with_alpha: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "_BAND_BYTES", 1 << 18)
    side = 2000
    picture = Picture(
        np.zeros((side, side, 3), dtype), np.zeros((side, side), dtype) if with_alpha else None
    )
    tracemalloc.start()
    try:
        assert sum(len(piece) for piece in encode_in_pieces(picture, "png")) > 1000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20  # the picture itself has 12 to 32 million bytes


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(161, 50), (8, 8), (3, 130), (16, 9)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_huge_jpeg_in_bands_is_as_one_in_one_piece(
    channels: int, height: int, width: int, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    alpha = noise(height, width, dtype=dtype) if width == 50 else None
    profile = colour.srgb_profile() if channels == 3 else b""
    picture = Picture(noise(height, width, channels, dtype=dtype), alpha, camera_exif(), profile)
    usual = encode_picture(picture, "jpg")
    monkeypatch.setattr(encoding, "_HUGE_BYTES", 1)
    monkeypatch.setattr(encoding, "_BAND_BYTES", 2000)
    huge = encode_picture(picture, "jpg")
    assert huge != usual
    with Image.open(io.BytesIO(huge)) as one, Image.open(io.BytesIO(usual)) as other:
        assert one.size == other.size == (width, height)
        assert one.info.get("icc_profile") == other.info.get("icc_profile")
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    assert exif_of(huge)[0x010F] == "Maker"
    assert read_picture(huge).pixels.shape == (height, width, channels)


def test_laying_a_large_picture_on_white_takes_little_more_than_the_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encoding, "_BAND_BYTES", 1 << 18)
    pixels, alpha = np.zeros((2000, 2000, 3), np.uint8), np.full((2000, 2000), 100, np.uint8)
    tracemalloc.start()
    try:
        made = on_white(pixels, alpha)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (made == 155).all()
    assert peak < 1.5 * pixels.nbytes


def test_webp_at_quality_100_is_lossless_even_under_transparency() -> None:
    pixels, alpha = noise(9, 8, 3), noise(9, 8)
    alpha[0] = 0
    picture = read_picture(encode_picture(Picture(pixels, alpha), "webp", quality=100))
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha, alpha)
    lossy = read_picture(encode_picture(Picture(pixels, alpha), "webp", quality=80))
    assert (lossy.pixels != pixels).any()


def test_jpegs_keep_full_colour_resolution_and_obey_quality() -> None:
    picture = Picture(noise(64, 64, 3), None)
    data = encode_picture(picture, "jpg")
    frame = data.index(b"\xff\xc0")
    assert [data[frame + 11 + 3 * number] for number in range(3)] == [0x11] * 3  # 4:4:4
    assert len(encode_picture(picture, "jpg", quality=40)) < len(data)


@pytest.mark.parametrize("format", ["jpg", "bmp"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_is_laid_on_white_where_the_format_has_none(format: str, dtype: type) -> None:
    top = np.iinfo(dtype).max
    pixels: Array = np.zeros((16, 48, 1), dtype)
    alpha: Array = np.repeat(np.array([[0, top // 2 + 1, top]], dtype), 16, axis=1).repeat(
        16, axis=0
    )
    shown = read_picture(encode_picture(Picture(pixels, alpha), format)).pixels[8, [8, 24, 40], 0]
    assert np.abs(shown.astype(int) - [255, 127, 0]).max() <= 2


def test_16_bits_are_rounded_to_8_not_cut() -> None:
    pixels = np.array([0, 128, 129, 257, 385, 386, 65406, 65407, 65535], np.uint16)
    data = encode_picture(Picture(pixels.reshape(1, -1, 1), None), "bmp")
    expected = np.rint(pixels / 257).astype(int).tolist()
    assert read_picture(data).pixels[0, :, 0].tolist() == expected


@pytest.mark.parametrize(("format", "limit"), [("jpg", "65,500"), ("webp", "16,383")])
def test_a_picture_too_long_for_its_format_is_refused(format: str, limit: str) -> None:
    with pytest.raises(ImageError, match=f"70,000×1: a {format} has at most {limit} pixels a side"):
        encode_picture(Picture(np.zeros((1, 70_000, 1), np.uint8), None), format)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ImageError, match="cannot be written as gif"):
        encode_picture(Picture(noise(2, 2, 3), None), "gif")


# What is refused


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_animations_are_refused(format: str) -> None:
    frames = [Image.new("RGB", (8, 8), (50 * n, 0, 0)) for n in range(3)]
    data = saved(frames[0], format, save_all=True, append_images=frames[1:])
    assert reason(data, name="a") == (
        "a: animated (3 frames); only still pictures can be translated"
    )


def test_pages_are_refused_but_not_a_smaller_version_of_the_page() -> None:
    page, preview = noisy(), Image.new("RGB", (8, 8))
    assert "2 pages in one TIFF" in reason(
        saved(page, "TIFF", save_all=True, append_images=[preview])
    )
    buffer = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(buffer, new=True) as file:
        page.save(file, "TIFF")
        file.newFrame()
        preview.save(file, "TIFF", tiffinfo={254: 1})
        data = buffer.getvalue()
    np.testing.assert_array_equal(read_picture(data).pixels, np.asarray(page))


def test_a_cameras_jpeg_with_a_preview_is_one_picture() -> None:
    data = saved(noisy(), "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    assert read_picture(data).pixels.shape == (64, 64, 3)


def bomb(side: int) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)))
    )


def test_a_decompression_bomb_is_refused_before_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def decoded(self: Any) -> None:
        raise AssertionError("was decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded)
    assert reason(bomb(60_000)) == f"more than {MAX_PIXELS:,} pixels, which is the most we decode"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as some programs do
    assert "60,000×60,000 pixels are more than" in reason(bomb(60_000))


def test_a_big_photograph_is_no_bomb() -> None:
    assert MAX_PIXELS >= 12_000 * 12_000
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        warnings.filterwarnings("ignore", module=r"PIL\.")  # as this module does once
        assert "truncated PNG" in reason(bomb(12_000))  # opened, and only then found too short
    assert not caught


# Damage


@pytest.mark.parametrize(
    ("name", "make", "expected"),
    [
        ("jpg", lambda: saved(noisy(), "JPEG"), "truncated JPEG (it ends after {half:,} bytes)"),
        (
            "png",
            lambda: saved(noisy(), "PNG"),
            "truncated PNG ({half:,} of at least {most:,} bytes",
        ),
        ("webp", lambda: saved(noisy(), "WEBP"), "truncated WebP ({half:,} of {all:,} bytes)"),
        ("bmp", lambda: saved(noisy(), "BMP"), "truncated BMP ({half:,} of {all:,} bytes)"),
        ("tiff", lambda: saved(noisy(), "TIFF"), "truncated TIFF (it ends after {half:,} bytes)"),
        ("gif", lambda: saved(noisy(), "GIF"), "truncated GIF (it ends after {half:,} bytes)"),
        (
            "png 16",
            lambda: encode_picture(Picture(noise(64, 64, 3, dtype=np.uint16), None), "png"),
            "truncated PNG ({half:,} of at least",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " (" not in value else "",
)
def test_a_truncated_file_says_so_with_its_sizes(
    name: str, make: Callable[[], bytes], expected: str, tmp_path: Path
) -> None:
    data = make()
    half = len(data) // 2
    path = tmp_path / f"a.{name}"
    path.write_bytes(data[:half])
    sizes = {"half": half, "all": len(data), "most": len(data) - 12}
    assert reason(path).startswith(f"{path}: " + expected.format(**sizes))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_damage_gives_anything_but_a_picture_or_one_line(data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from(SOUND)))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(whole)))
    try:
        picture = read_picture(bytes(whole[:cut]), name="x")
    except ImageError as error:
        text = str(error)
        assert text.startswith("x: ")
        assert text.count("x: ") == 1
        assert text.isprintable()
    else:
        assert picture.pixels.ndim == 3
        assert picture.pixels.dtype in (np.uint8, np.uint16)


SOUND = [
    saved(noisy(12), "JPEG", exif=camera_exif(6), icc_profile=colour.srgb_profile()),
    saved(noisy(12), "PNG", exif=camera_exif(3), icc_profile=colour.srgb_profile()),
    saved(noisy(12), "WEBP", exif=camera_exif(3)),
    saved(noisy(12), "GIF"),
    saved(noisy(12), "BMP"),
    encode_picture(Picture(noise(12, 9, 3, dtype=np.uint16), None, camera_exif()), "tiff"),
    encode_picture(Picture(noise(12, 9, 3, dtype=np.uint16), None, camera_exif()), "png"),
    encode_picture(Picture(noise(12, 9, 1), None), "tiff"),
]


def test_what_is_no_image_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("<html>not found — sorry</html>")
    (tmp_path / "bytes.png").write_bytes(bytes(range(256)))
    (tmp_path / "empty.png").touch()
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (tmp_path / "script.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    assert reason(tmp_path / "text.jpg").endswith("text.jpg: not an image but text (32 bytes)")
    assert reason(tmp_path / "bytes.png").endswith("bytes.png: not an image (256 bytes)")
    assert reason(tmp_path / "empty.png").endswith("empty.png: empty file")
    assert "HEIC cannot be read" in reason(tmp_path / "phone.heic")
    assert "not an image but text" in reason(tmp_path / "script.jpg")  # and no Ghostscript is run
    assert reason(tmp_path / "gone.jpg").endswith("gone.jpg: no such file or directory")
    assert reason(tmp_path).endswith(": is a directory")


def test_errors_name_the_picture_once() -> None:
    assert reason(b"", name="photos/bad.jpg") == "photos/bad.jpg: empty file"
    assert reason(b"") == "empty file"
    assert reason(Path("two\nlines.jpg")) == r"two\nlines.jpg: no such file or directory"


def test_a_file_that_may_not_be_read_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> bytes:  # the tests may run as root, whom no permission stops
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert reason(Path("a.jpg")) == "a.jpg: permission denied"


@pytest.mark.parametrize(
    "error",
    [SyntaxError("odd\nheader"), struct.error("x"), zlib.error("x"), OverflowError(), KeyError(1)],
)
def test_whatever_a_decoder_raises_becomes_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any) -> None:
        raise error

    data = saved(noisy(), "JPEG")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    assert reason(data, name="a.jpg").startswith("a.jpg: damaged JPEG: ")


def test_too_little_memory_is_a_failure_of_one_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any) -> None:
        raise MemoryError

    data = saved(noisy(), "JPEG")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    assert reason(data, name="a.jpg") == "a.jpg: not enough memory to decode it"


def test_without_opencv_16_bit_colour_is_read_in_8(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise(5, 4, 3, dtype=np.uint16)
    data = encode_picture(Picture(pixels, None), "png")
    monkeypatch.setitem(sys.modules, "cv2", None)
    np.testing.assert_array_equal(read_picture(data).pixels, (pixels >> 8).astype(np.uint8))


def test_reading_keeps_no_file_open_and_is_safe_in_threads(tmp_path: Path) -> None:
    paths = []
    for number, data in enumerate(SOUND * 4):
        path = tmp_path / f"{number}"
        path.write_bytes(data if number % 3 else data[: len(data) // 2])
        paths.append(path)

    def attempt(path: Path) -> Any:
        try:
            return read_picture(path).pixels.sum()
        except ImageError as error:
            return str(error)

    alone = [attempt(path) for path in paths]
    filters = list(warnings.filters)
    open_files = Path("/proc/self/fd")
    before = len(list(open_files.iterdir())) if open_files.exists() else 0
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert list(pool.map(attempt, paths)) == alone
    assert warnings.filters == filters
    if open_files.exists():
        assert len(list(open_files.iterdir())) <= before + 1


# Whole files


def test_a_file_is_written_with_its_folders_and_plain_permissions(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.png"
    write_atomic(path, b"data")
    assert path.read_bytes() == b"data"
    assert os.listdir(path.parent) == ["a.png"]
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert path.stat().st_mode == plain.stat().st_mode


@settings(max_examples=20, deadline=None)
@given(
    old=st.binary(max_size=20),
    new=st.binary(max_size=20),
    step=st.sampled_from(["write", "replace"]),
)
def test_when_writing_fails_the_old_file_stays_whole_and_nothing_is_left(
    old: bytes, new: bytes, step: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("out") / "a.png"
    path.write_bytes(old)

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device", "somewhere/else")

    class FullDisk(io.FileIO):
        def write(self, data: Any) -> int:
            super().write(bytes(data)[: len(data) // 2])
            full()
            return 0

    with pytest.MonkeyPatch.context() as patch:
        if step == "replace":
            patch.setattr(os, "replace", full)
        else:
            patch.setattr(Path, "open", lambda self, mode: FullDisk(self, mode))
        with pytest.raises(TranslateError) as caught:
            write_atomic(path, new)
    assert str(caught.value) == f"{path}: cannot be written: no space left on device"
    assert path.read_bytes() == old
    assert os.listdir(path.parent) == ["a.png"]


def test_an_interrupt_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "a.png", b"data")
    assert os.listdir(tmp_path) == []


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    contents = [bytes([n]) * 200_000 for n in range(4)]
    write_atomic(path, contents[0])
    done = threading.Event()
    seen: set[bytes] = set()

    def watch() -> None:
        while not done.is_set():
            seen.add(path.read_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(60):
        write_atomic(path, contents[number % 4])
    done.set()
    watcher.join()
    assert seen <= set(contents)


def test_a_name_too_long_or_a_file_for_a_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TranslateError, match="cannot be written: file name too long"):
        write_atomic(tmp_path / ("a" * 300), b"")
    (tmp_path / "file").touch()
    with pytest.raises(TranslateError, match=r"file/a\.png: cannot be written: "):
        write_atomic(tmp_path / "file" / "a.png", b"")


def test_pictures_are_read_without_torch() -> None:
    code = "import sys, translate.images.reading; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)


@pytest.mark.parametrize("name", [f"{'b' * 251}.jpg", f"{'馬' * 83}.jpg"])
def test_a_name_of_the_greatest_length_can_be_written(name: str, tmp_path: Path) -> None:
    write_atomic(tmp_path / name, b"whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]
