"""``translate report``: a page on training runs."""

from __future__ import annotations

from pathlib import Path

import click

from translate.errors import UsageError
from translate.files import show
from translate.reporting.page import write_report


@click.command(short_help="Write a page on a training run: curves, pictures, options.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    "output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The page.  [default: RUN/report.html]",
)
def report(runs: tuple[Path, ...], output: Path | None) -> None:
    """Write a page on a training run, as it is now: alarms, curves, sample grids, options.

    The page is one HTML file that needs nothing else. Several runs are laid over one another.
    """
    if output is None:
        if len(runs) > 1:
            raise UsageError("-o FILE: say where the page on several runs goes")
        output = runs[0] / "report.html"
    write_report(runs, output)
    click.echo(f"report: {show(output)}", err=True)
