"""The plan: what is read and what is written, settled before any work is done. Paths only."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from translate.errors import UsageError
from translate.files import SUFFIXES, WRITABLE, parts_left, show
from translate.inference.listing import Input, identity, images_in, listed, read_inputs

__all__ = ["Item", "Plan", "Request", "Source", "make_plan", "show", "stale_parts"]


@dataclass(frozen=True)
class Request:
    """A picture that is to be made of no picture.

    Args:
        name: as shown to the user: a class or a prompt, or nothing.
        seed: what else it depends on.
        value: the class's number, or the prompt; None: nothing but the seed.
    """

    name: str
    seed: int
    value: str | int | None = None


@dataclass(frozen=True)
class Source:
    """What one output is made from.

    Args:
        name: as shown to the user: a path, ``-`` for standard input, or what was asked for.
        path: the file; None for standard input and for requests.
        requests: what is on the output, if it is made of no picture: more than one is a sheet.
        columns: of a sheet.
    """

    name: str
    path: Path | None = None
    requests: tuple[Request, ...] = ()
    columns: int = 1


@dataclass(frozen=True)
class Item:
    """One output: where it goes (None is standard output), its format, and whether it is made."""

    source: Source
    output: Path | None
    format: str
    action: Literal["write", "skip"] = "write"


@dataclass(frozen=True)
class Plan:
    """All outputs of one command, in order, and notes on what was left aside."""

    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()

    @property
    def to_write(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.action == "write")

    @property
    def existing(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.action == "skip")


@dataclass(frozen=True)
class Target:
    """What ``-o`` says: a folder, one file, standard output, or nothing."""

    kind: Literal["beside", "folder", "file", "stdout"]
    path: Path = Path()


def make_plan(
    inputs: Sequence[str],
    model: str,
    *,
    out: str | None = None,
    format: str = "keep",
    overwrite: bool = False,
    recursive: bool = True,
) -> Plan:
    """Return what ``translate MODEL INPUT...`` will read and write.

    No output's name depends on which other inputs there are, so that the same command run again
    finds what it has made and goes on from there.

    Args:
        inputs: files, folders and ``-``.
        model: what default names end in.
        out: a folder, a file, or ``-``.
        format: ``keep`` or one of ``WRITABLE``.

    Raises:
        UsageError: before anything is done, if the command cannot be carried out as it stands.
    """
    if not inputs:
        raise UsageError(f"model {model}: no input given; name pictures, folders, or -")
    target, format = read_target(out, format)
    items, notes = _plan_images(inputs, as_word(model), target, format, overwrite, recursive)
    return settled(items, target, notes, overwrite=overwrite)


def settled(
    items: list[Item], target: Target, notes: Sequence[str] = (), *, overwrite: bool
) -> Plan:
    """Return the plan of items, once it is known that each can be written.

    Raises:
        UsageError: if one cannot, or two have one place.
    """
    _refuse_clashes(items)
    _refuse_files_as_folders(items)
    return Plan(tuple(_with_actions(items, target, overwrite)), tuple(notes))


def as_word(model: str) -> str:
    """Return a model's name, which may be a path, as a part of file names."""
    return re.sub(r"[/\\]+", "-", model)


def stale_parts(plan: Plan) -> tuple[Path, ...]:
    """Return the temporary files that a killed run has left beside this plan's outputs."""
    return tuple(parts_left(item.output for item in plan.items if item.output is not None))


# Where outputs go


def read_target(out: str | None, format: str) -> tuple[Target, str]:
    """Return where outputs go, and their format where that is known from it.

    Raises:
        UsageError: if there is no such format, or the two contradict each other.
    """
    if format != "keep" and format not in WRITABLE:
        raise UsageError(f"--format {format}: not one of keep, {', '.join(WRITABLE)}")
    target = _read_out(out)
    if target.kind == "file":
        format = _format_of_out_file(target.path, format)
    return target, format


def _read_out(out: str | None) -> Target:
    if out is None:
        return Target("beside")
    if out == "-":
        return Target("stdout")
    if not out:
        raise UsageError("-o: the path is empty")
    path = Path(out)
    ends_in_slash = out.endswith(("/", os.sep))
    if os.path.isdir(path) or ends_in_slash or not path.suffix:
        if os.path.exists(path) and not os.path.isdir(path):
            raise UsageError(f"-o {show(out)}: is a file, and its name has no image suffix")
        return Target("folder", path)
    return Target("file", path)


def _format_of_out_file(path: Path, format: str) -> str:
    known = SUFFIXES.get(path.suffix.lower())
    if known not in WRITABLE:
        problem = "cannot be written" if known else "is no image format"
        raise UsageError(
            f"-o {show(path)}: {show(path.suffix)} {problem}; end the name in one of "
            f"{', '.join(f'.{name}' for name in WRITABLE)}, or in / for a folder"
        )
    if format not in ("keep", known):
        raise UsageError(f"-o {show(path)} and --format {format} contradict each other")
    return known


def _output_format(path: Path | None, format: str) -> tuple[str, str]:
    """Return the format and the suffix of what is made from the image ``path``."""
    suffix = path.suffix if path is not None else ""
    own = SUFFIXES.get(suffix.lower(), "")
    if format == "keep":
        format = own if own in WRITABLE else "png"
    return format, suffix if own == format else f".{format}"


def _stem(path: Path) -> str:
    # "scan.2024" and "scan.2025" are two names; "a.jpg" is the name "a".
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


# From images


def _plan_images(
    inputs: Sequence[str],
    model: str,
    target: Target,
    format: str,
    overwrite: bool,
    recursive: bool,
) -> tuple[list[Item], list[str]]:
    named = read_inputs(inputs)
    _refuse_many_for_one(named, target)
    roots = {one: _output_root(one, model, target, alone=len(named) == 1) for one in named}
    folders = [root for root in roots.values() if root is not None]
    if target.kind == "folder":
        folders.append(target.path)
    output_folders = {os.path.realpath(folder) for folder in folders}
    notes: list[str] = []
    items: dict[str, Item] = {}  # by identity of the input: the same one twice is done once
    for one in named:
        found = 0
        for path in images_in(one, output_folders, recursive, notes):
            found += 1
            output, made = _output_of(one, path, roots[one], model, target, format)
            name = "-" if path is None else show(path)
            items.setdefault(identity(path), Item(Source(name, path), output, made))
        if not found:
            notes.append(f"{show(one.text)}: no image in it")
    if not items:
        raise UsageError(f"no image found in {listed(one.text for one in named)}")
    kept = list(items.values())
    if target.kind == "beside" and not overwrite:
        kept = _leave_results_aside(kept, {one.path for one in named}, notes)
    _refuse_outputs_that_are_inputs(kept)
    return kept, notes


def _refuse_many_for_one(named: list[Input], target: Target) -> None:
    if target.kind not in ("file", "stdout"):
        return
    where = "-o -" if target.kind == "stdout" else f"-o {show(target.path)}"
    for one in named:
        if one.is_folder:
            raise UsageError(f"{where} takes one image, and {show(one.text)} is a folder")
    if len(named) > 1:
        raise UsageError(f"{where} takes one image, and {len(named)} were given; name a folder")


def _output_root(one: Input, model: str, target: Target, *, alone: bool) -> Path | None:
    """Return the folder that what is made from an input goes into; None if it names no folder."""
    if target.kind == "folder" and (alone or not one.is_folder):
        root = target.path
    elif not one.is_folder or one.path is None:
        return None
    else:
        folder = one.path if one.path.name not in ("", "..") else one.path.resolve()
        if not folder.name:
            raise UsageError(f"{show(one.text)}: choose an output folder with -o")
        if target.kind == "folder":
            root = target.path / folder.name
        else:
            root = folder.with_name(f"{folder.name}-{model}")
    if one.is_folder and os.path.realpath(root) == os.path.realpath(one.path or root):
        raise UsageError(f"-o {show(root)}: the output folder is the input folder; choose another")
    return root


def _output_of(
    one: Input, path: Path | None, root: Path | None, model: str, target: Target, format: str
) -> tuple[Path | None, str]:
    """Return where the image ``path``, found in the input ``one``, goes, and in which format."""
    made, suffix = _output_format(path, format)
    if target.kind == "file":
        return target.path, made
    if target.kind == "stdout" or (path is None and root is None):
        return None, made
    if path is None:
        return (root or Path()) / f"stdin{suffix}", made
    if root is None:
        return path.with_name(f"{_stem(path)}-{model}{suffix}"), made
    inside = path.relative_to(one.path).parent if one.is_folder and one.path else Path()
    return root / inside / f"{_stem(path)}{suffix}", made


def _leave_results_aside(
    items: list[Item], named: set[Path | None], notes: list[str]
) -> list[Item]:
    """Leave out the results of an earlier run that ``translate MODEL *.jpg`` names as inputs."""
    made = {
        os.path.realpath(item.output): item.source.name
        for item in items
        if item.output is not None and item.source.path in named
    }
    kept = []
    for item in items:
        path = item.source.path
        origin = made.get(os.path.realpath(path)) if path is not None else None
        if origin is None:
            kept.append(item)
        else:
            notes.append(f"{item.source.name}: left aside as what was made from {origin}")
    return kept


# What is refused


def _refuse_outputs_that_are_inputs(items: list[Item]) -> None:
    inputs = {os.path.realpath(item.source.path) for item in items if item.source.path is not None}
    wrong = [
        item.output
        for item in items
        if item.output is not None and os.path.realpath(item.output) in inputs
    ]
    if wrong:
        raise UsageError(f"would overwrite an input: {listed(wrong)}; choose another -o")


def _refuse_clashes(items: list[Item]) -> None:
    """Refuse two inputs for one output; renaming one would make names depend on neighbours."""
    groups: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for item in items:
        if item.output is not None:
            path = os.path.abspath(item.output)
            groups[unicodedata.normalize("NFC", path.casefold())].append((path, item.source.name))
    for group in groups.values():
        paths = {path for path, _ in group}
        # Differing only in case, or in how an accent is composed, is one name on some systems.
        if len(group) > len(paths) or (
            len(paths) > 1 and any(_ignores_case(os.path.dirname(path)) for path in paths)
        ):
            raise UsageError(
                f"{listed((name for _, name in group), ' and ')} would become one file, "
                f"{show(os.path.relpath(group[0][0]))}; rename one, or run them apart"
            )


def _refuse_files_as_folders(items: list[Item]) -> None:
    """Refuse outputs that could only be written inside of a file."""
    for folder in dict.fromkeys(item.output.parent for item in items if item.output is not None):
        # What is not there yet is made.
        there = next((place for place in (folder, *folder.parents) if os.path.exists(place)), None)
        if there is not None and not os.path.isdir(there):
            raise UsageError(
                f"{show(there)}: is a file, where a folder is to be written; choose another -o"
            )


def _ignores_case(folder: str) -> bool:
    """Return whether the file system that ``folder`` is or will be on takes A and a for one."""
    while True:
        parent, name = os.path.split(folder)
        if not name:
            return False
        if os.path.exists(folder) and name.swapcase() != name:
            swapped = os.path.join(parent, name.swapcase())
            return os.path.exists(swapped) and os.path.samefile(folder, swapped)
        folder = parent


def _with_actions(items: list[Item], target: Target, overwrite: bool) -> Iterator[Item]:
    for item in items:
        # Not Path.is_file, which raises where a name is too long: that is one picture's failure.
        exists = item.output is not None and os.path.isfile(item.output)
        if exists and not overwrite and target.kind == "file":
            raise UsageError(f"-o {show(target.path)}: exists; add --overwrite to replace it")
        yield replace(item, action="skip" if exists and not overwrite else "write")
