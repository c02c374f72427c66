"""Arrays of bytes in the IDX files of MNIST and its relatives, zipped or not."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from translate import TranslateError

_BYTES = 0x08  # the type code of unsigned bytes
_LARGEST = 4 * 2**30  # bytes; a small file could claim, and unpack to, anything


def shape_of(path: Path) -> tuple[int, ...]:
    """Return the shape that a file's header claims, reading no more than that.

    Raises:
        TranslateError: if it is no IDX file of bytes.
    """
    return _read(path, whole=False).shape


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the array in an IDX file.

    Raises:
        TranslateError: if it is no IDX file of bytes, is cut short, or holds more than it claims.

    Source: LeCun, Cortes and Burges, "The MNIST database", section on file formats.
    """
    return _read(path, whole=True)


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    """Write an array of bytes as an IDX file."""
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(bytes([0, 0, _BYTES, array.ndim]) + sizes + array.tobytes())


def _read(path: Path, *, whole: bool) -> NDArray[np.uint8]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            magic = file.read(4)
            if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] != _BYTES or not magic[3]:
                raise TranslateError(f"{path}: not an IDX file of bytes")
            sizes = file.read(4 * magic[3])
            if len(sizes) < 4 * magic[3]:
                raise TranslateError(f"{path}: cut short within its header")
            shape = struct.unpack(f">{magic[3]}I", sizes)
            count = math.prod(shape)
            if count > _LARGEST:
                raise TranslateError(f"{path}: claims {count:,} bytes, more than {_LARGEST:,}")
            if not whole:
                return np.broadcast_to(np.zeros((), np.uint8), shape)
            data = file.read(count + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise TranslateError(f"{path}: cannot be read ({error})") from None
    if len(data) != count:
        found = "more" if len(data) > count else f"{len(data):,}"
        raise TranslateError(f"{path}: claims {count:,} bytes, but holds {found}")
    return np.frombuffer(data, np.uint8).reshape(shape)
