"""translate MODEL INPUT...: translate a picture, a folder, or standard input."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Any, Literal

import click
from click.core import ParameterSource

from translate.atomic import sweep
from translate.cli.fetching import fetched, offline_option, reads_pictures
from translate.cli.making import Running, Telling, Wanted, make_of_no_picture
from translate.cli.parameters import ModelName
from translate.cli.report import Report, print_plan, refuse_what_does_not_fit_on_stdout
from translate.errors import UsageError
from translate.files import WRITABLE
from translate.host import the_host
from translate.inference.plan import make_plan, stale_parts
from translate.inference.requests import read_prompts
from translate.interrupts import Interrupts
from translate.model import read_header
from translate.options import parse_assignments

# Options that mean something for some models only.
_FOR_PICTURES = {
    "recursive": "--recursive",
    "size": "--size",
    "tile": "--tile",
    "strip": "--strip",
    "batch_size": "--batch-size",
    "workers": "--workers",
}
_FOR_NO_PICTURE = {
    "prompts": "--prompts",
    "count": "--count",
    "grid": "--grid",
    "truncation": "--truncation",
}


class Size(click.ParamType):  # type: ignore[type-arg]  # generic only for the type checker
    """``working``, ``native``, or pixels."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value in ("working", "native"):
            return value
        try:
            pixels = int(value)
        except ValueError:
            self.fail(f"{value!r} is neither working, native nor a number of pixels", param, ctx)
        if pixels < 1:
            self.fail("at least 1 pixel", param, ctx)
        return pixels


@click.command()
@click.argument("model", type=ModelName())
@click.argument("inputs", nargs=-1, metavar="INPUT...", type=click.Path())
@click.option(
    "-o",
    "--out",
    metavar="PATH",
    help="Folder, file, or - for standard output. Default: beside the input.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["keep", *WRITABLE]),
    default="keep",
    show_default=True,
    help="Of the files written.",
)
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    default=95,
    show_default=True,
    help="Of JPEG and WebP.",
)
@click.option(
    "--overwrite/--skip-existing",
    default=False,
    help="What to do where the output exists.  [default: skip]",
)
@click.option(
    "--recursive/--no-recursive", default=True, help="Folders inside folders.  [default: yes]"
)
@click.option(
    "--size",
    type=Size(),
    default="working",
    show_default=True,
    metavar="working|native|N",
    help="Larger pictures are translated at N×N pixels and keep their own detail.",
)
@click.option(
    "--tile",
    type=click.IntRange(1),
    metavar="PIXELS",
    help="Sides of the parts that a large picture runs in; less memory, same outcome.  "
    "[default: what is fast and fits]",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="A run-time option of the model's method; 'translate methods METHOD' lists them.",
)
@click.option("--strip", is_flag=True, help="Drop EXIF, with the place and time in it.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    help="Of random numbers.  [default: 0; a random one, printed, where no picture is read]",
)
@click.option(
    "--prompts",
    metavar="FILE",
    help="Prompts or classes, one a line, after those that are named; - for standard input.",
)
@click.option(
    "--count",
    type=click.IntRange(1, 100_000),
    default=1,
    help="Pictures of each class or prompt, or of noise, from --seed on.",
)
@click.option("--grid", is_flag=True, help="All of them on one sheet.")
@click.option(
    "--truncation",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    help="Below 1, pictures are more usual and vary less.",
)
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda[:N]|mps")
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    show_default=True,
    help="auto: bf16 where the device is fast at it.",
)
@click.option("--batch-size", type=click.IntRange(1, 1024), help="Pictures run at once.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Threads that read, and as many that write.",
)
@offline_option
@click.option("-n", "--dry-run", is_flag=True, help="Print what would be written, and stop.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first picture that fails.")
@click.option("--json", "as_json", is_flag=True, help="One object a picture on standard output.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("-v", "--verbose", is_flag=True, help="Print a line for every picture.")
def run(
    model: str,
    inputs: tuple[str, ...],
    out: str | None,
    format_: str,
    quality: int,
    overwrite: bool,
    recursive: bool,
    size: int | Literal["working", "native"],
    tile: int | None,
    assignments: tuple[str, ...],
    strip: bool,
    seed: int | None,
    prompts: str | None,
    count: int,
    grid: bool,
    truncation: float,
    device: str,
    precision: str,
    batch_size: int | None,
    workers: int,
    dry_run: bool,
    fail_fast: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Translate each INPUT (a picture, a folder, or - for standard input) with MODEL.

    MODEL is a name that 'translate models' lists, or a model's file. Where it starts from a class
    or a prompt, that is the INPUT; where it starts from noise, there is none.

    \b
    translate horse2zebra photos/                writes photos-horse2zebra/
    translate horse2zebra a.jpg                  writes a-horse2zebra.jpg
    translate horse2zebra a.jpg -o zebra.png
    cat a.jpg | translate horse2zebra - > b.png
    translate digits 7 --count 16 --grid -o sevens.png
    translate emoji "a smiling cat" -o cat.png

    Outputs that exist are left alone, so the same command again goes on where it stopped.
    """
    settings = parse_assignments(assignments)
    entry = the_host().known_model(model)
    if not reads_pictures(entry):
        _refuse_options(entry.name, _FOR_PICTURES, "that start from a picture")
        entry = the_host().model(model) if dry_run else fetched(model, quiet=quiet)
        make_of_no_picture(
            entry,
            read_header(entry.path),
            inputs if prompts is None else (*inputs, *read_prompts(prompts)),
            Wanted(seed, count, grid=grid, out=out, format=format_, overwrite=overwrite),
            Running(settings, device, precision, truncation, quality, fail_fast=fail_fast),
            Telling(dry_run=dry_run, as_json=as_json, quiet=quiet, verbose=verbose),
        )
        return
    _refuse_options(entry.name, _FOR_NO_PICTURE, "that start from no picture")
    plan = make_plan(
        inputs, entry.name, out=out, format=format_, overwrite=overwrite, recursive=recursive
    )
    if dry_run:
        print_plan(plan, as_json=as_json)
        return
    refuse_what_does_not_fit_on_stdout(plan, as_json=as_json)
    if plan.to_write:
        fetched(model, quiet=quiet)
    sweep(stale_parts(plan))

    with (
        Report(plan, entry.name, as_json=as_json, quiet=quiet, verbose=verbose) as report,
        Interrupts() as interrupts,
    ):
        if plan.to_write:
            # Threads that wait for each other by spinning hold up the readers, the writers and
            # whatever else runs: on two cores beside another program that is five times slower.
            os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
            # Nothing above is slow; what follows imports torch.
            from translate.bundle import load_bundle
            from translate.inference.pipeline import Encoding, Pipeline
            from translate.inference.translator import Translator

            translator = Translator(
                load_bundle(entry.path),
                settings=settings,
                device=device,
                precision=precision,
                size=size,
                tile=tile,
            )
            pipeline = Pipeline(
                translator.engine,
                Encoding(quality, strip),
                batch_size=translator.engine.batch_size(batch_size),
                workers=workers,
                seed=seed or 0,
            )
            interrupts.then(pipeline.stop)
            with contextlib.closing(pipeline(plan.to_write)) as outcomes:
                for outcome in outcomes:
                    report.done(outcome.item, outcome.error, outcome.seconds)
                    if outcome.error and fail_fast:
                        pipeline.stop()
        if interrupts:
            raise KeyboardInterrupt
    if code := report.close():
        click.get_current_context().exit(code)


def _refuse_options(model: str, names: Mapping[str, str], kind: str) -> None:
    """Refuse options that would do nothing for this model."""
    context = click.get_current_context()
    for name, flag in names.items():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UsageError(f"{flag} is for models {kind}; {model} is none")
