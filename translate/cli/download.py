"""``translate download``: fetch published models before they are needed."""

from __future__ import annotations

import click

from translate.cli.fetching import fetched
from translate.cli.parameters import ModelName
from translate.files import show
from translate.host import the_host


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", type=ModelName())
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def download(names: tuple[str, ...], quiet: bool) -> None:
    """Download published models, to be there when they are needed.

    'translate models' lists them as available. Each is checked against what its plugin's catalogue
    says of it before anything reads it. Using one downloads it, too.
    """
    for name in names:
        here = the_host().known_model(name).kind != "available"
        entry = fetched(name, quiet=quiet)
        if not quiet:
            what = "is here already" if here else "wrote"
            click.echo(f"{name}: {what}{':' if here else ''} {show(entry.path)}", err=True)
