"""Files: their formats by name, and what is said of them in one line."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

# Which files in a folder count as images. HEIC is listed although it cannot be read: a phone's
# photographs that are silently left out would be missed later; that they fail is seen at once.
SUFFIXES: Mapping[str, str] = MappingProxyType(
    {
        ".jpg": "jpg",
        ".jpeg": "jpg",
        ".jpe": "jpg",
        ".jfif": "jpg",
        ".png": "png",
        ".apng": "png",
        ".webp": "webp",
        ".tif": "tiff",
        ".tiff": "tiff",
        ".bmp": "bmp",
        ".dib": "bmp",
        ".gif": "gif",
        ".avif": "avif",
        ".heic": "heic",
        ".heif": "heic",
        ".jp2": "jp2",
        ".j2k": "jp2",
        ".jpx": "jp2",
        ".ppm": "ppm",
        ".pgm": "ppm",
        ".pbm": "ppm",
        ".pnm": "ppm",
    }
)

WRITABLE = ("png", "jpg", "webp", "tiff", "bmp")

_LONGEST_NAME = 255  # bytes, on nearly every file system


def part_of(path: Path) -> Path:
    """Return the temporary file that stands beside ``path`` while it is being written."""
    name = os.fsencode(path.name)
    if len(name) + len("..part") > _LONGEST_NAME:
        return path.with_name(f".{hashlib.sha256(name).hexdigest()}.part")
    return path.with_name(f".{path.name}.part")


def show(path: str | os.PathLike[str]) -> str:
    r"""Return ``path`` in one printable line: what cannot be printed becomes an escape.

    >>> show("two\nlines.jpg")
    'two\\nlines.jpg'
    >>> show("latin-\udce9.jpg")  # the byte E9 in a name that is not UTF-8
    'latin-\\xe9.jpg'
    """
    return "".join(c if c.isprintable() else _escape(c) for c in os.fspath(path))


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python carries a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def megabytes(count: int) -> str:
    """Return a number of bytes as it is told to people.

    >>> megabytes(67_040_989), megabytes(2_504_012)
    ('64 MB', '2.4 MB')
    """
    size = count / 2**20
    return f"{size:.0f} MB" if size >= 10 else f"{size:.1f} MB"


def system_reason(error: BaseException) -> str:
    """Return what the system says of a file, without the path that callers print themselves."""
    if isinstance(error, MemoryError):
        return "not enough memory"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text[:1].lower() + text[1:]
