"""translate evaluate: measure how good a model is on pictures of your own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from translate.atomic import new_file
from translate.cli.fetching import fetched, offline_option
from translate.cli.parameters import MeasureName, ModelName
from translate.cli.run import Size
from translate.cli.tables import print_json, print_table
from translate.errors import UsageError
from translate.host import the_host
from translate.options import merge, parse_assignments

if TYPE_CHECKING:
    from translate.evaluation.measure import Result
    from translate.evaluation.run import Evaluation, Results
    from translate.evaluation.sheet import Order, Sheet
    from translate.inference.engine import Engine
    from translate.inference.generator import Generator

_AT_ONCE = 16  # pictures made at once, where nobody says otherwise
_LISTED = 5  # names of pictures without partners


@click.command()
@click.argument("model", type=ModelName())
@click.option(
    "--data",
    "folders",
    multiple=True,
    metavar="PATH",
    required=True,
    type=click.Path(path_type=Path),
    help="What is like the training data: a folder with testA and testB (or A and B), one of "
    "photographs, a CSV file of pairs; twice for two folders.",
)
@click.option(
    "--input",
    "side",
    type=click.Choice(["A", "B"]),
    help="The side that is translated, where it is not the model's usual one.",
)
@click.option(
    "--compare",
    type=click.Choice(["pairs", "sets"]),
    help="Default: pairs where names match, else sets.",
)
@click.option("--allow-missing", is_flag=True, help="Leave aside what has no partner.")
@click.option(
    "--measure",
    "names",
    multiple=True,
    type=MeasureName(),
    metavar="NAME",
    help="Default: all that apply; 'translate measures' lists them.",
)
@click.option(
    "--inception",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Weights of the Inception network, for FID and KID.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="A run-time option of the model's method, or MEASURE.KEY; data.KEY reads data otherwise "
    "than the model was trained with.",
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
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of models that draw random numbers.",
)
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda[:N]|mps")
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    help="Default: fp32 for pairs, else auto.",
)
@click.option("--batch-size", type=click.IntRange(1, 1024), help="Pictures run at once.")
@click.option(
    "--sheet",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A PNG with rows of input, output and target.",
)
@click.option("--overwrite", is_flag=True, help="Replace the sheet if it exists.")
@click.option(
    "--sheet-rows", type=click.IntRange(1, 200), default=8, show_default=True, help="At most."
)
@click.option(
    "--sheet-order",
    type=click.Choice(["first", "best", "worst"]),
    default="first",
    show_default=True,
    help="Which rows: best and worst by the first measure.",
)
@offline_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the table and errors.")
def evaluate(
    model: str,
    folders: tuple[Path, ...],
    side: Literal["A", "B"] | None,
    compare: Literal["pairs", "sets"] | None,
    allow_missing: bool,
    names: tuple[str, ...],
    inception: Path | None,
    assignments: tuple[str, ...],
    size: int | Literal["working", "native"],
    tile: int | None,
    seed: int,
    device: str,
    precision: str | None,
    batch_size: int | None,
    sheet: Path | None,
    overwrite: bool,
    sheet_rows: int,
    sheet_order: Literal["first", "best", "worst"],
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure how good a model is on pictures of your own.

    The pictures of one side of PATH are translated as 'translate MODEL' does, and what comes out is
    held against the other side: each against its own target where they are pairs, else all against
    all. The data is read as when the model was trained.

    \b
    translate evaluate mine --data facades/ --sheet facades.png
    translate evaluate horse2zebra --data horses-and-zebras/ --inception weights.pth
    """
    for name in names:
        the_host().measure(name)
    if sheet:
        new_file(sheet, overwrite=overwrite)
    entry = fetched(model, quiet=quiet)

    # Nothing above is slow; what follows imports torch.
    from translate.bundle import load_bundle
    from translate.evaluation.choosing import choose, evaluation_set, split
    from translate.evaluation.run import Evaluation
    from translate.inference.generator import Generator
    from translate.inference.translator import Translator

    measured, run_time = split(parse_assignments(assignments))
    loaded = load_bundle(entry.path)
    data = measured.pop("data", None)
    tried = evaluation_set(loaded, folders, side=side, compare=compare, data=data)
    if tried.unmatched and not allow_missing:
        raise UsageError(
            f"no partner for {_listed(tried.unmatched)}; --allow-missing leaves them aside, "
            "--compare sets does without partners"
        )
    precision = precision or ("fp32" if tried.compares == "pairs" else "auto")
    engine: Engine | Generator
    if "image" in loaded.header.reads:
        engine = Translator(
            loaded, settings=run_time, device=device, precision=precision, size=size, tile=tile
        ).engine
        batch_size = engine.batch_size(batch_size)
    else:
        engine = Generator(loaded, settings=run_time, device=device, precision=precision)
    shared = {"inception": inception} if inception else {}
    measured = merge(tried.settings, measured)
    makers, notes = choose(names, tried.compares, measured, shared, engine.device)
    evaluation = Evaluation(
        engine, entry.name, tried, makers, batch_size=batch_size or _AT_ONCE, seed=seed
    )
    drawn = _sheet(evaluation, sheet, sheet_rows, sheet_order) if sheet else None
    if not quiet:
        if tried.unmatched:
            notes = [f"left aside, without a partner: {_listed(tried.unmatched)}", *notes]
        for note in (tried.described, *notes):
            click.echo(note, err=True)

    failures = _go_through(evaluation, drawn, quiet=quiet)
    results, problems = evaluation.results()
    for problem in problems:
        click.echo(f"failed: {problem}", err=True)
    how = _how(engine, seed, run_time)
    if as_json:
        facts = {
            "model": entry.name,
            "data": tried.described,
            "compares": tried.compares,
            "cases": len(tried.cases),
        }
        print_json(_as_json(results, how, **facts, failed=failures + problems))
    else:
        _print(results, how)
    if drawn:
        drawn.save()
    if failures:
        count = f"{len(failures)} of {len(evaluation)} pictures failed"
        click.echo(f"{count}; each number says over how many it is", err=True)
    if failures or problems:
        click.get_current_context().exit(1)


def _sheet(evaluation: Evaluation, path: Path, rows: int, order: Order) -> Sheet:
    """Return the sheet, ordered by the first measure that gives each picture a value."""
    from translate.evaluation.sheet import Sheet

    measures = the_host().measures
    of_each = [name for name in evaluation.taken if measures[name].compares == "pairs"]
    if order != "first" and not of_each:
        raise UsageError(f"--sheet-order {order}: no measure taken here gives each picture a value")
    by = of_each[0] if of_each else None
    better = evaluation.taken[by].larger_is_better if by else True
    cropped = evaluation.tried.cropped
    return Sheet(path, rows=rows, order=order, by=by, larger_is_better=better, cropped=cropped)


def _go_through(evaluation: Evaluation, sheet: Sheet | None, *, quiet: bool) -> list[str]:
    """Measure every picture and return why some failed."""
    from translate.cli.progress import Counter

    failures = []
    with Counter(len(evaluation), quiet=quiet) as progress:
        for number, done in enumerate(evaluation()):
            if done.error:
                failures.append(done.error)
                progress.print(f"failed: {done.error}")
            if sheet and done.comparison:
                sheet.add(done.comparison, done.values, done.others)
            progress.advance(number + 1 - len(failures), len(failures))
    return failures


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more:,} more" if more > 0 else "")


def _how(engine: Engine | Generator, seed: int, settings: Mapping[str, Any]) -> str:
    """Return how the model was run, which every number depends on."""
    from translate.inference.engine import Engine

    limit = engine.size if isinstance(engine, Engine) else None
    size = (
        "whole pictures"
        if limit is None
        else f"pictures of more than {limit}×{limit} pixels translated at that many"
    )
    said = "".join(f"{name}={value}; " for name, value in settings.items())
    precision = str(engine.dtype).removeprefix("torch.")
    return (
        f"{size}; {precision} on {engine.device}; seed {seed}; {said}"
        "outputs as computed, before any file format; what is transparent on white"
    )


def _print(results: Results, how: str) -> None:
    """Print a row for each number and a column for each model."""
    if not any(results.values()):
        click.echo("nothing could be measured", err=True)
        return
    rows: dict[tuple[str, str], list[str]] = {}
    protocols: dict[tuple[str, str], str] = {}
    for place, found in enumerate(results.values()):
        for measure, result in found:
            key = measure, result.name
            rows.setdefault(key, [""] * len(results))[place] = _value(result)
            protocols.setdefault(key, result.protocol)
    print_table(
        ("MEASURE", *results, "PROTOCOL"),
        [(key[1], *row, protocols[key]) for key, row in rows.items()],
    )
    click.echo(f"\nmodel run: {how}")


def _value(result: Result) -> str:
    text = f"{result.value:.{result.decimals}f}"
    if result.deviation is not None:
        text += f" ± {result.deviation:.{result.decimals}f}"
    return f"{text} {result.unit}".rstrip()


def _as_json(results: Results, how: str, **facts: Any) -> dict[str, Any]:
    numbers = [
        {"of": model, "measure": measure, **asdict(result), "run": how}
        for model, found in results.items()
        for measure, result in found
    ]
    for one in numbers:
        for key in ("value", "deviation"):
            # JSON has no infinity; the protocol says that pictures equal their targets. And
            # numpy's numbers are none to it.
            finite = one[key] is not None and math.isfinite(one[key])
            one[key] = float(one[key]) if finite else None
    return {**facts, "results": numbers}
