"""Every bundled model is small, says where it comes from, and does what it is for."""

from __future__ import annotations

import csv
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import translate
from translate.host import the_host
from translate.model import read_header
from translate.pipeline import bicubic, image_files, read_rgb
from translate_datasets.captioned import is_held_out

torch.set_num_threads(1)

MOST = {  # bytes
    "horse2zebra": 1_000_000,
    "digits": 1_000_000,
    "colorize": 4_000_000,
    "upscale-x4-psnr": 1_500_000,
    "upscale-x4": 1_500_000,
    "upscale-x2": 1_500_000,
    "emoji": 6_000_000,
}
SAID = {  # on their cards
    "horse2zebra": ["290 horses", "GAN-Compression"],
    "digits": ["LeCun, Cortes and Burges", "98.8 %", "99.19 %"],
    "colorize": ["monet2photo", "research", "15.40", "16.76", "16.42"],
    "upscale-x4-psnr": ["BSDS500", "research", "31.54", "28.42"],
    "upscale-x4": ["BSDS500", "research", "30.96", "28.42"],
    "upscale-x2": ["BSDS500", "research", "37.31", "33.65"],
    "emoji": ["Noto Emoji", "96.4 %", "23.5 %"],
}


def test_all_are_known() -> None:
    assert {n for n, entry in the_host().models.items() if entry.kind == "bundled"} == MOST.keys()


@pytest.mark.parametrize("name", MOST)
def test_it_is_small_and_says_where_it_comes_from(name: str) -> None:
    path = the_host().model(name).path
    assert path.stat().st_size <= MOST[name]
    card = read_header(path).card
    assert card.licence != "not stated"
    assert card.data
    recipe = card.source.removeprefix("trained by this project from the recipe ").removesuffix(".")
    assert (path.parents[1] / "recipes" / recipe).exists()
    for word in ("seed 1", "minutes"):
        assert word in card.notes
    said = " ".join([card.data, card.licence, card.teacher, card.notes])
    assert [word for word in SAID[name] if word not in said] == []


def test_a_student_is_small_and_digits_have_their_classes() -> None:
    student = translate.load_model("horse2zebra")
    assert sum(p.numel() for p in student.network.parameters()) <= 500_000
    assert student.header.card.teacher
    digits = translate.load_model("digits")
    assert digits.header.facts.classes == tuple("0123456789")


def real_data(*parts: str) -> Path:
    if "TRANSLATE_TEST_DATA" not in os.environ:
        pytest.skip("TRANSLATE_TEST_DATA names no folder of real data")
    return Path(os.environ["TRANSLATE_TEST_DATA"], *parts)


def luma(pixels: torch.Tensor) -> torch.Tensor:
    """Return Y of ITU-R BT.601 of (3, H, W) in [0, 255]."""
    red, green, blue = pixels.float()
    made: torch.Tensor = 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255
    return made


@pytest.mark.parametrize(
    ("name", "least"),  # dB above bicubic in luma, of Set5
    [("upscale-x4-psnr", 3.0), ("upscale-x4", 1.0), ("upscale-x2", 2.8)],
)
def test_enlarged_photographs_are_nearer_than_bicubic(name: str, least: float) -> None:
    enlarge = translate.load(name, device="cpu")
    scale = enlarge.model.fit.scale
    gains = []
    for file in image_files(real_data("superres", "set5")):
        high = torch.from_numpy(read_rgb(file).copy()).permute(2, 0, 1)
        high = high[:, : high.shape[1] // scale * scale, : high.shape[2] // scale * scale]
        low = bicubic(high[None].float(), down=scale).round().clamp(0, 255)
        small = Image.fromarray(low[0].permute(1, 2, 0).byte().numpy())
        made = torch.from_numpy(np.array(enlarge(small))).permute(2, 0, 1)
        simple = bicubic(low, up=scale)[0].round().clamp(0, 255)
        inside = (slice(scale, -scale),) * 2
        errors = [
            float((luma(one)[inside] - luma(high)[inside]).square().mean())
            for one in (made, simple)
        ]
        gains.append(10 * math.log10(errors[1] / errors[0]))
    assert sum(gains) / len(gains) > least


def test_an_emoji_that_was_learned_is_nearest_to_its_own_picture() -> None:
    folder = real_data("emoji")
    with (folder / "captions.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if not row["variant"]]
    files = [folder / "noto" / Path(row["file"]).name for row in rows]
    real = torch.stack(
        [
            torch.from_numpy(
                np.array(Image.fromarray(read_rgb(one)).resize((16, 16), Image.Resampling.BOX))
            )
            for one in files
        ]
    )
    draw = translate.Generator(translate.load_model("emoji"), device="cpu")
    learned = [n for n, one in enumerate(files) if not is_held_out(one, 0.05)][::16]
    found = []
    for number in learned:
        [picture] = draw(rows[number]["name"], count=1, seed=0)
        small = torch.from_numpy(np.array(picture.resize((16, 16), Image.Resampling.BOX)))
        apart = (real.float() - small.float()).square().flatten(1).mean(1)
        found.append(int(apart.argmin()) == number)
    assert len(found) > 90
    assert sum(found) > 0.8 * len(found)
