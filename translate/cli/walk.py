"""translate walk MODEL FROM TO: the pictures on the way from one to another."""

from __future__ import annotations

from pathlib import Path

import click

from translate.atomic import new_file, write_atomic
from translate.cli.latent import (
    header_of,
    latent_options,
    open_generator,
    say,
    sheet_format,
    write_sheet,
)
from translate.cli.parameters import ModelName, chosen_seed
from translate.inference.plan import as_word
from translate.inference.points import read_point

_ANIMATED = ("gif", "webp")


@click.command()
@click.argument("model", type=ModelName())
@click.argument("start", metavar="FROM")
@click.argument("end", metavar="TO")
@click.option(
    "--steps",
    type=click.IntRange(2, 10_000),
    default=9,
    show_default=True,
    help="Pictures, both ends included.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0.1, 100),
    default=10,
    show_default=True,
    help="Pictures in a second, where they move.",
)
@latent_options
def walk(
    model: str,
    start: str,
    end: str,
    steps: int,
    rate: float,
    seed: int | None,
    out: Path | None,
    overwrite: bool,
    truncation: float,
    assignments: tuple[str, ...],
    device: str,
    quiet: bool,
) -> None:
    """Make the pictures on the way FROM one TO another: codes along an arc, classes along a line.

    FROM and TO are a class or a prompt, with @ and a seed behind it if it is not --seed; a seed
    alone for a model that starts from noise; or a code's file. FILE is a strip (.png, .jpg, …), or
    moves (.webp, .gif).

    \b
    translate walk digits 3 8
    translate walk digits 7@1 7@5 --steps 60 -o sevens.webp
    """
    name, header, path = header_of(model, quiet=quiet)
    drawn, seed = seed is None, chosen_seed(seed)
    points = [read_point(text, header, model=name, seed=seed) for text in (start, end)]
    if out is None:
        words = f"{points[0].word}-to-{points[1].word}"
        out = Path(f"{words}-{as_word(name)}-{seed}x{steps}.png")
    moving = out.suffix.lower().lstrip(".")
    format = moving if moving in _ANIMATED else sheet_format(out)
    new_file(out, overwrite=overwrite)
    if drawn and any(one.requests and "@" not in one.text for one in points) and header.reads:
        say(f"--seed {seed}", quiet=quiet)

    generator = open_generator(path, assignments=assignments, device=device, truncation=truncation)
    # Nothing above is slow; what follows imports torch.
    from translate.images.animation import encode_animation
    from translate.inference.latent import place_of
    from translate.inference.latent import walk as way

    first, last = (place_of(generator, point) for point in points)
    places = way(first, last, steps)
    pictures = list(generator.pictures_at(places.codes, places.conditions))
    if format in _ANIMATED:
        write_atomic(out, encode_animation(pictures, format, rate=rate))
    else:
        write_sheet(out, format, pictures, columns=steps)
    say(f"{out}: {steps} pictures", quiet=quiet)
