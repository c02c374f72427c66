"""``translate evaluate``: what is compared with what, in which numbers, and what goes wrong."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image

import translate
from simple_methods import PLUGIN, save_simple
from translate.cli.group import cli
from translate.errors import UsageError
from translate.evaluation.folders import find
from translate.host import Host
from translate.method import Export

FakePlugin = Callable[..., str]

SHIFT = 20 / 127.5  # the model makes every number 20 larger


@pytest.fixture
def model(tmp_path: Path, fake_plugin: FakePlugin) -> Path:
    """A model that adds 20."""
    fake_plugin(PLUGIN)
    return save_simple(tmp_path / "plus.safetensors", shift=SHIFT)


def pixels(seed: int, size: tuple[int, int] = (20, 16)) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return rng.integers(40, 200, (size[1], size[0], 3), dtype=np.uint8)


def save(path: Path, values: NDArray[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def pairs(folder: Path, *differences: int, size: tuple[int, int] = (20, 16)) -> Path:
    """Write inputs in testA, and targets as much larger in testB."""
    for number, difference in enumerate(differences):
        x = pixels(number, size)
        save(folder / "testA" / f"{number}.png", x)
        save(folder / "testB" / f"{number}.png", (x.astype(int) + difference).astype(np.uint8))
    return folder


def evaluate(*words: object) -> Result:
    fixed = ["evaluate", *map(str, words), "--device", "cpu"]
    return CliRunner().invoke(cli, fixed, prog_name="translate")


def numbers(*words: object, code: int = 0) -> dict[str, Any]:
    """Return what the command prints as JSON, with its results by (of, name)."""
    result = evaluate(*words, "--json")
    assert result.exit_code == code, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    told["values"] = {(one["of"], one["name"]): one["value"] for one in told["results"]}
    return told


def psnr(difference: float) -> float:
    return 20 * math.log10(255 / difference)


# Pairs


def test_pairs_are_measured_with_the_model_and_with_the_input_unchanged(
    model: Path, tmp_path: Path
) -> None:
    told = numbers(model, "--data", pairs(tmp_path / "data", 25, 18))
    assert (told["compares"], told["cases"], told["failed"]) == ("pairs", 2, [])
    values = told["values"]
    assert values["plus", "L1"] == pytest.approx((5 + 2) / 2 / 255)
    assert values["plus", "PSNR"] == pytest.approx((psnr(5) + psnr(2)) / 2)
    assert values["input unchanged", "L1"] == pytest.approx((25 + 18) / 2 / 255)
    assert values["input unchanged", "PSNR"] == pytest.approx((psnr(25) + psnr(18)) / 2)
    assert 0.9 < values["plus", "SSIM"] < 1
    for one in told["results"]:
        assert "2 pictures" in one["protocol"]
        assert "RGB" in one["protocol"]
        assert "float32 on cpu" in one["run"]


def test_the_table_has_a_row_for_each_measure_and_a_column_for_each_model(
    model: Path, tmp_path: Path
) -> None:
    result = evaluate(model, "--data", pairs(tmp_path / "data", 25))
    assert result.exit_code == 0
    head, l1, ratio, *_ = result.stdout.splitlines()
    assert head.split("  ")[0] == "MEASURE"
    assert "plus" in head
    assert "input unchanged" in head
    assert l1.split()[:3] == ["L1", "0.0196", "0.0980"]
    assert ratio.split()[:5] == ["PSNR", "34.15", "dB", "20.17", "dB"]
    assert "model run: whole pictures; float32 on cpu; seed 0" in result.stdout
    assert "1 pairs of" in result.stderr
    quiet = evaluate(model, "--data", tmp_path / "data", "-q")
    assert (quiet.stdout, quiet.stderr) == (result.stdout, "")


def test_a_perfect_model_has_no_bound_and_json_stays_json(model: Path, tmp_path: Path) -> None:
    told = numbers(model, "--data", pairs(tmp_path / "data", 20), "--measure", "psnr")
    assert told["values"]["plus", "PSNR"] is None
    assert "equal their targets" in told["results"][0]["protocol"]


def test_options_of_the_run_are_those_of_translating(model: Path, tmp_path: Path) -> None:
    data = pairs(tmp_path / "data", 25)
    told = numbers(model, "--data", data, "--set", "strength=0.5", "--measure", "l1")
    assert told["values"]["plus", "L1"] == pytest.approx(15 / 255)
    assert "strength=0.5" in told["results"][0]["run"]
    told = numbers(model, "--data", data, "--size", 8, "--precision", "bf16")
    assert "8×8 pixels" in told["results"][0]["run"]
    assert "bfloat16" in told["results"][0]["run"]
    result = evaluate(model, "--data", data, "--set", "sterngth=1")
    assert result.exit_code == 2
    assert "no option sterngth" in result.stderr


def test_depth_grey_and_transparency_are_measured_as_they_are_seen(
    model: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    for side in "AB":
        (data / f"test{side}").mkdir(parents=True)
    deep = pixels(0).astype(np.uint16) * 257
    for side, values in (("A", deep), ("B", deep + 20 * 257 + 128)):  # half a step of 8 bits
        cv2.imwrite(str(data / f"test{side}" / "deep.png"), values)
    told = numbers(model, "--data", data, "--measure", "l1")
    assert told["values"]["plus", "L1"] == pytest.approx(128 / 65535, rel=0.01)

    grey, colour = pixels(1)[..., 0], tmp_path / "grey"
    save(colour / "testA" / "g.png", grey)
    save(colour / "testB" / "g.png", np.stack([grey + 20, grey + 20, grey + 26], axis=-1))
    told = numbers(model, "--data", colour, "--measure", "l1")
    assert told["values"]["plus", "L1"] == pytest.approx(2 / 255)

    clear = tmp_path / "clear"
    see_through = np.concatenate([pixels(2), np.zeros((16, 20, 1), np.uint8)], axis=-1)
    save(clear / "testA" / "c.png", see_through)
    save(clear / "testB" / "c.png", np.full((16, 20, 3), 245, np.uint8))
    told = numbers(model, "--data", clear, "--measure", "l1")
    assert told["values"]["plus", "L1"] == pytest.approx(10 / 255)  # all white


def test_a_model_that_enlarges_is_not_held_against_its_input(
    fake_plugin: FakePlugin, tmp_path: Path
) -> None:
    fake_plugin(PLUGIN)
    twice = save_simple(tmp_path / "twice.safetensors", scale=2)
    x = pixels(0)
    save(tmp_path / "A" / "x.png", x)
    save(tmp_path / "B" / "x.png", x.repeat(2, axis=0).repeat(2, axis=1) + np.uint8(3))
    told = numbers(twice, "--data", tmp_path, "--measure", "l1")
    assert told["values"] == {("twice", "L1"): pytest.approx(3 / 255)}


# What belongs together


def test_the_export_says_which_side_is_translated(tmp_path: Path) -> None:
    pairs(tmp_path, 1)
    for reads, like, side in (("a", "b", "A"), ("b", "a", "B"), ("noisy", None, "A")):
        export = Export(None, {"image": reads}, like=like)  # type: ignore[arg-type]
        [case] = find([tmp_path], export).cases
        other = "B" if side == "A" else "A"
        assert case.source == tmp_path / f"test{side}" / "0.png"
        assert case.target == tmp_path / f"test{other}" / "0.png"


def test_the_side_can_be_said(model: Path, tmp_path: Path) -> None:
    data = pairs(tmp_path / "data", -20)
    told = numbers(model, "--data", data, "--input", "B", "--measure", "l1")
    assert told["values"]["plus", "L1"] == 0
    told = numbers(model, "--data", data, "--measure", "l1")
    assert told["values"]["plus", "L1"] == pytest.approx(40 / 255)


def test_two_folders_are_inputs_and_targets(model: Path, tmp_path: Path) -> None:
    data = pairs(tmp_path / "data", 20)
    told = numbers(
        model, "--data", data / "testA", "--data", data / "testB", "--input", "B", "--measure", "l1"
    )
    assert told["values"]["plus", "L1"] == 0


def test_names_match_whatever_their_suffixes_and_all_must(model: Path, tmp_path: Path) -> None:
    data = pairs(tmp_path / "data", 25, 25)
    (data / "testB" / "0.png").rename(data / "testB" / "0.bmp")  # PNG inside, which is read
    (data / "testB" / "1.png").rename(data / "testB" / "one.png")
    result = evaluate(model, "--data", data)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    for name in ("testA/1.png", "testB/one.png", "--allow-missing"):
        assert name in result.stderr
    allowed = evaluate(model, "--data", data, "--allow-missing", "--measure", "l1")
    assert allowed.exit_code == 0
    assert "0.0196" in allowed.stdout
    assert "mean of 1 pictures" in allowed.stdout
    assert "left aside" in allowed.stderr


def test_two_pictures_for_one_pair_are_refused(model: Path, tmp_path: Path) -> None:
    data = pairs(tmp_path / "data", 25)
    save(data / "testA" / "0.bmp", pixels(0))
    result = evaluate(model, "--data", data)
    assert result.exit_code == 2
    assert "two pictures for one pair" in result.stderr


def test_names_that_match_by_chance_can_be_called_sets(tmp_path: Path) -> None:
    pairs(tmp_path, 1, 2)
    export = Export(None, {"image": "a"})  # type: ignore[arg-type]
    tried = find([tmp_path], export, "sets")
    assert tried.compares == "sets"
    assert [case.target for case in tried.cases] == [None, None]
    assert len(tried.real) == 2
    (tmp_path / "testB" / "0.png").rename(tmp_path / "testB" / "x.png")
    (tmp_path / "testB" / "1.png").rename(tmp_path / "testB" / "y.png")
    assert find([tmp_path], export).compares == "sets"
    with pytest.raises(UsageError, match="no picture of one has the name"):
        find([tmp_path], export, "pairs")


# What goes wrong


def test_a_picture_that_fails_is_reported_and_the_others_are_measured(
    model: Path, tmp_path: Path
) -> None:
    data = pairs(tmp_path / "data", 25, 25, 25, 25)
    bad = data / "testA" / "1.png"
    bad.write_bytes(bad.read_bytes()[:200])
    save(data / "testB" / "2.png", pixels(2, (20, 17)))
    (data / "testB" / "3.png").write_bytes(b"")
    result = evaluate(model, "--data", data, "--measure", "psnr")
    assert result.exit_code == 1
    assert "34.15 dB" in result.stdout
    assert "mean of 1 pictures" in result.stdout
    failed = [line for line in result.stderr.splitlines() if line.startswith("failed: ")]
    assert [line.split(":")[1].strip() for line in failed] == ["1.png", "2.png", "3.png"]
    assert "the output has 20×16 pixels, its target 20×17" in failed[1]
    assert "3 of 4 pictures failed" in result.stderr
    told = numbers(model, "--data", data, "--measure", "psnr", code=1)
    assert len(told["failed"]) == 3


def test_a_picture_that_the_network_fails_at_does_not_take_its_batch_along(
    fake_plugin: FakePlugin, tmp_path: Path
) -> None:
    fake_plugin(PLUGIN)
    weak = save_simple(tmp_path / "weak.safetensors", shift=SHIFT, dark="RuntimeError")
    data = pairs(tmp_path / "data", 20, 20, 20)
    save(data / "testA" / "1.png", np.zeros((16, 20, 3), np.uint8))
    told = numbers(weak, "--data", data, "--measure", "l1", "--batch-size", 3, code=1)
    assert told["values"]["weak", "L1"] == 0
    [failure] = told["failed"]
    assert "1.png" in failure
    assert "too dark for this network" in failure


def test_a_measure_that_cannot_take_a_picture_stops_no_other(model: Path, tmp_path: Path) -> None:
    data = pairs(tmp_path / "data", 25, size=(9, 9))  # smaller than SSIM's window
    told = numbers(model, "--data", data, code=1)
    assert told["values"]["plus", "L1"] == pytest.approx(5 / 255)
    assert ("plus", "SSIM") not in told["values"]
    [failure] = told["failed"]
    assert failure == "0.png: measure ssim: 9×9 is smaller than the window of SSIM"


def test_when_all_fail_there_is_no_table(model: Path, tmp_path: Path) -> None:
    data = pairs(tmp_path / "data", 25)
    (data / "testA" / "0.png").write_bytes(b"")
    result = evaluate(model, "--data", data)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nothing could be measured" in result.stderr


def test_what_cannot_begin_ends_with_2_and_one_line(
    model: Path, tmp_path: Path, fake_plugin: FakePlugin
) -> None:
    data = pairs(tmp_path / "data", 25)
    wordy = save_simple(tmp_path / "wordy.safetensors", method="wordy", reads="text")
    (tmp_path / "empty" / "testA").mkdir(parents=True)
    (tmp_path / "empty" / "testB").mkdir()
    sets = tmp_path / "sets"
    save(sets / "testA" / "a.png", pixels(0))
    save(sets / "testB" / "b.png", pixels(1))
    taken = save(tmp_path / "taken.png", pixels(0))
    for words, reason in (
        (["nothing", "--data", data], "no model or command is named 'nothing'|no model is named"),
        ([model, "--data", tmp_path / "absent"], "absent: no such folder"),
        ([model, "--data", data / "testA"], "needs the folders testA and testB"),
        ([model, "--data", tmp_path / "empty"], "no pictures in it"),
        ([model, "--data", data, "--measure", "prsn"], "did you mean psnr"),
        ([wordy, "--data", data], "starts from text, not from a picture"),
        ([model, "--data", sets], r"not measured: fid, kid \(need inception: .*--inception"),
        ([model, "--data", data, "--measure", "fid"], "need inception: "),
        ([model, "--data", sets, "--measure", "l1"], "measure l1: compares pairs"),
        ([model, "--data", data, "--inception", tmp_path / "no.pth"], "no.pth: No such file"),
        ([model, "--data", data, "--sheet", tmp_path / "s.jpg"], "the sheet is a PNG"),
        ([model, "--data", data, "--sheet", taken / "s.png"], "s.png: cannot be written"),
        ([model, "--data", data, "--sheet", taken], "taken.png: exists; add --overwrite"),
        ([model, "--data", data, "--set", "kid.subset=1", "--measure", "kid"], "need inception"),
    ):
        result = evaluate(*words)
        assert result.exit_code == 2, (words, result.output)
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1, result.stderr
        assert re.search(reason, result.stderr), (reason, result.stderr)


# The sheet


def test_the_sheet_shows_input_output_and_target_of_the_first_rows(
    model: Path, tmp_path: Path
) -> None:
    data, sheet = tmp_path / "data", tmp_path / "new" / "sheet.png"
    for number, level in enumerate((50, 100, 150)):
        for side, more in (("A", 0), ("B", 25)):
            flat = np.full((16, 20, 3), level + more, np.uint8)
            save(data / f"test{side}" / f"{number}.png", flat)
    assert evaluate(model, "--data", data, "--sheet", sheet, "--sheet-rows", 2).exit_code == 0
    seen = set(np.unique(np.asarray(Image.open(sheet))))
    assert {50, 70, 75, 100, 120, 125} <= seen
    assert max(_cells(sheet, 150), _cells(sheet, 170)) < 20 * 16  # but for a pixel of the text
    assert _cells(sheet, 70) >= 20 * 16


def _cells(sheet: Path, level: int) -> int:
    """Return how many pixels of a sheet are that grey."""
    return int((np.asarray(Image.open(sheet)) == level).all(axis=-1).sum())


@pytest.mark.parametrize(("order", "kept"), [("best", (22, 19)), ("worst", (90, 60))])
def test_the_sheet_shows_the_best_or_the_worst(
    order: str, kept: tuple[int, int], model: Path, tmp_path: Path
) -> None:
    differences = (60, 22, 5, 90, 19)  # of the input, which would be best with 5
    data, sheet = tmp_path / "data", tmp_path / "sheet.png"
    for number, difference in enumerate(differences):
        save(data / "testA" / f"{number}.png", np.full((20, 40, 3), 100, np.uint8))
        target = np.full((20, 40, 3), 100 + difference, np.uint8)
        save(data / "testB" / f"{number}.png", target)
    for measure in ("l1", "psnr"):  # of which one is better where it is smaller
        words = ["--measure", measure, "--sheet", sheet, "--sheet-rows", 2, "--sheet-order", order]
        words.append("--overwrite")
        assert evaluate(model, "--data", data, *words).exit_code == 0
        shown = {d for d in differences if _cells(sheet, 100 + d) >= 20 * 40}
        assert shown == set(kept)


def test_large_pictures_are_small_on_the_sheet(model: Path, tmp_path: Path) -> None:
    data = pairs(tmp_path / "data", 25, size=(900, 600))
    sheet = tmp_path / "sheet.png"
    words = ["--measure", "l1", "--sheet", sheet]
    assert evaluate(model, "--data", data, *words).exit_code == 0
    assert Image.open(sheet).width < 3 * 270


# Other measures and other data


MEASURE = """
@hookimpl
def register_measures(register):
    register(name="largest", summary="the largest difference", compares="pairs",
             factory=__name__ + "_heavy:Largest")
"""
CODE = """
import numpy as np
from translate import Measure, Result, Settings

class LargestOptions(Settings):
    times: float = 1.0

class Largest(Measure[LargestOptions]):
    Options = LargestOptions
    def __init__(self, options, device):
        super().__init__(options, device)
        self.found = []
    def add(self, comparison):
        if "bad" in comparison.name:
            raise ValueError("cannot")
        self.found.append(float(np.abs(comparison.output - comparison.target).max()))
        return self.found[-1]
    def results(self):
        return [Result("Largest", self.options.times * max(self.found), "of all", decimals=0)]
"""


def test_a_measure_of_another_plugin_stands_in_the_same_table(
    model: Path, fake_plugin: FakePlugin, tmp_path: Path
) -> None:
    fake_plugin(MEASURE, name="mine", heavy=CODE)
    data = pairs(tmp_path / "data", 25, 28)
    listed = CliRunner().invoke(cli, ["measures", "--json"])
    assert {"name": "largest", "compares": "pairs"}.items() <= json.loads(listed.stdout)[-1].items()
    assert "times" in CliRunner().invoke(cli, ["measures", "largest"]).stdout

    values = numbers(model, "--data", data)["values"]
    assert values["plus", "Largest"] == 8
    assert values["input unchanged", "Largest"] == 28
    assert ("plus", "PSNR") in values
    words = ["--measure", "largest", "--set", "largest.times=2"]
    assert numbers(model, "--data", data, *words)["values"]["plus", "Largest"] == 16

    for side in ("testA", "testB"):
        (data / side / "0.png").rename(data / side / "bad.png")
    told = numbers(model, "--data", data, "--measure", "largest", code=1)
    assert "bad.png: measure largest: ValueError: cannot" in told["failed"][0]
    assert told["values"]["plus", "Largest"] == 8


def test_a_measure_that_compares_something_unknown_takes_its_plugin_out(
    fake_plugin: FakePlugin,
) -> None:
    fake_plugin(
        "@hookimpl\ndef register_measures(register):\n"
        "    register(name='m', summary='s', compares='apples', factory='a:B')"
    )
    status = Host().plugins["other"]
    assert status.state == "broken"
    assert "measure 'm': compares is 'apples'" in status.reason
    assert "m" not in Host().measures


DATASET = """
@hookimpl
def register_datasets(register):
    register(name="halves", kind="halves", summary="s", factory=__name__ + "_heavy:Halves")

@hookimpl
def register_methods(register):
    register(name="simple", summary="s", source="image", data="halves",
             factory="simple_methods:Simple")
"""
DATASET_CODE = """
import numpy as np
from translate import Case, Dataset, EvaluationSet
from translate.pipeline import image_files, read_rgb

class Halves(Dataset):
    @classmethod
    def evaluation(cls, folders, options, needs, export, compare=None, side=None):
        assert needs == {} and export.reads == {"image": "a"} and compare is None
        def half(path, side):
            pixels = read_rgb(path)
            middle = pixels.shape[1] // 2
            return lambda: pixels[:, :middle] if side == 0 else pixels[:, middle:]
        files = image_files(folders[0])
        return EvaluationSet("pairs", [Case(f.stem, half(f, 0), half(f, 1)) for f in files],
            baselines={"plus one": lambda x: x + 1}, described="halves")
    def __len__(self): return 0
    def describe(self): return ""
    def sample(self, number, seed): return {}
"""


def test_the_reader_of_the_training_data_says_what_inputs_and_targets_are(
    fake_plugin: FakePlugin, tmp_path: Path
) -> None:
    fake_plugin(DATASET, name="halves", heavy=DATASET_CODE)
    plus = save_simple(tmp_path / "plus.safetensors", shift=SHIFT)
    x = pixels(0)
    save(tmp_path / "data" / "x.png", np.concatenate([x, x + 22], axis=1))
    values = numbers(plus, "--data", tmp_path / "data", "--measure", "l1")["values"]
    assert values["plus", "L1"] == pytest.approx(2 / 255)
    assert values["plus one", "L1"] == pytest.approx(21 / 255)


def test_sets_are_measured_without_pairs(
    model: Path, fake_plugin: FakePlugin, tmp_path: Path
) -> None:
    code = CODE.replace('["bad"]', "[]").replace(
        "self.found.append(float(np.abs(comparison.output - comparison.target).max()))",
        "assert comparison.target is None; self.found.append(float(comparison.output.mean()))",
    )
    code += "    def add_real(self, pixels):\n        self.found.append(1000 + pixels.mean())\n"
    fake_plugin(MEASURE.replace('"pairs"', '"sets"'), name="mine", heavy=code)
    save(tmp_path / "data" / "testA" / "a.png", np.full((16, 16, 3), 100, np.uint8))
    for number in range(2):
        flat = np.full((16, 16, 3), 30 + number, np.uint8)
        save(tmp_path / "data" / "testB" / f"{number}.png", flat)
    told = numbers(model, "--data", tmp_path / "data")
    assert told["compares"] == "sets"
    assert told["values"] == {("plus", "Largest"): 1031}
    (tmp_path / "data" / "testB" / "1.png").write_bytes(b"")
    told = numbers(model, "--data", tmp_path / "data", code=1)
    assert told["values"] == {("plus", "Largest"): 1030}
    assert "1.png: empty file" in told["failed"][0]
    refused = evaluate(model, "--data", tmp_path / "data", "--sheet", "x.png", "--sheet-order=best")
    assert refused.exit_code == 2
    assert "no measure taken here gives each picture a value" in refused.stderr


# A real model


def test_what_is_measured_is_what_translating_gives(tmp_path: Path) -> None:
    horses = Path(__file__).parent.parent / "examples" / "horses"
    horse = min(horses.glob("*.jpg"), key=lambda path: path.stat().st_size)
    for side in "AB":
        (tmp_path / side).mkdir()
        (tmp_path / side / horse.name).write_bytes(horse.read_bytes())
    told = numbers("horse2zebra", "--data", tmp_path, "--measure", "l1")
    zebra = translate.load("horse2zebra", device="cpu", precision="fp32")(horse)
    change = np.asarray(zebra, np.float64) - np.asarray(Image.open(horse), np.float64)
    assert told["values"]["horse2zebra", "L1"] == pytest.approx(np.abs(change).mean() / 255)
    assert told["values"]["input unchanged", "L1"] == 0
    assert "256×256 pixels" in told["results"][0]["run"]
