"""Which file belongs to which: how a paired data set finds its pairs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from translate import UsageError
from translate.pipeline import image_files

_SHOWN = 5  # names in one error message


def pairs_in(
    folders: Sequence[Path], *, allow_missing: bool
) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Return the pairs, in a fixed order, and the names of what has no partner.

    Args:
        folders: a folder with trainA and trainB inside, two folders, or a CSV file whose first
            two columns name the pictures of each pair, from its own folder on.

    Raises:
        UsageError: if there are none, or one lacks its partner and that is not allowed.
    """
    if len(folders) == 1 and folders[0].is_file():
        pairs, missing = _listed(folders[0])
    else:
        pairs, missing = _matched(*_two(folders))
    where = " and ".join(map(str, folders))
    if missing and not allow_missing:
        count = f"{len(missing)} picture{'s have' if len(missing) > 1 else ' has'} no partner"
        way_out = "data.allow_missing=true goes on without"
        raise UsageError(f"{where}: {count}: {some(missing)}; {way_out}")
    if not pairs:
        raise UsageError(f"{where}: no two pictures belong together")
    return pairs, missing


def single_pictures(folders: Sequence[Path]) -> list[Path]:
    """Return the pictures of one folder, or of its ``train`` where it has that.

    Raises:
        UsageError: if there is not one folder, or no picture in it.
    """
    if len(folders) != 1:
        raise UsageError(f"--data: {len(folders)} folders; pairs in single pictures come from one")
    [folder] = folders
    if not folder.is_dir():
        raise UsageError(f"--data {folder}: no such folder")
    return training_pictures(folder)


def training_pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder, or of its ``train`` where it has that.

    Raises:
        UsageError: if there is none.
    """
    return image_files(folder / "train" if (folder / "train").is_dir() else folder)


def held_out_pairs(folders: Sequence[Path]) -> Sequence[Path]:
    """Return where ``pairs_in`` is to look for what a model is tried on.

    In one folder that is testA and testB, else A and B, else what it trains on.

    Raises:
        UsageError: if the folder has none of them.
    """
    if len(folders) != 1 or not folders[0].is_dir():
        return folders
    [folder] = folders
    for prefix in ("test", "", "train"):
        sides = folder / f"{prefix}A", folder / f"{prefix}B"
        if all(side.is_dir() for side in sides):
            return sides
    raise UsageError(
        f"--data {folder}: needs the folders testA and testB inside, or A and B; give --data "
        "twice, or a CSV file of pairs, or say with data.pairs how they come"
    )


def held_out_pictures(folders: Sequence[Path]) -> Sequence[Path]:
    """Return where ``single_pictures`` is to look: in ``test`` or ``val``, if a folder has it."""
    if len(folders) != 1:
        return folders
    inside = [folders[0] / name for name in ("test", "val")]
    return [place for place in inside if place.is_dir()][:1] or folders


def _two(folders: Sequence[Path]) -> tuple[Path, Path]:
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"--data {folder}: no such folder, nor a CSV file of pairs")
    if len(folders) == 2:
        return folders[0], folders[1]
    if len(folders) != 1:
        raise UsageError(f"--data: {len(folders)} folders; give one with trainA and trainB, or two")
    a, b = folders[0] / "trainA", folders[0] / "trainB"
    if not (a.is_dir() and b.is_dir()):
        raise UsageError(
            f"--data {folders[0]}: needs the folders trainA and trainB inside; give --data twice, "
            "or a CSV file of pairs, or say with data.pairs how they come"
        )
    return a, b


def _matched(a: Path, b: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Match two folders' pictures by name, whatever their suffixes."""
    lefts, rights = by_stem(a), by_stem(b)
    pairs = [(lefts[stem], rights[stem]) for stem in lefts if stem in rights]
    missing = [str(file) for stem, file in lefts.items() if stem not in rights]
    missing += [str(file) for stem, file in rights.items() if stem not in lefts]
    return pairs, missing


def by_stem(folder: Path) -> dict[str, Path]:
    """Return a folder's pictures by place and name without suffix.

    Raises:
        UsageError: if there is none, or two differ in their suffix alone.
    """
    found: dict[str, Path] = {}
    for file in image_files(folder):
        stem = str(file.relative_to(folder).with_suffix(""))
        if stem in found:
            raise UsageError(f"{file}: {found[stem].name} has the same name; keep one of them")
        found[stem] = file
    return found


def _listed(file: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Read a CSV file's pairs; its first line is a heading."""
    try:
        with file.open(newline="", encoding="utf-8") as opened:
            rows = list(csv.reader(opened))[1:]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{file}: cannot be read as a CSV file ({error})") from None
    pairs, missing = [], list[str]()
    for number, row in enumerate(filter(None, rows), 2):
        if len(row) < 2:
            raise UsageError(f"{file}: line {number} does not name two pictures")
        a, b = (file.parent / name for name in row[:2])
        absent = [one for one in (a, b) if not one.is_file()]
        missing += map(str, absent)
        if not absent:
            pairs.append((a, b))
    return pairs, missing


def some(names: Iterable[str]) -> str:
    """Return the first few of some names, and how many more there are."""
    first, *rest = names
    more = len(rest) + 1 - _SHOWN
    return ", ".join([first, *rest][:_SHOWN]) + (f" and {more} more" if more > 0 else "")
