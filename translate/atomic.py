"""Files that are whole or not there: written beside their place, then moved into it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from translate.errors import TranslateError, UsageError
from translate.files import part_of, show, system_reason


def new_file(path: Path, *, overwrite: bool) -> Path:
    """Return where a file goes.

    Raises:
        UsageError: if there is one already, or a folder.
    """
    if os.path.isdir(path):  # which, unlike the path's own, is quiet where a name is too long
        raise UsageError(f"{show(path)}: is a folder; name a file in it")
    if os.path.exists(path) and not overwrite:
        raise UsageError(f"{show(path)}: exists; add --overwrite to replace it")
    return path


def sweep(parts: Iterable[Path]) -> None:
    """Delete temporary files; what is written in the place of one that stays will say so."""
    for part in parts:
        with contextlib.suppress(OSError):
            part.unlink()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of ``path`` once it is whole and on the disk.

    Raises:
        TranslateError: if it cannot be written; what stood at ``path`` is untouched.
    """
    part = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Not tempfile, whose files only their owner may read.
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
    except (OSError, ValueError, RuntimeError) as error:
        # torch's writer of archives wraps a full disk in an error of its own.
        cause = error.__context__ if isinstance(error, RuntimeError) else error
        if not isinstance(cause, OSError | ValueError):
            raise
        reason = system_reason(cause)
    else:
        return
    raise TranslateError(f"{show(path)}: cannot be written: {reason}")


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, with its parents, so that no half of it ever has that name.

    Raises:
        TranslateError: as ``replacing`` does.
    """
    with replacing(path) as file:
        file.write(data)
