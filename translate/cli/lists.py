"""``translate models``, ``methods``, ``datasets`` and ``measures``: what there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import click

from translate.cli.parameters import DatasetName, MeasureName, MethodName
from translate.cli.tables import print_json, print_options, print_table
from translate.files import megabytes
from translate.host import the_host
from translate.options import Settings
from translate.registry import DatasetEntry, MeasureEntry, MethodEntry, ModelEntry

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")


@click.command()
@as_json
def models(as_json: bool) -> None:
    """List the models."""
    entries = the_host().models.values()
    if as_json:
        print_json([_facts(entry) for entry in entries])
        return
    print_table(
        ("MODEL", "METHOD", "KIND", "FROM", "SUMMARY"),
        [(e.name, e.method, _kind(e), e.plugin or "you", e.problem or e.summary) for e in entries],
    )


def _facts(entry: ModelEntry) -> dict[str, Any]:
    published = entry.published.model_dump(mode="json") if entry.published else None
    return {**asdict(entry), "kind": entry.kind, "published": published}


def _kind(entry: ModelEntry) -> str:
    """Return where a model is; of one that is to be downloaded, how much that is."""
    if entry.kind == "available" and entry.published is not None:
        return f"available, {megabytes(entry.published.size)}"
    return entry.kind


@click.command()
@click.argument("method", required=False, type=MethodName())
@as_json
def methods(method: str | None, as_json: bool) -> None:
    """List the methods that train models, or what one can be told."""
    if method is not None:
        kind = the_host().load_method(method)
        options = {"train --set": kind.Options, "run --set": kind.RunOptions}
        _print_options(options, as_json=as_json)
        return
    head = {"METHOD": "name", "DATA": "data", "FROM": "plugin", "SUMMARY": "summary"}
    _print_entries(the_host().methods.values(), head, as_json=as_json)


@click.command()
@click.argument("dataset", required=False, type=DatasetName())
@as_json
def datasets(dataset: str | None, as_json: bool) -> None:
    """List the readers of training data, or what one can be told."""
    if dataset is not None:
        options = {"train --set data.": the_host().load_dataset(dataset).Options}
        _print_options(options, as_json=as_json)
        return
    head = {"DATASET": "name", "KIND": "kind", "FROM": "plugin", "SUMMARY": "summary"}
    _print_entries(the_host().datasets.values(), head, as_json=as_json)


@click.command()
@click.argument("measure", required=False, type=MeasureName())
@as_json
def measures(measure: str | None, as_json: bool) -> None:
    """List the measures, or what one can be told."""
    if measure is not None:
        options = {f"evaluate --set {measure}.": the_host().measure(measure).load().Options}
        _print_options(options, as_json=as_json)
        return
    head = {"MEASURE": "name", "COMPARES": "compares", "FROM": "plugin", "SUMMARY": "summary"}
    _print_entries(the_host().measures.values(), head, as_json=as_json)


def _print_entries(
    entries: Iterable[MethodEntry | DatasetEntry | MeasureEntry],
    head: Mapping[str, str],
    *,
    as_json: bool,
) -> None:
    """Print what there is: of people's table, each heading with the field below it."""
    if as_json:
        print_json([asdict(entry) for entry in entries])
    else:
        rows = [[getattr(entry, field) for field in head.values()] for entry in entries]
        print_table(list(head), rows)


def _print_options(kinds: Mapping[str, type[Settings]], *, as_json: bool) -> None:
    """Print what one can be told, under where it is told; of JSON, the first alone."""
    if as_json:
        print_json(next(iter(kinds.values())).model_json_schema())
        return
    for title, kind in kinds.items():
        print_options(kind, title=title)
