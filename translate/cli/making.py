"""translate MODEL CLASS..., translate MODEL "a prompt", translate MODEL: of no picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from translate.atomic import sweep
from translate.cli.parameters import chosen_seed
from translate.cli.report import Report, print_plan, refuse_what_does_not_fit_on_stdout
from translate.inference.plan import stale_parts
from translate.inference.requests import plan_requests
from translate.interrupts import Interrupts
from translate.model import Header
from translate.registry import ModelEntry


@dataclass(frozen=True)
class Wanted:
    """What is to be made, and where it goes."""

    seed: int | None
    count: int
    grid: bool
    out: str | None
    format: str
    overwrite: bool


@dataclass(frozen=True)
class Running:
    """How it is made."""

    settings: Mapping[str, Any]
    device: str
    precision: str
    truncation: float
    quality: int
    fail_fast: bool


@dataclass(frozen=True)
class Telling:
    """What is said of it."""

    dry_run: bool
    as_json: bool
    quiet: bool
    verbose: bool


def make_of_no_picture(
    entry: ModelEntry,
    header: Header,
    inputs: Sequence[str],
    wanted: Wanted,
    running: Running,
    telling: Telling,
) -> None:
    """Make pictures with a model that starts from classes, prompts or noise."""
    seed = chosen_seed(wanted.seed)
    plan = plan_requests(
        inputs,
        entry.name,
        header,
        seed=seed,
        count=wanted.count,
        grid=wanted.grid,
        out=wanted.out,
        format=wanted.format,
        overwrite=wanted.overwrite,
    )
    if telling.dry_run:
        print_plan(plan, as_json=telling.as_json)
        return
    refuse_what_does_not_fit_on_stdout(plan, as_json=telling.as_json)
    if wanted.seed is None and not telling.quiet:
        click.echo(f"--seed {seed}", err=True)
    sweep(stale_parts(plan))

    show = {"as_json": telling.as_json, "quiet": telling.quiet, "verbose": telling.verbose}
    with Report(plan, entry.name, **show) as report, Interrupts() as interrupts:
        if plan.to_write:
            # Nothing above is slow; what follows imports torch.
            from translate.bundle import load_bundle
            from translate.inference.generating import Making
            from translate.inference.generator import Generator
            from translate.inference.pipeline import Encoding

            generator = Generator(
                load_bundle(entry.path),
                settings=running.settings,
                device=running.device,
                precision=running.precision,
                truncation=running.truncation,
            )
            making = Making(generator, Encoding(running.quality))
            interrupts.then(making.stop)
            for outcome in making(plan.to_write):
                report.done(outcome.item, outcome.error, outcome.seconds)
                if outcome.error and running.fail_fast:
                    making.stop()
        if interrupts:
            raise KeyboardInterrupt
    if code := report.close():
        click.get_current_context().exit(code)
