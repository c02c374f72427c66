"""The bundled model that gives photographs colours: small, honest, better than grey."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import translate
from translate.pipeline import rgb_to_lab

torch.set_num_threads(1)


def lab(image: Image.Image) -> torch.Tensor:
    pixels = torch.from_numpy(np.asarray(image.convert("RGB"), dtype=np.float32) / 127.5 - 1)
    return rgb_to_lab(pixels.permute(2, 0, 1)[None])[0]


def test_its_colours_are_nearer_to_the_truth_than_grey_and_lightness_stays() -> None:
    if "TRANSLATE_TEST_DATA" not in os.environ:
        pytest.skip("TRANSLATE_TEST_DATA names no folder of real data")
    folder = Path(os.environ["TRANSLATE_TEST_DATA"]) / "monet2photo" / "testB"
    colorize = translate.load("colorize", device="cpu")
    apart, strength = [], []
    for file in sorted(folder.iterdir()):
        with Image.open(file) as photograph:
            grey, true = photograph.convert("L"), lab(photograph)
        made = lab(colorize(grey))
        assert float((made[0] - lab(grey)[0]).abs().mean()) < 0.5
        apart.append(float(torch.linalg.vector_norm(made[1:] - true[1:], dim=0).mean()))
        strength.append(float(torch.linalg.vector_norm(true[1:], dim=0).mean()))
        assert float(torch.linalg.vector_norm(made[1:], dim=0).mean()) > 3, "nearly grey"
    assert sum(apart) < 0.95 * sum(strength)
