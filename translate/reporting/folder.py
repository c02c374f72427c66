"""A run's folder as it is now: finished, going on or killed; what is missing is left out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from translate.errors import UsageError
from translate.files import show, system_reason

_LARGEST = 1e300  # of the numbers that are shown: room for the arithmetic of an axis


@dataclass(frozen=True)
class Alarm:
    """What looked wrong, and when."""

    images: int
    name: str
    text: str


@dataclass(frozen=True)
class Curve:
    """One scalar of the log: finite values, and the training images they were logged after."""

    images: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, images: int, value: float) -> None:
        """Add a point at the end."""
        self.images.append(images)
        self.values.append(value)


@dataclass(frozen=True)
class RunFolder:
    """What is in a run's folder.

    Attributes:
        name: the folder's.
        plan: options.json: method, folders, options, data, training, card.
        curves: the log's scalars, by their keys.
        unread: lines of the log that are damaged; a killed run cuts the last one.
        logged: when the log was last written, in seconds since the epoch.
        grids: sample grids by training images.
        snapshots: folders of snapshots by training images.
    """

    path: Path
    name: str
    plan: Mapping[str, Any]
    curves: Mapping[str, Curve]
    alarms: Sequence[Alarm]
    unread: int
    logged: float | None
    grids: Mapping[int, Path]
    snapshots: Mapping[int, Path]
    recipe: str
    environment: Mapping[str, Any]


def read_run(path: Path) -> RunFolder:
    """Return what is in the run's folder ``path``.

    Raises:
        UsageError: if it is no run's folder.
    """
    curves: dict[str, Curve] = {}
    alarms: list[Alarm] = []
    unread = 0
    plan = _plan(path)
    for line in _lines(path / "log.jsonl"):
        if line is None:
            unread += 1
        elif "alarm" in line:
            alarms.append(Alarm(line["images"], str(line["alarm"]), str(line.get("text", ""))))
        else:
            for key, value in line.items():
                if key != "images" and _is_finite(value):
                    curves.setdefault(key, Curve()).add(line["images"], value)
    return RunFolder(
        path=path,
        name=show(path.resolve().name),
        plan=plan,
        curves=curves,
        alarms=alarms,
        unread=unread,
        logged=_modified(path / "log.jsonl"),
        grids=_numbered(path / "samples", ".png"),
        snapshots=_numbered(path / "snapshots", ""),
        recipe=_text(path / "recipe.toml"),
        environment=_object(_text(path / "environment.json")) or {},
    )


def _plan(path: Path) -> dict[str, Any]:
    file = path / "options.json"
    try:
        plan = _object(file.read_bytes().decode())
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"{show(path)}: no run (it has no options.json); name the folder that "
            "'translate train' was given with --out"
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{show(file)}: cannot be read: {system_reason(error)}") from None
    if plan is None:
        raise UsageError(f"{show(file)}: not a run's options")
    return plan


def _lines(path: Path) -> Iterator[dict[str, Any] | None]:
    """Yield the log's lines, None for a damaged one; a run that has no log yet has no lines."""
    try:
        with path.open("rb") as file:
            for line in file:
                values = _object(line.decode(errors="replace"))
                images = (values or {}).get("images")
                yield values if isinstance(images, int) and 0 <= images < _LARGEST else None
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{show(path)}: cannot be read: {system_reason(error)}") from None


def _object(text: str) -> dict[str, Any] | None:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _is_finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _LARGEST and not math.isnan(value)


def _numbered(folder: Path, suffix: str) -> dict[int, Path]:
    """Return what is in a folder by the number that its name is, in order."""
    try:
        found = [path for path in folder.iterdir() if path.suffix == suffix]
    except OSError:
        return {}
    numbers = {int(path.stem): path for path in found if path.stem.isdecimal()}
    return dict(sorted(numbers.items()))


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
