"""Which captions belong to which picture: text files, tables and JSON lines."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translate import UsageError
from translate.pipeline import image_files
from translate_datasets.pairing import by_stem, some

Captions = dict[Path, tuple[str, ...]]  # of each picture, in a fixed order
Wanted = Mapping[str, str | Sequence[str]]  # values of columns

_LISTS = tuple(f"{name}{end}" for name in ("captions", "metadata") for end in (".csv", ".jsonl"))
_FILE_COLUMNS = ("file", "file_name", "filename", "image", "path")
_CAPTION_COLUMNS = ("caption", "captions", "text", "description", "name")
_TEXTS = ("text", "captions")  # folders of text files, beside ``images``


@dataclass(frozen=True)
class Found:
    """What there is, and what lacks its partner.

    Attributes:
        captions: of each picture, one or more.
        bare: pictures without a caption.
        lost: captions without a picture.
    """

    captions: Captions
    bare: Sequence[str]
    lost: Sequence[str]


def captions_in(folders: Sequence[Path], *, column: str | None, where: Wanted) -> Found:
    """Return the pictures that have captions.

    Args:
        folders: a list (CSV, or JSON lines), a folder with a list in it, or a folder of pictures
            with text files, either beside the pictures or in ``images`` and ``text``; or the
            folder of pictures, and then that of texts or the list.
        column: of a list, the one with captions; None: by its usual names.
        where: which rows of a list count: their values by column.

    Raises:
        UsageError: if there is nothing of that kind, or a file cannot be understood.
    """
    pictures, captions = _places(folders)
    if captions.is_file():
        return _listed(captions, pictures, column, where)
    for name, given in (("where", where), ("captions_from", column)):
        if given:
            raise UsageError(f"data.{name}: {captions} has text files, and no list with columns")
    return _beside(pictures, captions)


def refuse_missing(found: Found, where: str) -> None:
    """Raise a UsageError that lists what lacks its partner, if anything does."""
    reasons = []
    for what, lacks, names in (
        ("picture", "no caption", found.bare),
        ("caption", "no picture", found.lost),
    ):
        if names:
            count = f"{len(names):,} {what}{'s have' if len(names) > 1 else ' has'} {lacks}"
            reasons.append(f"{count}: {some(names)}")
    if reasons:
        way_out = "data.allow_missing=true goes on without"
        raise UsageError(f"{where}: {'; '.join(reasons)}; {way_out}")


def _places(folders: Sequence[Path]) -> tuple[Path, Path]:
    """Return the folder of pictures, and the folder of text files or the list."""
    for path in folders:
        if not path.exists():
            raise UsageError(f"--data {path}: no such folder, nor a list of captions")
    lists, inside = [p for p in folders if p.is_file()], [p for p in folders if p.is_dir()]
    match len(inside), len(lists):
        case 0, 1:
            return lists[0].parent, lists[0]
        case 1, 1:
            return inside[0], lists[0]
        case 2, 0:
            return inside[0], inside[1]
        case 1, 0:
            return _inside(inside[0])
    raise UsageError(
        f"--data: {len(folders)} places; give a folder of pictures with their captions, or the "
        "pictures and then the captions"
    )


def _inside(folder: Path) -> tuple[Path, Path]:
    for name in _LISTS:
        if (folder / name).is_file():
            return folder, folder / name
    for name in _TEXTS:
        if (folder / "images").is_dir() and (folder / name).is_dir():
            return folder / "images", folder / name
    return folder, folder


def _beside(pictures: Path, texts: Path) -> Found:
    """Match pictures and text files, which have one caption a line, by their names."""
    files, captions = by_stem(pictures), dict(_text_files(texts))
    if not captions:
        raise UsageError(
            f"{texts}: no captions; needs a text file (.txt) for each picture, or a list called "
            f"{' or '.join(_LISTS)}"
        )
    lines = {stem: _unique(_lines(file)) for stem, file in captions.items()}
    return Found(
        {file: lines[stem] for stem, file in files.items() if lines.get(stem)},
        [str(file) for stem, file in files.items() if not lines.get(stem)],
        [str(file) for stem, file in captions.items() if stem not in files],
    )


def _text_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the text files under a folder, hidden ones left out, by place and name."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(".txt") and not name.startswith("."):
                file = Path(place, name)
                yield str(file.relative_to(folder).with_suffix("")), file


def _lines(file: Path) -> list[str]:
    # No splitlines(), for which some characters of captions end a line.
    return _read(file).replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: not UTF-8 at byte {error.start:,}; save it as UTF-8") from None
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error})") from None


def _listed(file: Path, pictures: Path, column: str | None, where: Wanted) -> Found:
    """Read a list; a picture may have several rows."""
    rows = list(_json_rows(file) if file.suffix.lower() == ".jsonl" else _csv_rows(file))
    columns = list(dict.fromkeys(name for _, row in rows for name in row))
    names = _column(file, columns, _FILE_COLUMNS, "pictures")
    texts = _column(file, columns, (column,) if column else _CAPTION_COLUMNS, "captions")
    for name in where:
        _column(file, columns, (name,), "that name")
    places = _Places(pictures)
    captions: dict[Path, list[str]] = {}
    lost = []
    for number, row in rows:
        if not all(_text(row.get(name)) in _several(value) for name, value in where.items()):
            continue
        if not (name := _text(row.get(names))):
            raise UsageError(f"{file}: line {number} names no picture")
        picture = places.find(name, f"{file}: line {number}")
        if picture is None:
            lost.append(f"{name} (line {number})")
        else:
            captions.setdefault(picture, []).extend(_captions(row.get(texts), file, number))
    unique = {picture: _unique(given) for picture, given in captions.items()}
    return Found(
        {picture: given for picture, given in unique.items() if given},
        [str(picture) for picture, given in unique.items() if not given],
        lost,
    )


class _Places:
    """Finds the pictures that a list names: from a folder on, or by name alone anywhere in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._named: dict[str, list[Path]] | None = None

    def find(self, name: str, row: str) -> Path | None:
        """Return where a picture is, or None.

        Raises:
            UsageError: if there are several of that name.
        """
        # Path's own is_file() raises where a name is too long, such as a caption in its place.
        if os.path.isfile(self.folder / name):
            return self.folder / name
        if self._named is None:
            self._named = {}
            for file in image_files(self.folder):
                self._named.setdefault(file.name, []).append(file)
        found = self._named.get(name, [])
        if len(found) > 1:
            inside = " and ".join(str(file.relative_to(self.folder)) for file in found[:2])
            raise UsageError(
                f"{row}: {name} may be {inside}; give --data twice, for the folder of pictures "
                "and for the list"
            )
        return found[0] if found else None


def _csv_rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(_lines_kept(file), strict=True)
    try:
        heading = [name.strip() for name in next(reader, [])]
        for row in reader:
            if row:
                yield reader.line_num, dict(zip(heading, row, strict=False))
    except csv.Error as error:
        raise UsageError(f"{file}: line {reader.line_num}: no CSV ({error})") from None


def _lines_kept(file: Path) -> list[str]:
    """Return the lines with their ends, since a quoted caption may have several."""
    lines = [f"{line}\n" for line in _lines(file)]
    return lines[:-1] if lines[-1] == "\n" else lines


def _json_rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_lines(file), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{file}: line {number}: no JSON ({error})") from None
        if not isinstance(row, dict):
            raise UsageError(f"{file}: line {number}: no object with names, but {line.strip():.40}")
        yield number, row


def _column(file: Path, columns: Sequence[str], names: Sequence[str], what: str) -> str:
    """Return which column has one of these names, whatever its case."""
    known = {column.casefold(): column for column in reversed(columns)}
    for name in names:
        if name.casefold() in known:
            return known[name.casefold()]
    there = f"there are {some(columns)}" if columns else "it is empty"
    raise UsageError(f"{file}: no column of {what} ({' or '.join(names)}); {there}")


def _captions(value: Any, file: Path, number: int) -> list[str]:
    given = value if isinstance(value, list) else [value]
    captions = [_text(one) for one in given]
    for caption in captions:
        try:
            caption.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{file}: line {number}: half a character in a caption") from None
    return captions


def _text(value: Any) -> str:
    """Return a value of a row as text: nothing for what is not there."""
    if isinstance(value, str) or value is None:
        return (value or "").strip()
    return json.dumps(value, ensure_ascii=False)


def _several(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value


def _unique(captions: Iterable[str]) -> tuple[str, ...]:
    """Return captions, each once, without those that are empty."""
    return tuple(dict.fromkeys(filter(None, (caption.strip() for caption in captions))))
