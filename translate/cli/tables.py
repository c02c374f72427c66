"""What the lists print: aligned columns for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from translate.files import show
from translate.options import Settings


def print_json(things: Any) -> None:
    """Print anything as JSON; paths become text."""
    click.echo(json.dumps(things, indent=2, default=str))


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their headings, in columns as wide as they need to be."""
    # What a file says of itself may hold anything, but a cell is text on one line.
    table = [head, *([show(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def print_options(kind: type[Settings], *, title: str) -> None:
    """Print what a set of options has, with defaults and meaning."""
    rows = list(_rows(kind))
    if rows:
        print_table((title, "DEFAULT", "MAY BE", "MEANS"), rows)


def _rows(kind: type[Settings], group: str = "") -> Iterator[tuple[str, str, str, str]]:
    for name, field in kind.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Settings):
            yield from _rows(inner, f"{group}{name}.")
        else:
            default = (
                ""
                if field.is_required()
                else _as_typed(field.get_default(call_default_factory=True, validated_data={}))
            )
            yield group + name, default, _bounds(field), field.description or ""


def _as_typed(value: Any) -> str:
    """Return a value as ``--set`` takes it."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _bounds(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return "|".join(map(str, get_args(field.annotation)))
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return ", ".join(
        f"{sign} {getattr(bound, name)}"
        for bound in field.metadata
        for name, sign in signs.items()
        if getattr(bound, name, None) is not None
    )
