"""The measure of classes, and evaluating models that start from no picture."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image

from latents import CLASSES, save_latent
from translate.cli.group import cli
from translate.errors import TranslateError
from translate.evaluation.measure import Comparison
from translate_measures.classes import Classes, ClassOptions, spread

CPU = torch.device("cpu")

torch.set_num_threads(1)


def shape(label: int, seed: int, size: int = 16) -> NDArray[np.float32]:
    """Return a bar that stands (0), lies (1), or a square (2), at a place of its own."""
    pixels = np.zeros((size, size, 3), np.float32)
    down, right = np.random.default_rng((label, seed)).integers(0, size - 9, 2)
    height, width = ((9, 3), (3, 9), (6, 6))[label]
    pixels[down : down + height, right : right + width] = 255
    return pixels


def measured(made: list[tuple[int, NDArray[np.float32]]], **options: Any) -> dict[str, float]:
    """Return the numbers of pictures that were asked for with these labels."""
    measure = Classes(ClassOptions(passes=30, width=8, **options), CPU)
    for number in range(300):
        measure.add_labelled(shape(number % 3, number), number % 3, unseen=number >= 240)
    for label, pixels in made:
        measure.add(Comparison("it", None, pixels, label=label))
    return {result.name: result.value for result in measure.results()}


def test_pictures_of_the_class_asked_for_are_seen_and_are_as_varied_as_real_ones() -> None:
    numbers = measured([(n % 3, shape(n % 3, 1000 + n)) for n in range(60)])
    assert numbers["on real ones"] > 95
    assert numbers["class accuracy"] > 95
    assert numbers["spread"] == pytest.approx(1, abs=0.1)


def test_pictures_of_another_class_and_one_picture_for_all_are_told() -> None:
    made = [(n % 3, shape(n % 3, 1000 + n)) for n in range(60) if n % 3]
    numbers = measured([*made, *[(0, shape(1, 7))] * 20])
    assert numbers["worst class"] < 10
    assert numbers["class accuracy"] == pytest.approx(200 / 3, abs=5)
    assert numbers["least spread"] == 0
    assert numbers["spread"] == pytest.approx(2 / 3, abs=0.1)


def test_without_unseen_pictures_every_tenth_is_held_out() -> None:
    measure = Classes(ClassOptions(passes=1), CPU)
    for number in range(60):
        measure.add_labelled(shape(number % 3, number), number % 3, unseen=False)
    measure.add(Comparison("it", None, shape(0, 1), label=0))
    protocols = {result.name: result.protocol for result in measure.results()}
    assert "over 54 real ones" in protocols["class accuracy"]
    assert protocols["on real ones"].startswith("of 6 others")


def test_spread_is_the_mean_over_pairs_of_the_root_mean_square_difference() -> None:
    images = torch.tensor([0.0, 1.0, 3.0]).view(3, 1, 1, 1).expand(3, 1, 2, 2)
    assert spread(images) == pytest.approx((1 + 2 + 3) / 3, rel=1e-6)
    assert spread(images[:1].expand(4, 1, 2, 2)) == 0


def test_pictures_of_another_size_are_refused() -> None:
    measure = Classes(ClassOptions(), CPU)
    measure.add_labelled(shape(0, 0), 0, unseen=False)
    measure.add(Comparison("it", None, shape(0, 0, 20), label=0))
    with pytest.raises(TranslateError, match="of 20×20 and 1 channels are made, but the real ones"):
        measure.results()
    with pytest.raises(TranslateError, match="no class was asked for"):
        measure.add(Comparison("it", None, shape(0, 0)))


# The command


@pytest.fixture
def data(tmp_path: Path, home: Path) -> Path:
    for split, count in (("train", 12), ("test", 3)):
        for label, name in enumerate(CLASSES):
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                image = Image.fromarray(shape(label, number).astype(np.uint8))
                image.save(folder / f"{number}.png")
    save_latent(home / "models" / "insects.safetensors")
    save_latent(home / "models" / "blots.safetensors", "gan")
    return tmp_path / "data"


def evaluate(*words: str | Path) -> Result:
    line = ["evaluate", *map(str, words), "--device", "cpu", "--set", "classes.passes=1"]
    return CliRunner().invoke(cli, line, prog_name="translate")


def test_a_model_of_classes_is_evaluated_on_its_kind_of_data(data: Path, tmp_path: Path) -> None:
    result = evaluate("insects", "--data", data, "--json", "--sheet", tmp_path / "s.png")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["compares"], found["cases"]) == ("classes", 600)
    assert "200 pictures of each of 3 classes, beside 45 real ones" in result.stderr
    numbers = {one["name"]: one for one in found["results"]}
    assert {"class accuracy", "worst class", "on real ones", "spread"} <= numbers.keys()
    assert "of 9 others" in numbers["on real ones"]["protocol"]
    assert "over 36 real ones" in numbers["class accuracy"]["protocol"]
    assert 0 <= numbers["class accuracy"]["value"] <= 100
    assert numbers["spread"]["value"] > 0
    assert (tmp_path / "s.png").is_file()


def test_what_cannot_be_evaluated_says_why(data: Path) -> None:
    for words, reason in (
        (("insects", "--data", data, "--measure", "l1"), "measure l1: compares pairs"),
        (("insects", "--data", data, "--compare", "sets"), "reads no picture"),
        (("blots", "--data", data / "train" / "ant"), r"not measured: fid, kid \(need inception"),
    ):
        result = evaluate(*words)
        assert result.exit_code == 2, result.output
        assert re.search(reason, result.stderr), result.stderr
