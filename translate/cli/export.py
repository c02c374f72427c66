"""``translate export``: a model as a file, to pass on or for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from translate.cli.fetching import fetched, offline_option
from translate.cli.parameters import ModelName
from translate.errors import UsageError
from translate.exporting.target import SUFFIXES, copy_bundle, settle
from translate.files import show
from translate.host import the_host
from translate.model import read_header
from translate.options import build, parse_assignments


@click.command()
@click.argument("model", type=ModelName())
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--to",
    "format",
    type=click.Choice(list(SUFFIXES)),
    help="A bundle is for translate, onnx for other programs.  [default: as FILE ends; bundle]",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="For onnx: a run-time option of the model's method, which the file then keeps.",
)
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@offline_option
def export(
    model: str,
    file: Path | None,
    format: str | None,
    assignments: tuple[str, ...],
    overwrite: bool,
) -> None:
    """Write a model to FILE: a bundle to pass on, or ONNX for other programs.

    ONNX takes pictures of any size, (N, 3, H, W) in [0, 1], and is compared with PyTorch before it
    is written.

    \b
    translate export horse2zebra zebra.safetensors
    translate export horse2zebra --to onnx
    """
    name = the_host().known_model(model).name
    format, file = settle(name, file, format, overwrite=overwrite)
    if format == "bundle" and assignments:
        raise UsageError("--set is for --to onnx; a bundle keeps no run-time options")
    path = fetched(model, quiet=False).path
    header = read_header(path)
    if format == "bundle":
        copy_bundle(path, file)
        said = ""
    else:
        from translate.bundle import load_bundle  # torch
        from translate.exporting.onnx import export_onnx

        loaded = load_bundle(path)
        options = type(loaded.method).RunOptions
        settings = build(options, parse_assignments(assignments), what=header.method)
        difference = export_onnx(loaded, file, name=name, settings=settings)
        said = f"; at most {difference:.1e} of the range from PyTorch"
    size = f"{file.stat().st_size:,} bytes"
    click.echo(
        f"{name}: wrote {show(file)} ({size}){said}; licence: {header.card.licence}", err=True
    )
