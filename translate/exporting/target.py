"""Where an export goes, and as what; nothing here imports torch."""

from __future__ import annotations

import shutil
from pathlib import Path

from translate.atomic import replacing
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
    if file.is_dir():
        raise UsageError(f"{show(file)} is a folder; name a file in it")
    if not found:
        known = " or ".join(SUFFIXES.values())
        raise UsageError(f"{show(file)}: the name of what is exported ends in {known}")
    if format and format != found[0]:
        raise UsageError(
            f"{show(file)}: --to {format} writes a file that ends in {SUFFIXES[format]}"
        )
    if file.exists() and not overwrite:
        raise UsageError(f"{show(file)} exists; --overwrite replaces it")
    return found[0], file


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
