"""translate train: train a method on your own pictures."""

from __future__ import annotations

from pathlib import Path

import click

from translate.cli.fetching import offline_option, without_network
from translate.cli.parameters import MethodName
from translate.errors import UsageError
from translate.host import the_host
from translate.options import merge, parse_assignments

_PLACES = {"memory": "memory", "file": "RUN/cache", "device": "the device's memory", "none": ""}


@click.command()
@click.argument("method", type=MethodName())
@click.option(
    "--data",
    "folders",
    multiple=True,
    metavar="DIR",
    required=True,
    help="Training pictures; twice for two separate sides.",
)
@click.option(
    "--out",
    "folder",
    metavar="RUN",
    required=True,
    help="The run's folder: log, sample grids, checkpoint, models.",
)
@click.option(
    "--name",
    metavar="NAME[,NAME]",
    default="",
    help="Keep the trained model under this name; one for each direction.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the method, or data.KEY or training.KEY.",
)
@click.option(
    "--recipe",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Options from a TOML file; --set goes over them.",
)
@click.option(
    "--dataset", metavar="NAME", help="Reader, where the method's usual one is not meant."
)
@click.option("--images", type=click.IntRange(1), help="Training images to see.")
@click.option("--batch-size", type=click.IntRange(1), help="Images in a step.")
@click.option("--seed", type=click.IntRange(0), help="Of everything random.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    help="auto: bf16 where the device is fast at it.",
)
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda[:N]|mps")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Threads that read pictures.",
)
@click.option(
    "--cache",
    type=click.Choice(["memory", "file", "device", "none"]),
    default="memory",
    show_default=True,
    help="Where decoded pictures are kept; file: in RUN/cache; device: on the GPU, and cut there.",
)
@click.option(
    "--compile", "compiled", is_flag=True, help="Compile the networks: slow to begin, then faster."
)
@click.option(
    "--init", metavar="MODEL|FILE|RUN", default="", help="Begin with the weights of another."
)
@click.option("--resume", is_flag=True, help="Go on with the run in RUN, exactly.")
@click.option("--overwrite", is_flag=True, help="Replace models of yours called NAME.")
@offline_option
@click.option(
    "-n", "--dry-run", is_flag=True, help="Print options, networks and one batch; train nothing."
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def train(
    method: str,
    folders: tuple[str, ...],
    folder: str,
    name: str,
    assignments: tuple[str, ...],
    recipe: Path | None,
    dataset: str | None,
    images: int | None,
    batch_size: int | None,
    seed: int | None,
    precision: str | None,
    device: str,
    workers: int,
    cache: str,
    compiled: bool,
    init: str,
    resume: bool,
    overwrite: bool,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Train METHOD on the pictures in DIR, counting everything in training images.

    \b
    translate train cyclegan --data horses-and-zebras/ --out runs/mine --name mine,back
    translate mine photos/

    Ctrl-C saves and stops; the same command with --resume goes on. What METHOD can be told with
    --set: translate methods METHOD. On several GPUs: torchrun --nproc-per-node N -m translate
    train ...; the batch is shared out.
    """
    the_host().method(method)
    if not folder:
        raise UsageError("--out: the path is empty")
    names = [part.strip() for part in name.split(",") if part.strip()]
    for wanted in names:
        the_host().own_path(wanted, overwrite=overwrite)
    if len(set(names)) < len(names):
        raise UsageError(f"--name {name}: two models cannot share a name")

    # Nothing above is slow; what follows imports torch.
    from translate.cli.progress import TrainingProgress
    from translate.training import processes
    from translate.training.plan import make_plan, read_recipe, split_assignments
    from translate.training.preparing import describe
    from translate.training.run import Run

    flags = {
        "images": images,
        "batch_size": batch_size,
        "seed": seed,
        "precision": precision,
    }
    given = split_assignments(parse_assignments(assignments))
    given = merge(given, {"training": {k: v for k, v in flags.items() if v is not None}})
    preset = read_recipe(recipe) if recipe else {}
    plan = make_plan(method, folders, dataset, preset, given, init)
    if dry_run:
        click.get_current_context().with_resource(without_network())
    with processes.joined(device) as own_device:
        run = Run(Path(folder), plan, device=own_device, resume=resume)
        exports = run.trainer.method.exports()
        if len(names) > len(exports):
            raise UsageError(f"--name: {method} makes {len(exports)} models ({', '.join(exports)})")
        # A dry run writes nothing.
        kept = run.keep_pictures("none" if dry_run and cache == "file" else cache)
        if dry_run:
            described = describe(run, workers)
            click.echo("" if processes.rank() else described, nl=False)
            return
        if compiled:
            run.trainer.compile()
        quiet = quiet or processes.rank() > 0
        with TrainingProgress(run, quiet=quiet) as progress:
            if kept:
                progress.say(f"pictures kept in {_PLACES[cache]}: {kept}")
            made = run.train(workers=workers, progress=progress, say=progress.say)
        installed = run.install(names, made, overwrite=overwrite)
    if not quiet:
        for path in made:
            click.echo(f"model: {path}", err=True)
        for path in installed:
            click.echo(f"use it: translate {path.stem} INPUT...", err=True)
