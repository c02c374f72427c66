"""What the command line names, and the images in its folders."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from translate.errors import UsageError
from translate.files import SUFFIXES, show

_SHOWN = 5  # names in one error message


@dataclass(frozen=True)
class Input:
    """One thing named on the command line."""

    text: str
    path: Path | None  # None: standard input
    is_folder: bool = False


def read_inputs(inputs: Sequence[str]) -> list[Input]:
    """Return what is named, each once.

    Raises:
        UsageError: naming all that do not exist.
    """
    named: dict[str, Input] = {}
    missing = []
    for text in inputs:
        if text == "-":
            named.setdefault(text, Input(text, None))
        elif not text or not os.path.exists(text):
            missing.append(text)
        else:
            path = Path(text)
            named.setdefault(identity(path), Input(text, path, path.is_dir()))
    if missing:
        raise UsageError(f"no such file or folder: {listed(missing)}")
    return list(named.values())


def identity(path: Path | None) -> str:
    """Return one text for all spellings of a path; two links to one file stay two."""
    if path is None:
        return "-"
    if path.name in ("", ".."):
        return os.path.realpath(path)
    return os.path.join(os.path.realpath(path.parent), path.name)


def images_in(
    one: Input, output_folders: set[str], recursive: bool, notes: list[str]
) -> Iterator[Path | None]:
    """Yield the images of an input in sorted order, never out of an output folder."""
    if one.path is None or not one.is_folder:
        yield one.path
        return

    def unreadable(error: OSError) -> None:
        folder = Path(error.filename)
        if folder == one.path:
            raise UsageError(f"{show(folder)}: {error.strerror}")
        notes.append(f"{show(folder)}: left aside: {error.strerror}")

    found: list[Path] = []
    for folder, subfolders, names in os.walk(one.path, onerror=unreadable):
        inner = [Path(folder, name) for name in subfolders if recursive and name[0] != "."]
        inner = [path for path in inner if os.path.realpath(path) not in output_folders]
        notes.extend(
            f"{show(path)}: left aside: a link to a folder" for path in inner if path.is_symlink()
        )
        subfolders[:] = [path.name for path in inner]
        found.extend(Path(folder, name) for name in names if _counts_as_image(folder, name))
    yield from sorted(found, key=lambda path: path.parts)


def _counts_as_image(folder: str, name: str) -> bool:
    if name.startswith(".") or os.path.splitext(name)[1].lower() not in SUFFIXES:
        return False
    try:
        return stat.S_ISREG(os.stat(os.path.join(folder, name)).st_mode)
    except OSError:  # a broken link: an image is missing, which its failure will say
        return True


def listed(names: Iterable[str | os.PathLike[str]], between: str = ", ") -> str:
    """Return the first few names for an error message, and how many more there are."""
    shown = [show(name) for name in names]
    more = len(shown) - _SHOWN
    return between.join(shown[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
