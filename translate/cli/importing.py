"""``translate import``: make a model of another project's checkpoint."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", required=True, help="What the model will be called.")
@click.option("--half", is_flag=True, help="Store the weights in 16 bits: half the size.")
@click.option("--overwrite", is_flag=True, help="Replace your own model of that name.")
@click.option("--summary", default="", help="One line for 'translate models'.")
@click.option("--licence", default="", help="The terms that the weights are under.")
@click.option("--source", default="", help="Where the checkpoint comes from, such as its address.")
def import_(
    file: Path, name: str, half: bool, overwrite: bool, summary: str, licence: str, source: str
) -> None:
    """Make a model of another project's checkpoint.

    FILE is a checkpoint of PyTorch, a safetensors file, or a model of translate from elsewhere.
    No code in it is ever run. What it is, plugins tell by its keys and shapes.

    \b
    translate import latest_net_G.pth --name mine
    """
    from translate.importing import import_checkpoint  # torch

    said = {"summary": summary, "licence": licence, "source": source}
    card = {key: value for key, value in said.items() if value}
    done = import_checkpoint(file, name, half_precision=half, overwrite=overwrite, card=card)
    click.echo(f"{name}: {done.described}; wrote {done.path}", err=True)
