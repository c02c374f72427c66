"""Files that are whole or not there: written beside their place, then moved into it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from translate.errors import TranslateError
from translate.files import part_of, show, system_reason


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
