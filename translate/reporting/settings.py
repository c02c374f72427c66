"""The options of the runs as a table: what differs from the defaults or between runs stands out."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from translate.reporting.folder import RunFolder
from translate.reporting.markup import Html, tag
from translate.training.settings import TrainingSettings

_TABLES = {"options": "Method", "data": "Data", "training": "Training", "card": "Card"}


def options(runs: Sequence[RunFolder]) -> Html:
    """Return all options as resolved, a column for each run."""
    plans = [run.plan for run in runs]
    named = [name for name in _TABLES if any(name in plan for plan in plans)]
    rest = [{k: v for k, v in plan.items() if k not in _TABLES} for plan in plans]
    tables: list[tuple[str, Sequence[object]]] = [("Run", rest)]
    tables += [(_TABLES[name], [plan.get(name) for plan in plans]) for name in named]
    return tag(
        "div",
        tag("p", _note(alone=len(runs) == 1), class_="note"),
        tag("div", *(_table(title, parts, runs) for title, parts in tables), class_="tables"),
    )


def environment(runs: Sequence[RunFolder]) -> Html | None:
    """Return what the runs ran on, where they say."""
    if not any(run.environment for run in runs):
        return None
    table = _table("Environment", [_as_typed(run.environment) for run in runs], runs)
    return tag("div", table, class_="tables")


def _as_typed(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the environment with its command as a shell takes it."""
    command = environment.get("command")
    if not isinstance(command, list):
        return dict(environment)
    return {**environment, "command": shlex.join(map(str, command))}


def _note(*, alone: bool) -> str:
    if alone:
        return "Marked: training options that are not the defaults."
    return "Marked: what differs between the runs."


def _table(title: str, parts: Sequence[object], runs: Sequence[RunFolder]) -> Html:
    columns = [flat(part) if isinstance(part, Mapping) else {} for part in parts]
    defaults = _defaults() if title == _TABLES["training"] and len(runs) == 1 else None
    rows = []
    if len(runs) > 1:
        names = (tag("th", run.name, scope="col") for run in runs)
        rows.append(tag("tr", tag("th"), *names))
    for key in dict.fromkeys(key for column in columns for key in column):
        values = [column.get(key, "") for column in columns]
        if any(values):  # empty ones only fill the page
            rows.append(_row(key, values, defaults))
    return tag("table", tag("caption", title), *rows)


def _row(key: str, values: Sequence[str], defaults: Mapping[str, str] | None) -> Html:
    usual = None if defaults is None else defaults.get(key, "not set")
    marked = len(set(values)) > 1 or (usual is not None and values[0] != usual)
    cells = [tag("td", value) for value in values]
    note = [tag("td", f"default {usual}", class_="note")] if marked and usual is not None else []
    head = tag("th", key, scope="row")
    return tag("tr", head, *cells, *note, class_="marked" if marked else None)


def _defaults() -> dict[str, str]:
    return flat(TrainingSettings().model_dump(mode="json"))


def flat(values: Mapping[str, Any], group: str = "") -> dict[str, str]:
    """Return groups as dotted names, and values as ``--set`` takes them; None is "".

    >>> flat({"a": {"b": [1, 2]}, "c": None, "d": "x"})
    {'a.b': '[1, 2]', 'c': '', 'd': 'x'}
    """
    texts: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            texts |= flat(value, f"{group}{key}.")
        elif value is None:
            texts[group + key] = ""
        else:
            texts[group + key] = value if isinstance(value, str) else json.dumps(value)
    return texts
