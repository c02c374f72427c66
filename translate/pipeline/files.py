"""Which files of a folder are pictures."""

from __future__ import annotations

import os
from pathlib import Path

from translate.errors import UsageError
from translate.files import SUFFIXES


def image_files(folder: Path) -> list[Path]:
    """Return the pictures under ``folder``, hidden ones left out, in a fixed order.

    Raises:
        UsageError: if there is none.
    """
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(place, name)
            for name in sorted(names)
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
        ]
    if not found:
        raise UsageError(f"{folder}: no pictures in it")
    return found
