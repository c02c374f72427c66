"""translate mix MODEL --plus A --minus B --plus C: arithmetic with what pictures are made of."""

from __future__ import annotations

import math
from pathlib import Path

import click

from translate.atomic import new_file
from translate.cli.latent import (
    header_of,
    latent_options,
    open_generator,
    say,
    sheet_format,
    write_sheet,
)
from translate.cli.parameters import ModelName, chosen_seed
from translate.errors import UsageError
from translate.inference.plan import as_word
from translate.inference.points import read_point


@click.command()
@click.argument("model", type=ModelName())
@click.option("--plus", multiple=True, required=True, metavar="POINT", help="What is added.")
@click.option("--minus", multiple=True, metavar="POINT", help="What is subtracted.")
@click.option(
    "--count",
    type=click.IntRange(1, 10_000),
    default=1,
    help="Pictures: of what comes out, and of codes near it.",
)
@click.option("--terms", is_flag=True, help="Show what is added and subtracted before it.")
@click.option(
    "--save",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Keep the code (…safetensors), to be used as a POINT.",
)
@latent_options
def mix(
    model: str,
    plus: tuple[str, ...],
    minus: tuple[str, ...],
    count: int,
    terms: bool,
    save: Path | None,
    seed: int | None,
    out: Path | None,
    overwrite: bool,
    truncation: float,
    assignments: tuple[str, ...],
    device: str,
    quiet: bool,
) -> None:
    """Add and subtract what pictures are made of, and make the picture of what comes out.

    A POINT is a class or a prompt, with @ and a seed behind it if it is not --seed; seeds alone for
    a model that starts from noise; or a code's file. Several seeds, as in 7@4,8,15, are the middle
    of their codes, which says what they have in common.

    \b
    translate mix digits --plus 3 --plus 8
    translate mix digits --plus 7@1,2,3 --minus 7@4,5,6 --plus 1@4,5,6 --terms
    """
    name, header, path = header_of(model, quiet=quiet)
    drawn, seed = seed is None, chosen_seed(seed)
    if save is not None and save.suffix != ".safetensors":
        raise UsageError(f"--save {save}: end the name in .safetensors")
    points = [read_point(text, header, model=name, seed=seed) for text in (*plus, *minus)]
    if out is None:
        out = Path(f"mix-{as_word(name)}-{seed}.png")
    format = sheet_format(out)
    for file in filter(None, (out, save)):
        new_file(file, overwrite=overwrite)
    if drawn:
        say(f"--seed {seed}", quiet=quiet)

    generator = open_generator(path, assignments=assignments, device=device, truncation=truncation)
    # Nothing above is slow; what follows imports torch.
    from translate.inference.latent import around, place_of, save_code
    from translate.inference.latent import mix as mixed

    places = [place_of(generator, point) for point in points]
    result = mixed(places[: len(plus)], places[len(plus) :])
    shown = [*places, result] if terms else [result]
    pictures = [p for one in shown for p in generator.pictures_at(one.codes, one.conditions)]
    if count > 1:
        near = around(result, count, seed=seed)
        pictures += list(generator.pictures_at(near.codes, near.conditions))[1:]
    columns = len(pictures) if terms else math.ceil(math.sqrt(count))
    write_sheet(out, format, pictures, columns)
    if save is not None:
        save_code(save, result, model=name)
    say(f"{out}" + (f", {save}" if save else ""), quiet=quiet)
