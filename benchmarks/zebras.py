"""Whose zebras convince? A classifier's opinion of models that translate, and a sheet for the eye.

    python benchmarks/zebras.py teacher horse2zebra --data horse2zebra/ --photos horses/ \
        --sheet zebras.png

A small network learns horses from zebras, of `trainA` and `trainB`. How often it is right of
`testA` and `testB` is said first, and then which share of `testA` and of the photographs it takes
for zebras: as they are, and as each model translates them. The sheet has a row of each picture,
and its outputs beside it; a white mark in a corner says that this one was taken for a zebra.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from translate import Translator, load
from translate.images import Picture
from translate.inference.generator import sheet
from translate.pipeline import draws, flip, image_files, jitter_colour, read_rgb

Pixels = NDArray[np.uint8]

_SIDE = 128  # of what the classifier sees
_CROP = 112  # of what it learns from
_CELL = 160  # of the sheet
_MARK = 12


def classifier(width: int = 16) -> nn.Sequential:
    """Return a network from (N, 3, S, S) to (N, 1): more than 0 is a zebra."""
    parts: list[nn.Module] = []
    ins = 3
    for outs in (width, 2 * width, 4 * width, 8 * width):
        parts += [nn.Conv2d(ins, outs, 3, 1, 1, bias=False), nn.BatchNorm2d(outs), nn.ReLU(True)]
        parts += [nn.Conv2d(outs, outs, 3, 2, 1, bias=False), nn.BatchNorm2d(outs), nn.ReLU(True)]
        ins = outs
    parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(ins, 1)]
    return nn.Sequential(*parts)


def small(pixels: Pixels) -> Tensor:
    """Return a picture (3, S, S) uint8, squeezed to the classifier's size."""
    resized = cv2.resize(pixels, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(resized).permute(2, 0, 1)


def ready(pixels: Tensor) -> Tensor:
    return pixels.float() / 127.5 - 1


def taught(sources: Tensor, targets: Tensor, *, images: int, seed: int) -> nn.Module:
    """Return a classifier that has seen so many pictures, as many of either kind.

    Colours are taken away from half of them, so that savanna and sky do not answer for stripes.
    """
    torch.manual_seed(seed)
    network = classifier().to(memory_format=torch.channels_last).train()
    batch, rng = 32, np.random.default_rng(seed)
    steps = images // batch
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=1e-3)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        picked = [part[rng.integers(len(part), size=batch // 2)] for part in (sources, targets)]
        chance = draws(torch.arange(batch) + step * batch, 8, seed)
        top, left = (int(c * (_SIDE - _CROP + 1)) for c in chance[0, 6:])
        x = ready(torch.cat(picked))[..., top : top + _CROP, left : left + _CROP]
        x = jitter_colour(flip(x, chance[:, 0]), 0.3, chance[:, 1:5])
        grey = x.mean(1, keepdim=True).expand_as(x)
        x = torch.where((chance[:, 5] < 0.5)[:, None, None, None], grey, x)
        wanted = torch.arange(2.0).repeat_interleave(batch // 2)[:, None]
        loss = F.binary_cross_entropy_with_logits(
            network(x.contiguous(memory_format=torch.channels_last)), wanted
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        rates.step()
    return network.eval()


@torch.inference_mode()
def zebras(network: nn.Module, pictures: Sequence[Pixels]) -> list[bool]:
    """Return which are taken for zebras; each is seen as it is and mirrored."""
    seen = ready(torch.stack([small(one) for one in pictures]))
    scores = network(seen) + network(seen.flip(3))
    return [bool(score > 0) for score in scores]


def output_of(translator: Translator, pixels: Pixels) -> Pixels:
    return np.asarray(translator(Image.fromarray(pixels)))


def cell(pixels: Pixels, marked: bool) -> Pixels:
    height, width = pixels.shape[:2]
    share = _CELL / max(height, width)
    size = (max(1, round(width * share)), max(1, round(height * share)))
    whole = np.full((_CELL, _CELL, 3), 40, np.uint8)
    whole[: size[1], : size[0]] = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    if marked:
        whole[:_MARK, :_MARK] = 255
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--columns", type=int, default=2, help="of rows side by side")
    parser.add_argument("--images", type=int, default=20_000, help="that the classifier sees")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()

    def pictures(folder: Path) -> list[Pixels]:
        return [read_rgb(file) for file in image_files(folder)]

    learned = [
        torch.stack([small(one) for one in pictures(given.data / name)])
        for name in ("trainA", "trainB")
    ]
    network = taught(*learned, images=given.images, seed=given.seed)
    horses, others = (zebras(network, pictures(given.data / name)) for name in ("testA", "testB"))
    print(f"the classifier is right of {len(horses) - sum(horses)}/{len(horses)} horses of testA")
    print(f"and of {sum(others)}/{len(others)} zebras of testB")
    sources = {"testA": pictures(given.data / "testA")}
    if given.photos:
        sources["photographs"] = pictures(given.photos)
    makers: dict[str, Callable[[Pixels], Pixels]] = {"as they are": lambda pixels: pixels}
    for name in given.models:
        makers[name] = partial(output_of, load(name))
    cells: list[Picture] = []
    for what, shown in sources.items():
        columns = []
        for name, make in makers.items():
            made = [make(one) for one in shown]
            verdicts = zebras(network, made)
            print(f"{what}, {name}: {sum(verdicts)}/{len(verdicts)} taken for zebras")
            columns.append([cell(*pair) for pair in zip(made, verdicts, strict=True)])
        cells += [Picture(one, None) for row in zip(*columns, strict=True) for one in row]
    if given.sheet:
        whole = sheet(cells, given.columns * len(makers)).pixels
        Image.fromarray(whole).save(given.sheet)


if __name__ == "__main__":
    main()
