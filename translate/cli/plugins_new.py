"""``translate plugins new``: a package to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from translate.scaffold import new_plugin, next_steps


@click.command()
@click.argument("name")
@click.option(
    "--folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Where to put it; the current folder unless given.",
)
def new(name: str, folder: Path) -> None:
    """Write a new plugin with a method called NAME: the package translate-NAME.

    It installs, passes its own tests and trains as it is; then it is yours to change.

    \b
    translate plugins new denoise
    """
    project = new_plugin(name, folder)
    click.echo(project)
    click.echo(f"\n{next_steps(name, project)}", err=True)
