"""``translate train``: what is typed wrong is one line and exit code 2; a run ends in a model."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tiny import DATA, NETWORK, unpaired_folder
from translate.bundle import load_model
from translate.cli.group import cli
from translate.training.settings import TrainingSettings

SMALL = [f"{name}={value}" for name, value in NETWORK.items()]
SMALL += [f"data.{name}={value}" for name, value in DATA.items()]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return unpaired_folder(tmp_path / "pictures")


def train(data: Path, *more: str, small: bool = True) -> Result:
    settings = [word for value in SMALL * small for word in ("--set", value)]
    command = ["train", "cyclegan", "--data", str(data), "--out", str(data.parent / "run")]
    return CliRunner().invoke(cli, [*command, *settings, "--images", "2", *more])


def test_a_trained_model_is_a_model_like_any_other(data: Path) -> None:
    result = train(data, "--name", "there,back", "--seed", "3", "--precision", "fp32")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert "4 pictures in a, 5 pictures in b" in result.stderr
    assert "use it: translate back INPUT..." in result.stderr
    assert load_model("back").header.export == "b2a"
    settings = load_model("there").header.card.training["settings"]
    expected = TrainingSettings(images=2, seed=3, precision="fp32")
    assert settings == expected.model_dump(mode="json")


def test_quiet_prints_nothing(data: Path) -> None:
    result = train(data, "-q")
    assert (result.exit_code, result.output) == (0, "")


def test_a_run_that_exists_is_not_overwritten(data: Path) -> None:
    assert train(data).exit_code == 0
    result = train(data)
    assert result.exit_code == 2
    assert "holds a run already; --resume goes on with it" in result.stderr


WRONG: dict[str, tuple[list[str], str]] = {
    "no value": (["--set", "pool"], "expected NAME=VALUE"),
    "no name": (["--set", "=3"], "expected NAME=VALUE"),
    "unknown": (["--set", "poool=3"], "no option poool (did you mean pool)"),
    "no number": (["--set", "pool=many"], "pool: Input should be a valid integer"),
    "bounds": (["--set", "pool=-1"], "pool: Input should be greater than or equal to 0"),
    "nan": (["--set", "cycle_weight=NaN"], "finite"),
    "infinity": (["--set", "cycle_weight=Infinity"], "finite"),
    "endless": (["--set", f"pool={'9' * 5000}"], "pool: "),
    "group": (["--set", "data=3"], "data is a group of options"),
    "not a group": (["--set", "pool=3", "--set", "pool.size=3"], "pool is a value, not a group"),
    "data": (["--set", "data.sise=3"], "data: no option sise"),
    "training": (["--set", "training.rate=3"], "training: no option rate"),
    "card": (["--set", "card.colour=3"], "card: no option colour"),
    "blocks": (["--set", "inners=[4,4]"], "inners: 2 widths for 3 blocks"),
    "parts": (["--set", "training.accumulate=2"], "must be a multiple of accumulate"),
    "too small": (["--set", "critic_layers=3"], "multiple of 4, at least 24"),
    "names": (["--name", "a,b,c"], "cyclegan makes 2 models (a2b, b2a)"),
    "same name": (["--name", "a,a"], "two models cannot share a name"),
    "bad name": (["--name", "a/b"], "a name is one word"),
    "reserved": (["--name", "train"], "choose another"),
    "device": (["--device", "abacus"], "there are auto, cpu, cuda, mps"),
    "dataset": (["--dataset", "none"], "no dataset is named 'none'"),
    "recipe": (["--recipe", "none.toml"], "none.toml: No such file"),
    "no run": (["--resume"], "no run to go on with"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_typed_wrong_is_one_line(data: Path, wrong: str) -> None:
    arguments, reason = WRONG[wrong]
    result = train(data, *arguments)
    assert result.exit_code == 2, result.output
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (data.parent / "run").exists()


RECIPES = {
    "no toml [": "no toml",
    'method = "distill"': "the recipe is for distill, not for cyclegan",
    "options = 3": "options is a group",
    "[optoins]\npool = 3": "no table optoins; there are options, data, training, card",
}


@pytest.mark.parametrize("text", RECIPES)
def test_a_bad_recipe_is_one_line(data: Path, tmp_path: Path, text: str) -> None:
    recipe = tmp_path / "bad.toml"
    recipe.write_text(text)
    result = train(data, "--recipe", str(recipe))
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert RECIPES[text] in result.stderr or "bad.toml: " in result.stderr


def test_what_is_set_goes_over_the_recipe_and_flags_over_both(data: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text(
        "[options]\nwidth = 4\nblocks = 3\ncritic_width = 4\ncritic_layers = 1\npool = 9\n"
        "[data]\nsize = 16\nload = 20\n[training]\nimages = 500\nseed = 4\n"
        '[card]\nlicence = "CC0"\n'
    )
    result = train(data, *("--recipe", str(recipe), "--set", "pool=8", "--name", "x"), small=False)
    assert result.exit_code == 0, result.output
    header = load_model("x").header
    assert (header.options["pool"], header.options["width"]) == (8, 4)
    assert header.card.training["settings"]["images"] == 2
    assert header.card.training["settings"]["seed"] == 4
    assert header.card.licence == "CC0"


def test_a_model_made_meanwhile_is_not_overwritten(data: Path) -> None:
    assert train(data, "--name", "mine").exit_code == 0
    result = train(data, "--resume", "--name", "mine")
    assert result.exit_code == 2
    assert "'mine' exists" in result.stderr
    assert train(data, "--resume", "--name", "mine", "--overwrite").exit_code == 0


def test_the_runs_folder_must_be_one(data: Path) -> None:
    (data.parent / "file").write_bytes(b"")
    for out, says in (("", "the path is empty"), (str(data.parent / "file"), "is a file")):
        result = train(data, "--out", out)
        assert (result.exit_code, says in result.stderr) == (2, True), result.output
    result = train(data, "--out", str(data.parent / ("a" * 300)))
    assert result.exit_code == 1
    assert "file name too long" in result.stderr


def test_data_with_a_name_too_long_is_no_folder(data: Path) -> None:
    result = train(data / ("a" * 300), "--out", str(data.parent / "run"))
    assert result.exit_code == 2
    assert "no such folder" in result.stderr


def test_a_run_cannot_go_back_to_fewer_images(data: Path) -> None:
    assert train(data).exit_code == 0
    result = train(data, "--resume", "--images", "1")
    assert result.exit_code == 2
    assert "has seen 2 images already, which is more than --images 1" in result.stderr


def test_a_run_whose_last_step_went_beyond_its_images_is_not_too_long(data: Path) -> None:
    assert train(data, "--images", "3", "--batch-size", "2").exit_code == 0
    result = train(data, "--resume", "--images", "3", "--batch-size", "2")
    assert (result.exit_code, "going on from 4 of 3" in result.stderr) == (0, True), result.stderr


def test_a_checkpoint_that_is_none_is_one_short_line(data: Path) -> None:
    assert train(data).exit_code == 0
    (data.parent / "run" / "last.pt").write_bytes(b"garbage")
    result = train(data, "--resume")
    assert result.exit_code == 1
    assert result.stderr.endswith("last.pt: not a readable checkpoint\n")


def test_a_start_that_fails_leaves_no_run_behind(data: Path) -> None:
    out = data.parent / "run"
    words = ["train", "text2image", "--data", str(captioned(data.parent / "named")), "--out"]
    words += [str(out), "--images", "8", "--device", "cpu"]
    words += [w for o in ("size=32", "width=4", "critic_width=4") for w in ("--set", o)]
    refused = CliRunner().invoke(cli, [*words, "--batch-size", "1"])
    assert refused.exit_code == 2
    assert "--batch-size 2 or more" in refused.stderr
    begun = CliRunner().invoke(cli, [*words, "--batch-size", "2"])
    assert begun.exit_code == 0, begun.stderr
    assert "generator learns nothing in this run: it begins at 50,000 images" in begun.stderr


def captioned(folder: Path) -> Path:
    """Return a folder of four pictures with captions."""
    folder.mkdir()
    for number, word in enumerate(("red", "green", "blue", "white")):
        Image.new("RGB", (32, 32), word).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(word)
    return folder
