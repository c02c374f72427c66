"""Why a picture could not be read or written, in words for its owner."""

from __future__ import annotations

import codecs
import struct

_BEGINNINGS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"BM": "BMP",
}
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF"} | dict.fromkeys(
    (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"), "HEIC"
)


def reason(error: Exception, data: bytes) -> str:
    """Return one line on why ``data``, which is not empty, could not be decoded."""
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    kind = _kind(data)
    have = len(data)
    if kind == "HEIC":
        return "HEIC cannot be read; save it as JPEG or PNG first"
    if kind is None and "cannot identify" in str(error):
        return f"not an image{' but text' if _is_text(data) else ''} ({have:,} bytes)"

    least, known = _announced_size(data, kind)
    if least > have:
        of = f"{least:,}" if known else f"at least {least:,}"
        return f"truncated {kind} ({have:,} of {of} bytes)"
    text = " ".join(str(error).split()) or type(error).__name__
    signs = ("truncated", "not enough image data", "unexpected end")
    if any(sign in text.lower() for sign in signs):
        return f"truncated {kind or 'image'} (it ends after {have:,} bytes)"
    if "cannot identify" in text:  # Pillow would print the address of our buffer
        return f"a damaged {kind}, or of a sort that cannot be read ({have:,} bytes)"
    return f"damaged {kind or 'image'}: {text[:200]}"


def _kind(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12])
    return next((kind for start, kind in _BEGINNINGS.items() if data.startswith(start)), None)


def _is_text(data: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(data[:200])
    except UnicodeDecodeError:
        return False
    return "".join(text.split()).isprintable()


def _announced_size(data: bytes, kind: str | None) -> tuple[int, bool]:
    """Return the least size the file says it has, and whether that is its whole size."""
    try:
        if kind == "WebP":
            return struct.unpack_from("<I", data, 4)[0] + 8, True
        if kind == "BMP":
            return struct.unpack_from("<I", data, 2)[0], True
        if kind == "TIFF" and data[2:4] in (b"*\0", b"\0*"):
            order = "<" if data[:2] == b"II" else ">"
            return struct.unpack_from(f"{order}I", data, 4)[0], False
        if kind == "PNG":
            return _end_of_last_chunk(data), False
    except struct.error:
        pass
    return 0, False


def _end_of_last_chunk(data: bytes) -> int:
    place = 8
    while place < len(data):
        length, chunk = struct.unpack_from(">I4s", data, place)
        place += 12 + length
        if chunk == b"IEND":
            break
    return place
