"""``translate report``: a page on training runs."""

from __future__ import annotations

from pathlib import Path

import click

from translate.atomic import new_file
from translate.errors import UsageError
from translate.files import show
from translate.reporting.page import write_report


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    "output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The page.  [default: RUN/report.html, which is replaced]",
)
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
def report(runs: tuple[Path, ...], output: Path | None, overwrite: bool) -> None:
    """Write a page on a training run, as it is now: alarms, curves, sample grids, options.

    The page is one HTML file that needs nothing else. Several runs are laid over one another.
    """
    if output is None:
        if len(runs) > 1:
            raise UsageError("-o FILE: say where the page on several runs goes")
        output = runs[0] / "report.html"
    else:
        new_file(output, overwrite=overwrite)
    write_report(runs, output)
    click.echo(f"report: {show(output)}", err=True)
