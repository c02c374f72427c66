"""A model is tried on pairs that are read as those were that it learned from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import kornia
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image

from simple_methods import save_simple
from tiny import finish, save_picture, start
from translate.bundle import save_bundle
from translate.cli.group import cli
from translate.errors import UsageError
from translate.evaluation.data import EvaluationSet, PictureSource, read
from translate.method import Export
from translate.model import Header
from translate.options import Facts, build
from translate_datasets.making import ConstantColour, as_edges
from translate_datasets.paired import Paired, PairedOptions
from translate_datasets.unpaired import Unpaired, UnpairedOptions
from translate_pix2pix.colorize import Colorize, ColorizeOptions

FakePlugin = Callable[..., str]
Pixels = NDArray[np.uint8]

PLUGIN = """
@hookimpl
def register_methods(register):
    register(
        name="simple", summary="adds a number", source="image", data="paired",
        factory="simple_methods:Simple",
    )
"""
SHIFT = 20 / 127.5  # the model makes every number 20 larger
EXPORT = Export(None, {"image": "a"}, like="b")  # type: ignore[arg-type]


def noise(seed: int, *shape: int) -> Pixels:
    return np.random.default_rng(seed).integers(40, 200, shape, dtype=np.uint8)


def save(path: Path, pixels: Pixels) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def trained(tmp_path: Path, fake_plugin: FakePlugin) -> Callable[..., Path]:
    """Return ``trained(**data)``: a model that adds 20, and says that it learned from such data."""
    fake_plugin(PLUGIN)

    def make(name: str = "plus", **data: Any) -> Path:
        training = {"data": build(PairedOptions, data, what="data").model_dump(mode="json")}
        return save_simple(tmp_path / f"{name}.safetensors", shift=SHIFT, training=training)

    return make


def evaluate(*words: object) -> Result:
    fixed = ["evaluate", *map(str, words), "--device", "cpu"]
    return CliRunner().invoke(cli, fixed, prog_name="translate")


def values(*words: object, code: int = 0) -> dict[tuple[str, str], float]:
    """Return what the command measures, by (of, name)."""
    result = evaluate(*words, "--json")
    assert result.exit_code == code, result.output
    told = json.loads(result.stdout)["results"]
    return {(one["of"], one["name"]): one["value"] for one in told}


def tried(*folders: Path, side: Any = None, **data: Any) -> EvaluationSet:
    options = build(PairedOptions, data, what="data")
    return Paired.evaluation(folders, options, {}, EXPORT, side=side)


def pixels_of(source: PictureSource | None) -> NDArray[Any]:
    assert source is not None
    return read(source).pixels


def lab(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return (3, H, W) Lab of (H, W, C) in [0, 255], by kornia."""
    planes = torch.from_numpy(np.asarray(pixels, np.float64) / 255).permute(2, 0, 1)
    return np.asarray(kornia.color.rgb_to_lab(planes.expand(3, -1, -1)))


# How they were found in training


def test_a_list_of_pairs_is_read_as_it_is(trained: Callable[..., Path], tmp_path: Path) -> None:
    x = noise(0, 20, 24, 3)
    save(tmp_path / "x" / "one.png", x)
    save(tmp_path / "y" / "two.png", x + np.uint8(22))
    listed = tmp_path / "pairs.csv"
    listed.write_text("from,to\nx/one.png,y/two.png\n")
    told = values(trained(), "--data", listed, "--measure", "l1")
    assert told["plus", "L1"] == pytest.approx(2 / 255)
    assert told["input unchanged", "L1"] == pytest.approx(22 / 255)
    listed.write_text("from,to\nx/one.png,y/two.png\nx/gone.png,y/two.png\n")
    refused = evaluate(trained(), "--data", listed)
    assert refused.exit_code == 2
    assert "gone.png; --allow-missing leaves" in refused.stderr
    assert values(trained(), "--data", listed, "--allow-missing", "--measure", "l1") == told


def test_halves_and_direction_are_those_of_the_training(
    trained: Callable[..., Path], tmp_path: Path
) -> None:
    x = noise(0, 20, 24, 3)
    data = tmp_path / "data"
    save(data / "x.png", np.concatenate([x + np.uint8(20), x], axis=1))
    there, back = (trained(way, pairs="side-by-side", direction=way) for way in ("a2b", "b2a"))
    words = ["--data", data, "--measure", "l1"]
    assert values(back, *words)["b2a", "L1"] == 0
    assert values(there, *words)["a2b", "L1"] == pytest.approx(40 / 255)
    # What the user says comes first.
    assert values(back, *words, "--input", "A")["b2a", "L1"] == pytest.approx(40 / 255)
    assert values(there, *words, "--input", "B")["a2b", "L1"] == 0
    assert values(there, *words, "--set", "data.direction=b2a")["a2b", "L1"] == 0
    assert "1 pairs of" in evaluate(back, *words).stderr
    assert ", side by side, b to a" in evaluate(back, *words).stderr


def test_a_model_that_does_not_say_how_it_was_trained_gets_the_defaults(
    trained: Callable[..., Path], tmp_path: Path
) -> None:
    for side, more in (("A", 0), ("B", 20)):
        save(tmp_path / f"test{side}" / "0.png", noise(0, 20, 24, 3) + np.uint8(more))
    trained()
    silent = save_simple(tmp_path / "silent.safetensors", shift=SHIFT)
    old = {"data": {"direction": "a2b", "renamed_since": 3}}
    older = save_simple(tmp_path / "older.safetensors", shift=SHIFT, training=old)
    odd = {"data": {"direction": "sideways"}}
    wrong = save_simple(tmp_path / "wrong.safetensors", shift=SHIFT, training=odd)
    words = ["--data", tmp_path, "--measure", "l1"]
    assert values(silent, *words)["silent", "L1"] == 0
    assert values(older, *words)["older", "L1"] == 0
    refused = evaluate(wrong, *words)
    assert refused.exit_code == 2
    assert "data: direction: " in refused.stderr
    assert values(wrong, *words, "--set", "data.direction=a2b")["wrong", "L1"] == 0
    misspelt = evaluate(silent, *words, "--set", "data.pears=folders")
    assert "data: no option pears (did you mean pairs" in misspelt.stderr


READER = """
@hookimpl
def register_datasets(register):
    register(name="negatives", kind="paired", summary="s", factory=__name__ + "_heavy:Negatives")
"""
READER_CODE = """
from functools import partial
from translate import Case, Dataset, EvaluationSet
from translate.pipeline import image_files, read_rgb

class Negatives(Dataset):
    @classmethod
    def evaluation(cls, folders, options, needs, export, compare=None, side=None):
        cases = [Case(f.name, f, lambda: read_rgb(f) + 21) for f in image_files(folders[0])]
        return EvaluationSet("pairs", cases)
    def __len__(self): return 0
    def describe(self): return ""
    def sample(self, number, seed): return {}
"""


def test_the_reader_is_the_one_that_it_was_trained_with(
    trained: Callable[..., Path], fake_plugin: FakePlugin, tmp_path: Path
) -> None:
    trained()
    fake_plugin(READER, name="reader", heavy=READER_CODE)
    save(tmp_path / "data" / "x.png", noise(0, 20, 24, 3))
    for training, code in (({"dataset": "negatives"}, 0), ({"dataset": None}, 2)):
        one = save_simple(tmp_path / "one.safetensors", shift=SHIFT, training=training)
        assert evaluate(one, "--data", tmp_path / "data", "--measure", "l1").exit_code == code


# Where they lie


def test_what_is_held_out_comes_before_what_was_trained_on(tmp_path: Path) -> None:
    for names in (("trainA", "trainB"), ("A", "B"), ("testA", "testB")):
        for name in names:
            save_picture(tmp_path / name / f"{names[0]}.png", 1)
        [case] = tried(tmp_path).cases
        assert case.name == f"{names[0]}.png"
    [two] = tried(tmp_path / "A", tmp_path / "B").cases
    assert two.name == "A.png"
    with pytest.raises(UsageError, match=r"needs the folders testA and testB inside.*data\.pairs"):
        tried(tmp_path / "testA")
    with pytest.raises(UsageError, match="no such folder"):
        tried(tmp_path / "absent")


def test_of_single_pictures_too(tmp_path: Path) -> None:
    for place in ("x", "train", "val", "test"):
        save_picture(tmp_path / place / f"{place}.png", 1)
        [case] = tried(tmp_path, pairs="grey").cases
        assert Path(case.name).name == f"{place}.png"


def test_no_pairs_need_to_match_where_sets_are_compared(
    trained: Callable[..., Path], tmp_path: Path
) -> None:
    for side in "AB":
        save_picture(tmp_path / f"test{side}" / f"{side}.png", 1)
    refused = evaluate(trained(), "--data", tmp_path)
    assert refused.exit_code == 2
    assert "no two pictures belong together" in refused.stderr
    options = build(PairedOptions, {}, what="data")
    assert Paired.evaluation([tmp_path], options, {}, EXPORT, "sets").compares == "sets"


# How they were read


def test_pairs_are_whole_however_training_cut_and_changed_them(tmp_path: Path) -> None:
    x = noise(0, 40, 56, 3)
    save(tmp_path / "A" / "0.png", x)
    save(tmp_path / "B" / "0.png", 255 - x)
    for mode in ("resize-and-crop", "zoom", "crop", "native"):
        [case] = tried(tmp_path, mode=mode, size=64, load=72, colour=1, flip=True).cases
        assert np.array_equal(pixels_of(case.source), x)
        assert np.array_equal(pixels_of(case.target), 255 - x)


def test_sizes_match_as_in_training(trained: Callable[..., Path], tmp_path: Path) -> None:
    save(tmp_path / "A" / "0.png", np.full((10, 14, 3), 100, np.uint8))
    save(tmp_path / "B" / "0.png", np.full((20, 28, 3), 121, np.uint8))
    matching = trained("matching", match_sizes=True)
    told = values(matching, "--data", tmp_path, "--measure", "l1")
    assert told["matching", "L1"] == pytest.approx(1 / 255)
    assert told["input unchanged", "L1"] == pytest.approx(21 / 255)
    refused = evaluate(trained(), "--data", tmp_path, "--measure", "l1")
    assert refused.exit_code == 1
    assert "data.match_sizes=true resizes the first" in refused.stderr
    [back] = tried(tmp_path, match_sizes=True, direction="b2a").cases
    assert pixels_of(back.target).shape == (20, 28, 3)  # still the first of the files


def test_ground_and_channels_are_those_of_training(tmp_path: Path) -> None:
    clear = np.tile(np.array([9, 9, 9, 0], np.uint8), (20, 20, 1))
    for side in "AB":
        save(tmp_path / side / "0.png", clear)
    [case] = tried(tmp_path, ground="black", channels_a=1).cases
    assert pixels_of(case.source).tolist() == np.zeros((20, 20, 1)).tolist()
    assert pixels_of(case.target).tolist() == np.zeros((20, 20, 3)).tolist()


def test_what_fails_is_one_line_whatever_its_name(
    trained: Callable[..., Path], tmp_path: Path
) -> None:
    save(tmp_path / "data" / "fine.png", noise(0, 20, 24, 3))
    (tmp_path / "data" / "two\nlines.png").write_bytes(b"")
    model = trained(pairs="side-by-side")
    result = evaluate(model, "--data", tmp_path / "data", "--measure", "l1", "-q")
    assert result.exit_code == 1
    failed, counted = result.stderr.splitlines()
    assert failed.startswith("failed: two\\nlines.png: ")
    assert failed.endswith("empty file")
    assert "1 of 2 pictures failed" in counted


def test_greys_of_photographs_are_measured_beside_grey_and_one_colour(
    fake_plugin: FakePlugin, tmp_path: Path
) -> None:
    fake_plugin(PLUGIN)
    training = {"data": {"pairs": "grey"}}
    pale = save_simple(tmp_path / "pale.safetensors", mode=("L", "RGB"), training=training)
    tinted = np.arange(20, 180, 2)[:, None, None] * np.array([1.4, 1, 0.6])
    photograph = np.tile(tinted, (1, 12, 1)).astype(np.uint8)
    save(tmp_path / "data" / "0.png", photograph)
    result = evaluate(pale, "--data", tmp_path / "data")
    assert "1 pairs of" in result.stderr
    assert "made grey; constant colour: their own mean" in result.stderr
    told = values(pale, "--data", tmp_path / "data", "--measure", "ab", "--measure", "l1")
    assert {of for of, _ in told} == {"pale", "grey", "constant colour"}
    expected = float(np.hypot(*lab(photograph)[1:]).mean())
    assert told["grey", "ab distance"] == pytest.approx(expected, rel=0.02)
    assert told["pale", "ab distance"] == pytest.approx(expected, rel=0.02)
    assert told["constant colour", "ab distance"] < 0.6 * expected


def test_edges_are_those_of_the_size_that_the_model_works_at(tmp_path: Path) -> None:
    save(tmp_path / "0.png", np.repeat(np.repeat(noise(0, 6, 8, 3), 16, 0), 16, 1))  # 96×128
    [case] = tried(tmp_path, pairs="edges", size=32, load=32).cases
    drawn, photograph = pixels_of(case.source), pixels_of(case.target)
    assert drawn.shape == (28, 37, 1)
    assert photograph.shape == (28, 37, 3)
    assert set(np.unique(drawn)) == {0, 255}
    made = as_edges(torch.from_numpy(photograph).permute(2, 0, 1)[None] / 127.5 - 1)
    assert np.array_equal(drawn[..., 0] == 0, made[0, 0].numpy() == -1)
    [whole] = tried(tmp_path, pairs="edges", mode="native").cases
    assert pixels_of(whole.source).shape == (96, 128, 1)
    [back] = tried(tmp_path, pairs="edges", mode="native", direction="b2a").cases
    assert np.array_equal(pixels_of(back.target), pixels_of(whole.source))
    assert tried(tmp_path, pairs="edges").baselines.keys() == {"input unchanged"}


def test_what_a_trained_model_says_of_its_data_reaches_the_evaluation(tmp_path: Path) -> None:
    x = noise(0, 32, 32, 3)
    data = tmp_path / "data"
    save(data / "x.png", np.concatenate([x, 255 - x], axis=1))
    small: Mapping[str, Any] = {"width": 4, "widest": 2, "halvings": 4, "critic_width": 4}
    told: Mapping[str, Any] = {
        "data__pairs": "side-by-side",
        "data__direction": "b2a",
        "data__channels_b": 1,
    }
    run = start(
        tmp_path / "run", data, method="pix2pix", critic_layers=1, **small, **told
    )  # one channel in, three out
    [model] = finish(run)
    words = ["--data", data, "--measure", "l1", "--set", "deterministic=true"]
    result = values(model, *words)
    assert 0 < result["generator", "L1"] < 1
    grey = np.asarray(Image.fromarray(255 - x).convert("L"), np.float64)[..., None]
    expected = np.abs(grey - x).mean() / 255
    assert result["input unchanged", "L1"] == pytest.approx(expected, rel=0.01)


# Photographs that are coloured


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """A colorize model that has learned nothing."""
    options = ColorizeOptions(width=4, halvings=2, fold=2, spacing=40)
    method = Colorize(options, Facts())
    header = Header(
        method="colorize",
        options=options.model_dump(mode="json"),
        export="colours",
        working_size=32,
    )
    path = tmp_path / "colours.safetensors"
    save_bundle(path, header, method.network.state_dict())
    return path


def test_a_model_that_colours_is_tried_on_photographs(colours: Path, tmp_path: Path) -> None:
    for number in range(3):
        save_picture(tmp_path / "photos" / f"{number}.png", number, (40, 32))
    result = evaluate(colours, "--data", tmp_path / "photos")
    assert "3 photographs in" in result.stderr
    assert re.search("colours +grey +constant colour", result.stdout.splitlines()[0])
    told = values(colours, "--data", tmp_path / "photos", "--measure", "ab")
    assert 0 < told["constant colour", "ab distance"] < told["grey", "ab distance"]


def test_photographs_are_those_that_are_held_out(tmp_path: Path) -> None:
    needs, options = {"input": "grey"}, UnpairedOptions()
    for place in ("x", "trainA", "test", "testA"):
        save_picture(tmp_path / place / f"{place}.png", 1)
        found = Unpaired.evaluation([tmp_path], options, needs, EXPORT)
        assert found.cases[-1].name == (f"{place}.png" if place != "x" else "x/x.png")
    save_picture(tmp_path / "testB" / "b.png", 1)
    [case] = Unpaired.evaluation([tmp_path], options, needs, EXPORT, side="B").cases
    assert case.name == "b.png"
    light = [lab(pixels_of(one))[0] for one in (case.source, case.target)]
    assert np.abs(light[0] - light[1]).max() < 0.4  # half a step of 8 bits
    # Two folders, and models that do not colour, are what they are for everybody.
    folders = [tmp_path / "testA", tmp_path / "testB"]
    assert Unpaired.evaluation(folders, options, needs, EXPORT).compares == "sets"
    assert Unpaired.evaluation([tmp_path], options, {}, EXPORT).compares == "sets"


def test_one_colour_keeps_lightness_and_is_the_mean_of_what_can_be_read() -> None:
    def photograph(*colour: int) -> Callable[[], Pixels]:
        return lambda: np.tile(np.array(colour, np.uint8), (8, 8, 1))

    def unreadable() -> Pixels:
        raise UsageError("cut short")

    red, blue = (140, 110, 110), (110, 110, 140)
    one = ConstantColour([photograph(*red), unreadable, photograph(*blue)])
    grey = np.full((300, 8, 3), 120, np.float32)  # more rows than are taken at once
    made = one(grey)
    assert made.shape == grey.shape

    expected = sum(lab(photograph(*colour)())[1:].mean((1, 2)) for colour in (red, blue)) / 2
    assert lab(made)[1:].mean((1, 2)) == pytest.approx(expected, abs=0.1)
    assert np.abs(lab(made)[0] - lab(grey)[0]).max() < 0.1
