"""``translate evaluate`` of models that enlarge: inputs, protocol and sheet are those of papers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from test_evaluate import evaluate, numbers, save
from translate import Comparison, Facts
from translate.bundle import save_bundle
from translate.evaluation.crops import crops
from translate.evaluation.data import read
from translate.model import Card, Header
from translate.pipeline import bicubic
from translate_datasets.enlarging import resized, to_enlarge
from translate_srgan.method import SRGAN, SRGANOptions

Pixels = NDArray[Any]


def bicubic_model(path: Path, *, scale: int = 4, add: float = 0.0, **training: Any) -> Path:
    """Write a model that enlarges as bicubic interpolation does, and adds ``add`` of the range."""
    options = SRGANOptions(network="compact", scale=scale, width=4, blocks=1, base="bicubic")  # type: ignore[arg-type]
    network = SRGAN(options, Facts()).generator
    assert isinstance(network.last, nn.Conv2d)
    nn.init.zeros_(network.last.weight)
    nn.init.constant_(network.last.bias, add)  # type: ignore[arg-type]
    header = Header(
        method="srgan",
        export="generator",
        options=options.model_dump(mode="json"),
        card=Card(training=training),
    )
    save_bundle(path, header, network.state_dict())
    return path


def photograph(seed: int, height: int, width: int) -> Pixels:
    """A picture with detail that low resolution loses, far from both ends of the range."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(70, 170, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    noise = rng.integers(-20, 21, (height, width, 3))
    return (np.asarray(smooth).astype(int) + noise).astype(np.uint8)


def whole_bicubic(pixels: Pixels, **factors: int) -> Pixels:
    x = torch.from_numpy(pixels.astype(np.float64)).permute(2, 0, 1)[None]
    return bicubic(x, **factors)[0].round().clamp(0, 255).permute(1, 2, 0).numpy()


# What is measured


@pytest.mark.parametrize("scale", [2, 4])
def test_a_model_is_tried_on_low_resolution_made_by_bicubic(scale: int, tmp_path: Path) -> None:
    model = bicubic_model(tmp_path / "plus.safetensors", scale=scale, add=10 / 255)
    picture = photograph(0, 59, 85)  # multiples of neither
    save(tmp_path / "data" / "p.png", picture)
    told = numbers(model, "--data", tmp_path / "data")
    assert (told["compares"], told["cases"], told["failed"]) == ("pairs", 1, [])
    target = picture[: 59 // scale * scale, : 85 // scale * scale].astype(np.float64)
    low = whole_bicubic(target, down=scale)
    inside = (slice(scale, -scale), slice(scale, -scale))
    made = whole_bicubic(low, up=scale)
    for column, output in (("bicubic", made), ("plus", made + 10)):
        difference = (output - target)[inside]
        expected = 10 * np.log10(255**2 / np.square(difference).mean())
        assert told["values"][column, "PSNR"] == pytest.approx(expected, abs=1e-3)
        weights = np.array([65.481, 128.553, 24.966]) / 255
        y, wanted = (np.rint(16 + image[inside] @ weights) for image in (output, target))
        expected = 10 * np.log10(255**2 / np.square(y - wanted).mean())
        assert told["values"][column, "PSNR Y"] == pytest.approx(expected, abs=1e-3)
    assert 0 < told["values"]["plus", "SSIM Y"] < 1
    for one in told["results"]:
        if one["name"] in ("PSNR", "PSNR Y", "SSIM", "SSIM Y"):
            assert f"border {scale}" in one["protocol"]


def test_what_the_user_sets_goes_before_the_protocol_of_papers(tmp_path: Path) -> None:
    model = bicubic_model(tmp_path / "m.safetensors", dataset="superres", data={"size": 64})
    save(tmp_path / "data" / "p.png", photograph(0, 40, 40))
    words = ["--measure", "psnr", "--set", "psnr.border=0"]
    told = numbers(model, "--data", tmp_path / "data", *words)
    assert {one["name"] for one in told["results"]} == {"PSNR", "PSNR Y"}
    assert all("border 0" in one["protocol"] for one in told["results"])
    told = numbers(model, "--data", tmp_path / "data", *words, "--set", "psnr.space=y")
    assert {one["name"] for one in told["results"]} == {"PSNR Y"}


def test_large_pictures_are_resized_in_bands_as_if_they_were_whole() -> None:
    pixels = photograph(1, 600, 24)
    for factors in ({"down": 3}, {"up": 2}, {"up": 3}, {"down": 8}):
        assert np.array_equal(resized(pixels, **factors), whole_bicubic(pixels, **factors))


# Low resolution that is given


def test_low_resolution_may_be_given_in_folders(tmp_path: Path) -> None:
    model = bicubic_model(tmp_path / "m.safetensors", scale=2)
    for name, low_name in (("a", "a"), ("b", "bx2")):
        picture = photograph(ord(name), 41, 60)
        save(tmp_path / "both" / "HR" / f"{name}.png", picture)
        # Not how it would be made: each is its target's nearest pixels.
        save(tmp_path / "both" / "LR" / f"{low_name}.bmp", picture[:40:2, ::2])
    one = numbers(model, "--data", tmp_path / "both", "--measure", "psnr")
    high, low = tmp_path / "both" / "HR", tmp_path / "both" / "LR"
    two = numbers(model, "--data", high, "--data", low, "--measure", "psnr")
    assert one["cases"] == 2
    assert one["values"] == two["values"]
    made = numbers(model, "--data", high, "--measure", "psnr")
    assert made["values"]["m", "PSNR"] > one["values"]["m", "PSNR"] + 0.5

    save(low / "c.png", photograph(3, 20, 20))
    refused = evaluate(model, "--data", tmp_path / "both")
    assert refused.exit_code == 2
    assert "LR/c.png; --allow-missing" in refused.stderr
    allowed = numbers(model, "--data", tmp_path / "both", "--allow-missing", "--measure", "psnr")
    assert allowed["values"] == one["values"]


def test_what_cannot_be_enlarged_is_said_before_anything_runs(tmp_path: Path) -> None:
    model = bicubic_model(tmp_path / "m.safetensors", scale=2)
    high, low, other = (tmp_path / name for name in ("high", "low", "other"))
    save(high / "a.png", photograph(0, 40, 60))
    save(low / "a.png", photograph(0, 20, 30))
    save(other / "b.png", photograph(0, 20, 30))
    for words, reason in (
        ([low, high], "low/a.png has 30×20, and the model enlarges 2 times; --data is high"),
        ([high, high], "a.png: 60×40 pixels, but"),
        ([high, other], "no picture of one has the name of one of the other"),
        ([high, low, other], "3 folders; give one of high resolution"),
        ([tmp_path / "absent"], "absent: no such folder"),
    ):
        told = evaluate(model, *[word for folder in words for word in ("--data", folder)])
        assert told.exit_code == 2, told.output
        assert told.stderr.count("\n") == 1
        assert reason in told.stderr
    told = evaluate(model, "--data", high, "--input", "B")
    assert "always the low resolution that is enlarged" in told.stderr


def test_a_picture_without_a_pixel_left_fails_alone(tmp_path: Path) -> None:
    model = bicubic_model(tmp_path / "m.safetensors")
    save(tmp_path / "data" / "large.png", photograph(0, 40, 40))
    save(tmp_path / "data" / "small.png", photograph(0, 40, 3))
    told = numbers(model, "--data", tmp_path / "data", "--measure", "psnr", code=1)
    assert told["failed"] == ["small.png: 3×40 cannot be shrunk 4 times"]
    assert told["values"]["m", "PSNR"] == told["values"]["bicubic", "PSNR"]


# The sheet


def test_the_sheet_shows_the_part_that_tells_most(tmp_path: Path) -> None:
    picture = np.full((400, 600, 3), 100, np.uint8)
    picture[296:304, 400:520:8] = 250  # stripes, which low resolution mixes
    save(tmp_path / "data" / "p.png", picture)
    tried = to_enlarge([tmp_path / "data"], 4)
    [case] = tried.cases
    assert case.target is not None
    source, target = (
        read(one).pixels.astype(np.float32) for one in (case.source, case.target) if one
    )
    other = tried.baselines["bicubic"](source)
    shown = crops(Comparison("p", source, target, target), {"bicubic": other})
    assert list(shown) == ["input", "bicubic", "output", "target"]
    assert {cell.size for cell in shown.values()} == {(256, 256)}
    seen = np.asarray(shown["target"])
    assert (seen == 250).any(axis=2).sum() == 15 * 8 * 4  # all stripes, twice as high and wide
    # The same place in all: where the target is bright, the others are brighter than its ground.
    bright = (seen == 250).any(axis=2)
    for title in ("input", "bicubic"):
        assert np.asarray(shown[title])[bright].min() > 101
    assert np.array_equal(np.asarray(shown["output"]), seen)

    sheet = tmp_path / "sheet.png"
    model = bicubic_model(tmp_path / "m.safetensors", add=0.1)
    told = evaluate(model, "--data", tmp_path / "data", "--sheet", sheet, "--measure", "psnr")
    assert told.exit_code == 0, told.output
    assert Image.open(sheet).width >= 4 * 256


def test_parts_of_what_is_small_or_of_no_input_are_whole() -> None:
    small = photograph(0, 30, 45).astype(np.float32)
    shown = crops(Comparison("p", small[::3, ::3], small, small), {})
    assert {cell.size for cell in shown.values()} == {(90, 60)}
    alone = crops(Comparison("p", None, small), {})
    assert {title: cell.size for title, cell in alone.items()} == {"output": (90, 60)}


# Numbers of papers


def test_bicubic_on_set5_has_the_figures_of_papers(tmp_path: Path) -> None:
    if "TRANSLATE_TEST_DATA" not in os.environ:
        pytest.skip("TRANSLATE_TEST_DATA names no folder of real data")
    folder = Path(os.environ["TRANSLATE_TEST_DATA"]) / "superres" / "set5"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    model = bicubic_model(tmp_path / "m.safetensors")
    values = numbers(model, "--data", folder, "--measure", "psnr", "--measure", "ssim")["values"]
    # Such as Lim et al. 2017, arXiv:1707.02921, table 2.
    assert values["bicubic", "PSNR Y"] == pytest.approx(28.42, abs=0.05)
    assert values["bicubic", "SSIM Y"] == pytest.approx(0.8104, abs=0.002)
    assert values["m", "PSNR Y"] == pytest.approx(values["bicubic", "PSNR Y"], abs=0.01)
