"""``translate models``, ``methods``, ``datasets`` and ``measures``: what there is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from translate.cli.parameters import DatasetName, MeasureName, MethodName
from translate.cli.tables import print_json, print_options, print_table
from translate.files import megabytes
from translate.host import the_host
from translate.registry import ModelEntry

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
        if as_json:
            print_json(kind.Options.model_json_schema())
            return
        print_options(kind.Options, title="train --set")
        print_options(kind.RunOptions, title="run --set")
        return
    entries = the_host().methods.values()
    if as_json:
        print_json([asdict(entry) for entry in entries])
        return
    print_table(
        ("METHOD", "DATA", "FROM", "SUMMARY"),
        [(e.name, e.data, e.plugin, e.summary) for e in entries],
    )


@click.command()
@click.argument("dataset", required=False, type=DatasetName())
@as_json
def datasets(dataset: str | None, as_json: bool) -> None:
    """List the readers of training data, or what one can be told."""
    if dataset is not None:
        kind = the_host().load_dataset(dataset)
        if as_json:
            print_json(kind.Options.model_json_schema())
            return
        print_options(kind.Options, title="train --set data.")
        return
    entries = the_host().datasets.values()
    if as_json:
        print_json([asdict(entry) for entry in entries])
        return
    print_table(
        ("DATASET", "KIND", "FROM", "SUMMARY"),
        [(e.name, e.kind, e.plugin, e.summary) for e in entries],
    )


@click.command()
@click.argument("measure", required=False, type=MeasureName())
@as_json
def measures(measure: str | None, as_json: bool) -> None:
    """List the measures, or what one can be told."""
    if measure is not None:
        kind = the_host().measure(measure).load()
        if as_json:
            print_json(kind.Options.model_json_schema())
            return
        print_options(kind.Options, title=f"evaluate --set {measure}.")
        return
    entries = the_host().measures.values()
    if as_json:
        print_json([asdict(entry) for entry in entries])
        return
    print_table(
        ("MEASURE", "COMPARES", "FROM", "SUMMARY"),
        [(e.name, e.compares, e.plugin, e.summary) for e in entries],
    )
