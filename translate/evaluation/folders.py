"""Where inputs and targets lie: two sides, as pairs where their names match, else as two sets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from translate.errors import UsageError
from translate.evaluation.data import Case, EvaluationSet
from translate.evaluation.measure import Pixels
from translate.files import show
from translate.method import Export
from translate.pipeline.files import image_files

_SIDES = ("A", "B")


def find(
    folders: Sequence[Path],
    export: Export,
    compare: Literal["pairs", "sets"] | None = None,
    side: Literal["A", "B"] | None = None,
) -> EvaluationSet:
    """Return the pictures that a model of that export is tried on.

    Args:
        folders: one with testA and testB (or A and B) in it, or two: inputs, then targets.
        export: says which side it reads and which it should come to look like.
        compare: None: pairs where any two names match, whatever their suffixes, else sets.
        side: which it is to read, where the user says so.

    Raises:
        UsageError: if the folders do not hold that.
    """
    inputs, targets = _sides(folders, side or _side(export.reads.get("image")) or "A")
    left, right = image_files(inputs), image_files(targets)
    matching = {_stem(inputs, path) for path in left} & {_stem(targets, path) for path in right}
    if compare == "sets" or (compare is None and not matching):
        return EvaluationSet(
            "sets",
            [Case(show(path.relative_to(inputs)), path) for path in left],
            right,
            described=f"{len(left)} inputs in {show(inputs)}, "
            f"{len(right)} real pictures in {show(targets)}",
        )
    where = f"{show(inputs)} and {show(targets)}"
    if not matching:
        raise UsageError(f"{where}: no picture of one has the name of one of the other")
    partners = _by_stem(targets, right)
    pairs = {stem: path for stem, path in _by_stem(inputs, left).items() if stem in matching}
    return EvaluationSet(
        "pairs",
        [Case(show(p.relative_to(inputs)), p, partners[stem]) for stem, p in pairs.items()],
        baselines={"input unchanged": _unchanged},
        described=f"{len(pairs)} pairs of {where}",
        unmatched=[
            show(path)
            for side, files in ((inputs, left), (targets, right))
            for path in files
            if _stem(side, path) not in matching
        ],
    )


def _unchanged(pixels: Pixels) -> Pixels:
    return pixels


def _sides(folders: Sequence[Path], reads: str) -> tuple[Path, Path]:
    """Return the folders of the inputs, which are side ``reads``, and of the targets."""
    for folder in folders:
        if not os.path.isdir(folder):
            raise UsageError(f"--data {show(folder)}: no such folder")
    if len(folders) == 2:
        return folders[0], folders[1]
    if len(folders) != 1:
        raise UsageError(f"--data: {len(folders)} folders; give one with testA and testB, or two")
    other = _SIDES[1 - _SIDES.index(reads)]
    for prefix in ("test", ""):
        pair = folders[0] / f"{prefix}{reads}", folders[0] / f"{prefix}{other}"
        if all(map(os.path.isdir, pair)):
            return pair
    raise UsageError(
        f"--data {show(folders[0])}: needs the folders testA and testB inside, or A and B; "
        "or give --data twice, first the inputs and then the targets"
    )


def _side(field: str | None) -> str | None:
    """Return the side that a training field is of; None where its name does not say."""
    return field.upper() if field is not None and field.upper() in _SIDES else None


def _stem(folder: Path, path: Path) -> str:
    """Return a picture's place in its folder without its suffix."""
    return path.relative_to(folder).with_suffix("").as_posix()


def _by_stem(folder: Path, files: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in files:
        other = found.setdefault(_stem(folder, path), path)
        if other != path:
            raise UsageError(f"{show(other)} and {show(path)}: two pictures for one pair")
    return found
