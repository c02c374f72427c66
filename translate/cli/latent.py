"""What ``translate walk`` and ``translate mix`` share: options, the model, the file written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from translate.atomic import write_atomic
from translate.cli.fetching import fetched, offline_option, reads_pictures
from translate.errors import UsageError
from translate.files import WRITABLE, show
from translate.host import the_host
from translate.inference.plan import read_target
from translate.model import Header, read_header
from translate.options import parse_assignments

if TYPE_CHECKING:
    from translate.images import Picture
    from translate.inference.generator import Generator

_OPTIONS = (
    click.option(
        "--seed",
        type=click.IntRange(0),
        help="Of points that name none.  [default: a random one, printed]",
    ),
    click.option("-o", "--out", metavar="FILE", type=click.Path(path_type=Path)),
    click.option("--overwrite", is_flag=True, help="Replace FILE if it exists."),
    click.option(
        "--truncation",
        type=click.FloatRange(0, 1, min_open=True),
        default=1.0,
        help="Below 1, pictures are more usual and vary less.",
    ),
    click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="KEY=VALUE",
        help="A run-time option of the model's method.",
    ),
    click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda[:N]|mps"),
    click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors."),
)


def latent_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that both commands have."""
    command = offline_option(command)
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def header_of(model: str, *, quiet: bool) -> tuple[str, Header, Path]:
    """Return a model's name, what it says of itself, and its file; it may be downloaded for that.

    Raises:
        UsageError: if it starts from a picture.
    """
    entry = the_host().known_model(model)
    if reads_pictures(entry):
        raise UsageError(
            f"model {entry.name}: starts from image; only what starts from a code can be walked "
            "through and mixed"
        )
    fetched(model, quiet=quiet)
    return entry.name, read_header(entry.path), entry.path


def open_generator(
    path: Path, *, assignments: tuple[str, ...], device: str, truncation: float
) -> Generator:
    """Return the model, ready; this imports torch."""
    from translate.bundle import load_bundle
    from translate.inference.generator import Generator

    settings = parse_assignments(assignments)
    return Generator(load_bundle(path), settings=settings, device=device, truncation=truncation)


def sheet_format(path: Path) -> str:
    """Return the format that a sheet's name asks for.

    Raises:
        UsageError: if it asks for none.
    """
    format = read_target(str(path), "keep")[1]
    if format not in WRITABLE:
        raise UsageError(f"-o {show(path)}: end the name in .{', .'.join(WRITABLE)}")
    return format


def write_sheet(path: Path, format: str, pictures: list[Picture], columns: int) -> None:
    """Write pictures as rows of one.

    Raises:
        TranslateError: if it cannot be written.
    """
    from translate.images import encode_picture
    from translate.inference.generator import sheet

    write_atomic(path, encode_picture(sheet(pictures, columns), format))


def say(text: str, *, quiet: bool) -> None:
    """Print a line on standard error."""
    if not quiet:
        click.echo(text, err=True)
