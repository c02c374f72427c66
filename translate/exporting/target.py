"""Where an export goes, and as what; nothing here imports torch."""

from __future__ import annotations

import shutil
from pathlib import Path

from translate.atomic import new_file, replacing
from translate.errors import UsageError
from translate.files import show
from translate.model import SUFFIX, Header, read_header

SUFFIXES = {"bundle": SUFFIX, "onnx": ".onnx"}


def settle(
    name: str, file: Path | None, format: str | None, *, overwrite: bool = False
) -> tuple[str, Path]:
    """Return the format and the file of an export.

    Args:
        name: the model's, which names the file where nobody does.
        format: of ``SUFFIXES``; None: as the file's name says, else a bundle.

    Raises:
        UsageError: if the two contradict each other, or something is in the way.
    """
    if file is None:
        format = format or "bundle"
        file = Path(name + SUFFIXES[format])
    found = [one for one, suffix in SUFFIXES.items() if suffix == file.suffix.lower()]
    new_file(file, overwrite=True)
    if not found:
        known = " or ".join(SUFFIXES.values())
        raise UsageError(f"{show(file)}: the name of what is exported ends in {known}")
    if format and format != found[0]:
        raise UsageError(
            f"{show(file)}: --to {format} writes a file that ends in {SUFFIXES[format]}"
        )
    return found[0], new_file(file, overwrite=overwrite)


def copy_bundle(source: Path, file: Path) -> Header:
    """Write a model's bundle to another file, whole or not at all, and return its header.

    Raises:
        BundleError: if it is no whole bundle.
        TranslateError: if it cannot be written; what stood there is untouched.
    """
    header = read_header(source)
    with source.open("rb") as bundle, replacing(file) as copy:
        shutil.copyfileobj(bundle, copy)
    return header
