"""``translate remove``: delete one of the user's own or downloaded models."""

from __future__ import annotations

import click

from translate.cli.parameters import ModelName
from translate.host import the_host


@click.command()
@click.argument("name", type=ModelName())
def remove(name: str) -> None:
    """Delete one of your own or downloaded models."""
    click.echo(f"removed {the_host().remove(name)}", err=True)
