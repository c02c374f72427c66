"""How far a colorize model's colours are from the truth, beside grey and one constant colour.

    python benchmarks/colour_error.py MODEL --train photos/ --test held-out/ [--set KEY=VALUE]

Each held-out photograph is made grey, coloured by MODEL at its working size, and compared in CIE
Lab: the mean distance in (a, b), its root mean square, and the mean strength of the colours (0 is
grey). The constant colour is the mean over ``--train``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from translate.inference.translator import load
from translate.options import parse_assignments
from translate.pipeline import image_files, rgb_to_lab

_TASTED = 100  # training photographs that tell the mean colour


def colours(image: Image.Image) -> Tensor:
    """Return an image's (2, H, W) a and b."""
    pixels = torch.from_numpy(np.array(image.convert("RGB"), dtype=np.float32))
    return rgb_to_lab(pixels.permute(2, 0, 1)[None] / 127.5 - 1)[0, 1:]


def report(name: str, truths: Sequence[Tensor], guesses: Sequence[Tensor]) -> None:
    squares = [(t - g).square().sum(0) for t, g in zip(truths, guesses, strict=True)]
    distance = np.mean([float(square.sqrt().mean()) for square in squares])
    root = np.mean([float(square.mean()) for square in squares]) ** 0.5
    strength = np.mean([float(guess.square().sum(0).sqrt().mean()) for guess in guesses])
    print(f"{name:<16} distance {distance:6.2f}   rms {root:6.2f}   strength {strength:6.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    chosen = parser.parse_args()

    model = load(chosen.model, settings=parse_assignments(chosen.set), precision="fp32")
    train = image_files(chosen.train)
    tasted = train[:: max(1, len(train) // _TASTED)]
    mean = torch.stack([colours(Image.open(f)).mean((1, 2)) for f in tasted]).mean(0)
    photographs = [Image.open(file).convert("RGB") for file in image_files(chosen.test)]
    truths = [colours(photograph) for photograph in photographs]
    made = [colours(model(photograph.convert("L"))) for photograph in photographs]
    report("truth", truths, truths)
    report("grey", truths, [torch.zeros_like(truth) for truth in truths])
    report("constant colour", truths, [mean[:, None, None].expand_as(t) for t in truths])
    report(Path(chosen.model).stem, truths, made)


if __name__ == "__main__":
    main()
