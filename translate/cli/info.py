"""``translate info``: what a bundle says of itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from translate.cli.parameters import ModelName
from translate.files import show
from translate.host import the_host
from translate.model import read_header


@click.command()
@click.argument("model", type=ModelName(), metavar="MODEL|FILE")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
def info(model: str, as_json: bool) -> None:
    """Show what a model is and where it comes from."""
    entry = the_host().known_model(model)
    facts: dict[str, Any] = {"name": entry.name, "kind": entry.kind, "plugin": entry.plugin}
    if entry.kind == "available" and entry.published is not None:
        facts |= entry.published.model_dump(mode="json")
        facts["bytes"] = facts.pop("size")
    else:
        facts |= {"path": str(entry.path), "bytes": entry.path.stat().st_size}
        facts |= read_header(entry.path).model_dump(mode="json")
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    lines = list(_lines(facts))
    width = max(len(show(name)) for name, _ in lines)
    for name, value in lines:
        click.echo(f"{show(name):{width}}  {show(value)}")


def _lines(facts: Mapping[str, Any], group: str = "") -> Iterator[tuple[str, str]]:
    """Yield what is known, one name and value a line; groups become dotted names."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _lines(value, f"{group}{name}.")
        elif value not in (None, "", []):
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            yield group + name, f"{value:,}" if name == "bytes" else text
