"""What models cost, and a sheet of each to look at.

    python benchmarks/models.py [MODEL ...] [--photos DIR] [--sheets DIR]

Without names, all bundled ones. Of each: bytes of the file, parameters, multiply-adds and seconds
of one picture (made of 256×256 where it is made of one; the median of several), and, with
`--photos`, seconds for that folder by the command, with all that it takes to start. A sheet has
rows of input and output; of what enlarges, a small part of a photograph, shrunk first: by
bicubic, by the model, and as it was; of what starts from captions or classes, some of these.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from translate import Batch, Generator, load_model
from translate.bundle import Model
from translate.host import the_host
from translate.images import Picture
from translate.inference.generator import sheet
from translate.inference.translator import Translator
from translate.pipeline import bicubic, image_files, read_rgb

Pixels = NDArray[np.uint8]

_SIDE = 256
_PART = 128  # pixels of a photograph that a sheet shows enlarged
_CELL = 192
_ROUNDS = 7
PROMPTS = (  # learned names, and others
    "red apple", "grinning face", "dog face", "octopus", "pizza", "rocket", "red heart",
    "hammer", "sunflower", "automobile", "a smiling cat", "green apple pie",
    "blue heart with ribbon", "yellow car", "angry dog", "a house in the snow", "pink flower",
    "two hearts of gold", "sad face with hat", "猫",
)  # fmt: skip


def median_seconds(work: Callable[[], object]) -> float:
    work()
    times = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


@torch.inference_mode()
def multiply_adds(model: Model, batch: Batch) -> int:
    """Return those of a batch's convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        model(batch)
    return int(counter.get_total_flops()) // 2


def fitted(pixels: Pixels) -> Pixels:
    """Return a picture inside a square cell."""
    image = Image.fromarray(pixels)
    image.thumbnail((_CELL, _CELL), Image.Resampling.LANCZOS)
    cell = Image.new("RGB", (_CELL, _CELL), (40, 40, 40))
    cell.paste(image)
    return np.asarray(cell)


def parts_of(photo: Pixels, translator: Translator) -> list[Pixels]:
    """Return a part of a photograph: shrunk and enlarged, by bicubic and by a model, and whole."""
    scale = translator.model.fit.scale
    top, left = ((side - _PART) // 2 for side in photo.shape[:2])
    part = torch.from_numpy(photo[top : top + _PART, left : left + _PART].copy())
    part = part.permute(2, 0, 1)[None]
    low = bicubic(part.float(), down=scale).round().clamp(0, 255)

    def pixels(x: torch.Tensor) -> Pixels:
        return np.asarray(x[0].round().clamp(0, 255).byte().permute(1, 2, 0))

    made = np.asarray(translator(Image.fromarray(pixels(low))))
    return [pixels(bicubic(low, up=scale)), made, pixels(part)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--sheets", type=Path)
    given = parser.parse_args()
    names = given.models or [n for n, entry in the_host().models.items() if entry.kind == "bundled"]
    photos = image_files(given.photos) if given.photos else []
    noise = np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE, 3), dtype=np.uint8)
    print(f"{'model':16}{'kB':>7}{'M parameters':>14}{'G multiply-adds':>17}", end="")
    print(f"{'s a picture':>13}{'s the folder':>14}")
    for name in names:
        model = load_model(name)
        translates = "image" in model.header.reads
        asked = PROMPTS if "text" in model.header.reads else model.header.facts.classes
        if translates:
            translator = Translator(model)
            empty = torch.zeros(1, model.header.facts.channels, _SIDE, _SIDE)
            batch = Batch({"image": empty}, torch.zeros(1, dtype=torch.int64))
            seconds = median_seconds(partial(translator, Image.fromarray(noise)))
        else:
            generator = Generator(model)
            batch = generator.batch([generator.request(asked[0], 0)])
            seconds = median_seconds(partial(generator, asked[0]))
        folder = ""
        if translates and photos:
            with tempfile.TemporaryDirectory() as out:
                words = [name, str(given.photos), "-q", "-o", out]
                start = time.perf_counter()
                subprocess.run([sys.executable, "-m", "translate", *words], check=True)
                folder = f"{time.perf_counter() - start:.1f}"
        size = the_host().model(name).path.stat().st_size / 1e3
        parameters = sum(one.numel() for one in model.network.parameters()) / 1e6
        work = multiply_adds(model, batch) / 1e9
        print(f"{name:16}{size:7.0f}{parameters:14.3f}{work:17.3f}{seconds:13.3f}{folder:>14}")
        if not given.sheets:
            continue
        given.sheets.mkdir(parents=True, exist_ok=True)
        if not translates:
            pictures = (generator(value, count=4, seed=0) for value in asked)
            rows = [[np.asarray(one.convert("RGB")) for one in row] for row in pictures]
        elif model.fit.scale > 1:
            rows = [parts_of(read_rgb(file), translator) for file in photos]
        else:
            shown = (Image.open(file).convert("RGB") for file in photos)
            rows = [
                [fitted(np.asarray(one)), fitted(np.asarray(translator(one).convert("RGB")))]
                for one in shown
            ]
        if rows:
            cells = [Picture(cell, None) for row in rows for cell in row]
            whole = sheet(cells, 2 * len(rows[0])).pixels
            Image.fromarray(whole).save(given.sheets / f"{name}.png")


if __name__ == "__main__":
    main()
