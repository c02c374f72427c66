"""Reading scenes by program: what is seen in a picture, and how often that is what was asked."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from painter import PLUGIN, save_painter
from translate.cli.group import cli
from translate.errors import TranslateError
from translate.evaluation.measure import Comparison
from translate_datasets import scenes as readers
from translate_datasets.drawing import draw
from translate_datasets.scene import COLOURS, GROUNDS, Scene, all_scenes, describe
from translate_datasets.scenes import Digits, write_printed_digits
from translate_measures.attributes import AttributeOptions, Attributes
from translate_measures.reading import SceneReader, train_reader
from translate_measures.seeing import CROP, look

FakePlugin = Callable[..., str]
Pixels = NDArray[np.float32]

CPU = torch.device("cpu")

torch.set_num_threads(1)


def blocks(*boxes: tuple[int, int, int, int], colour: str = "red", ground: str = "blue") -> Pixels:
    """Return a picture of bars: top, left, height and width."""
    pixels = np.full((32, 32, 3), GROUNDS[ground], np.float32)
    for top, left, height, width in boxes:
        pixels[top : top + height, left : left + width] = COLOURS[colour]
    return pixels


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    folder = tmp_path_factory.mktemp("digits")
    write_printed_digits(folder)
    return Digits([folder])


def drawn(digits: Digits, scene: Scene, seed: int) -> Pixels:
    picture = draw(scene, partial(digits.pick, scene.digit), 32, seed)
    return picture.astype(np.float32)


# What is seen


def test_ground_colour_count_and_size_are_seen() -> None:
    sight = look(blocks((2, 3, 14, 6), (17, 20, 14, 4)))
    assert (sight.ground, sight.colour, sight.count, sight.size) == ("blue", "red", 2, "large")
    sight = look(blocks((4, 4, 9, 5), colour="white", ground="yellow"))
    assert (sight.ground, sight.colour, sight.count, sight.size) == ("yellow", "white", 1, "small")


def test_colours_that_are_off_go_to_the_nearest() -> None:
    noise = np.random.default_rng(0).normal(0, 12, (32, 32, 3)).astype(np.float32)
    sight = look((blocks((4, 4, 14, 6), (4, 18, 14, 6)) + noise + 10).clip(0, 255))
    assert (sight.ground, sight.colour, sight.count, sight.size) == ("blue", "red", 2, "large")


def test_specks_are_no_digits_and_a_blank_picture_has_none() -> None:
    assert look(blocks((4, 4, 14, 6), (25, 25, 2, 2))).count == 1
    for blank in (blocks(), blocks() + np.eye(32, dtype=np.float32)[..., None] * 5):
        sight = look(blank)
        assert (sight.ground, sight.count, sight.colour, sight.size) == ("blue", 0, None, None)
        assert sight.crops.shape == (0, CROP, CROP)


def test_the_colour_is_that_of_digits_however_pale_and_of_no_speck() -> None:
    faint = blocks()
    faint[4:18, 4:10] += (25, -10, -5)
    assert (look(faint).count, look(faint).colour) == (1, "blue")
    spotted = blocks((4, 4, 14, 6), colour="purple")
    spotted[25, 3:28:6] = COLOURS["white"]
    assert (look(spotted).count, look(spotted).colour) == (1, "purple")


def test_more_digits_than_any_caption_asks_for_are_counted() -> None:
    places = [(top, left, 10, 4) for top in (2, 18) for left in (2, 12, 22)]
    assert look(blocks(*places)).count == 6


def test_a_crop_has_one_digit_alone_in_its_middle() -> None:
    # The second one's box reaches into the first one's, an L.
    sight = look(blocks((4, 4, 14, 3), (15, 4, 3, 10), (4, 10, 8, 3)))
    assert sight.count == 2
    ell, bar = sight.crops
    assert bar.shape == (CROP, CROP)
    assert ell[4:14, 14:].max() == 0  # where the other one was
    assert bar[:, 10:14].min(1).max() == 255
    assert bar[:2].max() == bar[-2:].max() == 0


# Reading


@pytest.fixture(scope="module")
def reader(digits: Digits) -> SceneReader:
    scenes = all_scenes()[::7]
    sights = [look(drawn(digits, scene, seed)) for seed, scene in enumerate(scenes)]
    return train_reader(sights, scenes, passes=8, width=4, seed=0, device=CPU)


def test_a_picture_is_read_as_a_scene(digits: Digits, reader: SceneReader) -> None:
    scenes = all_scenes()[1::31]
    right = [reader(drawn(digits, scene, 900)) == scene for scene in scenes]
    assert sum(right) >= 0.95 * len(right)
    assert reader(blocks()) is None


def test_digits_are_read_by_all_crops_of_a_picture(digits: Digits, reader: SceneReader) -> None:
    scenes = [Scene(3, "large", "red", digit, "black") for digit in range(10)]
    sights = [look(drawn(digits, scene, 5)) for scene in scenes]
    blank = look(blocks())
    assert reader.digits([blank, *sights, blank]) == [None, *range(10), None]
    assert reader.digits([]) == []


def test_a_reader_needs_real_digits() -> None:
    with pytest.raises(TranslateError, match="no real scenes to learn digits from"):
        train_reader([], [], passes=1, width=4, seed=0, device=CPU)


# The measure


def measured(
    digits: Digits, made: list[tuple[Scene, Scene, bool]], *, unseen: bool = True
) -> dict[str, float]:
    """Return the numbers of pictures: what is asked for, what is shown, whether it is unseen."""
    measure = Attributes(AttributeOptions(passes=8, width=4), CPU)
    for number, scene in enumerate(all_scenes()[::7]):
        pixels = drawn(digits, scene, number)
        measure.add_captioned(pixels, describe(scene), unseen=unseen and number % 8 == 0)
    measure.add_captioned(blocks(), "a horse", unseen=False)
    for number, (asked, shown, new) in enumerate(made):
        pixels = drawn(digits, shown, 7000 + number)
        measure.add(Comparison("it", None, pixels, value=describe(asked), unseen=new))
    measure.add(Comparison("it", None, blocks(), value="a horse"))
    return {result.name: result.value for result in measure.results()}


def test_each_attribute_is_measured_by_itself_and_unseen_ones_apart(digits: Digits) -> None:
    asked = Scene(2, "small", "red", 7, "blue")
    numbers = measured(
        digits,
        [
            (asked, asked, False),
            (asked, replace(asked, colour="white"), False),
            (asked, replace(asked, count=3), False),
            (asked, replace(asked, ground="black", size="large"), False),
            (asked, replace(asked, digit=0), True),
            (asked, asked, True),
        ],
    )
    learned = {
        name: value for name, value in numbers.items() if "," not in name and " of" not in name
    }
    assert learned == {
        "whole scene": 25, "ground": 75, "colour": 75, "digit": 100, "count": 75, "size": 75,
    }  # fmt: skip
    assert (numbers["digit, unseen"], numbers["whole scene, unseen"]) == (50, 50)
    assert numbers["colour, unseen"] == 100
    for name in ("ground", "colour", "count", "size"):
        assert numbers[f"{name} of real ones"] == 100
    assert numbers["whole scene of real ones"] == numbers["digit of real ones"] > 95


def test_without_unseen_pictures_every_tenth_is_held_out(digits: Digits) -> None:
    asked = all_scenes()[4]
    numbers = measured(digits, [(asked, asked, False)], unseen=False)
    assert numbers["whole scene of real ones"] > 90
    assert not any("unseen" in name for name in numbers)


def test_captions_of_other_things_are_passed_over() -> None:
    measure = Attributes(AttributeOptions(), CPU)
    measure.add_captioned(blocks(), "a horse", unseen=False)
    measure.add(Comparison("it", None, blocks(), value="a horse"))
    measure.add(Comparison("it", None, blocks()))
    assert measure.results() == []


# The command


def test_a_model_of_texts_is_evaluated_on_scenes(
    fake_plugin: FakePlugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_plugin(PLUGIN)
    monkeypatch.setattr(readers, "_MADE", 30)
    monkeypatch.setattr(readers, "_REAL", (300, 40))
    write_printed_digits(tmp_path / "digits")
    model = save_painter(tmp_path / "painter.safetensors", tmp_path / "digits")
    words = ["evaluate", model, "--data", tmp_path / "digits", "--device", "cpu", "--json"]
    words += [
        "--measure",
        "attributes",
        "--set",
        "attributes.width=4",
        "--set",
        "attributes.passes=8",
    ]
    words += ["--sheet", tmp_path / "sheet.png"]
    result = CliRunner().invoke(cli, list(map(str, words)), prog_name="translate")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["compares"], told["cases"], told["failed"]) == ("captions", 60, [])
    assert "60 scenes, beside 340 real ones" in result.stderr
    assert {one["measure"] for one in told["results"]} == {"attributes"}
    numbers = {one["name"]: one["value"] for one in told["results"]}
    assert numbers["ground"] == numbers["colour"] == numbers["count"] == numbers["size"] == 100
    assert numbers["digit"] > 80
    assert numbers["colour, unseen"] == numbers["whole scene, unseen"] == 0
    assert numbers["count, unseen"] == 100
    assert numbers["colour of real ones"] == 100
    assert Image.open(tmp_path / "sheet.png").height > 32


COUNT = """
@hookimpl
def register_measures(register):
    register(name="count", summary="s", compares="sets", factory=__name__ + "_heavy:Count")
"""
COUNT_CODE = """
from translate import Measure, Result

class Count(Measure):
    real = made = 0
    def add(self, comparison):
        assert comparison.target is not None
        self.made += 1
    def add_real(self, pixels):
        self.real += 1
    def results(self):
        return [Result("made", self.made, ""), Result("real", self.real, "")]
"""


def test_real_pictures_of_captions_are_shown_to_measures_of_sets_once(
    fake_plugin: FakePlugin, tmp_path: Path
) -> None:
    fake_plugin(PLUGIN + COUNT, heavy=COUNT_CODE)
    write_printed_digits(tmp_path / "digits")
    model = save_painter(tmp_path / "painter.safetensors", tmp_path / "digits", "captioned")
    (tmp_path / "data").mkdir()
    for number, scene in enumerate(all_scenes()[::400]):
        Image.new("RGB", (40, 30)).save(tmp_path / "data" / f"{number}.png")
        (tmp_path / "data" / f"{number}.txt").write_text(describe(scene))
    words = ["evaluate", model, "--data", tmp_path / "data", "--measure", "count", "--json"]
    result = CliRunner().invoke(cli, list(map(str, words)), prog_name="translate")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert {one["name"]: one["value"] for one in told["results"]} == {"made": 4, "real": 4}
    assert "4 captions, beside 4 pictures, 0 of which" in told["data"]


def test_real_scenes_of_mnist_are_read_nearly_without_mistake() -> None:
    if "TRANSLATE_TEST_DATA" not in os.environ:
        pytest.skip("TRANSLATE_TEST_DATA names no folder of real data")
    folder = Path(os.environ["TRANSLATE_TEST_DATA"]) / "mnist"
    measure = Attributes(AttributeOptions(passes=3, width=8), CPU)
    source, test = Digits([folder]), Digits([folder], split="test")
    every = all_scenes()
    for number in range(1900):
        scene = every[number * 7 % len(every)]
        unseen = number >= 1500
        pixels = drawn(test if unseen else source, scene, number)
        measure.add_captioned(pixels, describe(scene), unseen=unseen)
    measure.add(Comparison("it", None, pixels, value=describe(scene)))
    numbers = {result.name: result.value for result in measure.results()}
    for name in ("ground", "colour", "count", "size"):
        assert numbers[f"{name} of real ones"] > 99
    assert numbers["digit of real ones"] > 95
