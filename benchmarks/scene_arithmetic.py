"""Vector arithmetic with captions, checked by program: red seven - red one + blue one.

    python benchmarks/scene_arithmetic.py runs/scenes/painter.safetensors --mnist mnist/

Of every sum a picture is made with each seed, and the program that measures ``attributes`` reads
what it shows. Beside it stands what the model makes of the caption that the sum should amount to,
and what it makes of the first term alone, which is what arithmetic that did nothing would show.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from translate import Generator, load_model
from translate.inference.latent import Place, mix
from translate.inference.plan import Request
from translate_datasets.drawing import draw
from translate_datasets.scene import Scene, describe
from translate_datasets.scenes import Scenes, ScenesOptions
from translate_measures.reading import SceneReader, train_reader
from translate_measures.seeing import look

_REAL = 3000  # scenes that the program learns digits from


def scene(colour: str, digit: int) -> Scene:
    return Scene(1, "large", colour, digit, "white")


def reader_of(mnist: Path, size: int) -> SceneReader:
    """Return the program that reads scenes, taught with real ones."""
    data = Scenes([mnist], ScenesOptions(), {"size": size})
    scenes = data.drawn(data.scenes, _REAL)
    sights = [
        look(draw(one, partial(data.digits.pick, one.digit), size, seed).astype(np.float32))
        for seed, one in enumerate(scenes)
    ]
    return train_reader(sights, scenes, passes=4, width=16, seed=0, device=torch.device("cpu"))


def places(generator: Generator, caption: str, count: int) -> list[Place]:
    """Return where a caption lies, with each of the seeds."""
    requests = [Request(caption, seed, caption) for seed in range(count)]
    codes, conditions = (part.cpu() for part in generator.encode(generator.batch(requests)))
    return [Place(codes[n : n + 1], conditions[n : n + 1]) for n in range(count)]


def shown(generator: Generator, found: Sequence[Place]) -> list[np.ndarray]:
    """Return the pictures of some places: (H, W, 3) floats in [0, 255]."""

    def joined(parts: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(parts))

    made = generator.pictures_at(
        joined([one.codes for one in found]), joined([one.conditions for one in found])
    )
    return [picture.pixels.astype(np.float32) for picture in made]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--sheet", type=Path, help="a row of pictures of each term and the sum")
    given = parser.parse_args()
    generator = Generator(load_model(given.model))
    sums = [("red", 7, 1, "blue"), ("yellow", 0, 8, "blue"), ("green", 6, 3, "red")]
    first = shown(generator, places(generator, describe(scene("red", 7)), 1))[0]
    reader = reader_of(given.mnist, first.shape[0])
    rows = []
    for colour, digit, other, new in sums:
        terms = [scene(colour, digit), scene(colour, other), scene(new, other)]
        wanted = scene(new, digit)
        plus, minus, last = (places(generator, describe(term), given.seeds) for term in terms)
        summed = [mix([a, c], [b]) for a, b, c in zip(plus, minus, last, strict=True)]
        print(f"{colour} {digit} - {colour} {other} + {new} {other}, {given.seeds} seeds")
        asked = places(generator, describe(wanted), given.seeds)
        for name, found in (("sum", summed), ("caption", asked), ("first term", plus)):
            pictures = shown(generator, found)
            read = [reader(picture) for picture in pictures]
            colours = sum(one is not None and one.colour == new for one in read)
            digits = sum(one is not None and one.digit == digit for one in read)
            both = sum(one is not None and (one.colour, one.digit) == (new, digit) for one in read)
            share = 100 / given.seeds
            print(
                f"  {name:10}  {new}: {colours * share:.0f} %  "
                f"{digit}: {digits * share:.0f} %  both: {both * share:.0f} %"
            )
        if given.sheet:
            for found in (plus, minus, last, summed):
                rows.append(np.concatenate(shown(generator, found[:16]), axis=1))
    if given.sheet:
        Image.fromarray(np.concatenate(rows).astype(np.uint8)).save(given.sheet)


if __name__ == "__main__":
    main()
