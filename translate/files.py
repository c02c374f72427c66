"""Files: their formats by name, and what is said of them in one line."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
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
_PART = re.compile(r"(\..+\.)\d+\.part", re.DOTALL)
_ABANDONED_S = 3600  # after which nobody is writing to a file any more


def part_of(path: Path) -> Path:
    """Return the temporary file that stands beside ``path`` while this process writes it."""
    return path.with_name(f"{_stem_of(path)}{os.getpid()}.part")


def _stem_of(path: Path) -> str:
    name = os.fsencode(path.name)
    if len(name) + len("..4194304.part") > _LONGEST_NAME:
        return f".{hashlib.sha256(name).hexdigest()}."
    return f".{path.name}."


def parts_left(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the temporary files of ``paths`` that processes which were killed have left behind."""
    stems: dict[Path, set[str]] = {}
    for path in paths:
        stems.setdefault(path.parent, set()).add(_stem_of(path))
    for folder, known in stems.items():
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                found = _PART.fullmatch(entry.name)
                ours = found is not None and found[1] in known and entry.is_file()
                if ours and time.time() - entry.stat().st_mtime > _ABANDONED_S:
                    yield folder / entry.name


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
