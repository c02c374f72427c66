"""Models that start from classes and from noise, run from the command and from Python."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image

import translate
from latents import save_latent
from translate.cli.group import cli
from translate.errors import UsageError


@pytest.fixture(autouse=True)
def _models(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_latent(home / "models" / "insects.safetensors")
    save_latent(home / "models" / "blots.safetensors", "gan")


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, [*words, "--device", "cpu"], prog_name="translate")


def pixels(path: str | Path) -> NDArray[Any]:
    with Image.open(path) as image:
        assert image.mode == "L"
        return np.asarray(image)


def made() -> list[str]:
    return sorted(str(path) for path in Path().rglob("*.*g") if "home" not in str(path))


def test_a_seed_gives_one_picture_however_it_is_asked_for() -> None:
    assert run("insects", "bee", "--seed", "6").exit_code == 0
    assert run("insects", "ant", "1", "--seed", "4", "--count", "4", "-o", "all").exit_code == 0
    assert (
        run("insects", "bee", "--seed", "5", "--count", "2", "--grid", "-o", "s.png").output == ""
    )
    alone, among = pixels("bee-insects-6.png"), pixels("all/bee-6.png")
    assert alone.shape == (16, 16)
    assert (alone == among).all()
    assert (pixels("s.png")[:, 18:] == alone).all()
    assert (pixels("all/bee-7.png") != alone).any()
    assert (pixels("all/ant-6.png") != alone).any()


def test_a_sheet_has_a_row_for_each_class_two_pixels_apart() -> None:
    assert run("insects", "0", "2", "--count", "3", "--seed", "1", "--grid").exit_code == 0
    assert made() == ["ant-cat-fish-insects-1x3.png"]
    sheet = pixels(made()[0])
    assert sheet.shape == (34, 52)
    assert (sheet[16:18] == 255).all()
    assert (sheet[:, 16:18] == 255).all()
    run("insects", "2", "--seed", "3")
    assert (sheet[18:, 36:] == pixels("cat-fish-insects-3.png")).all()


def test_without_a_seed_one_is_drawn_and_printed_that_makes_the_same_again() -> None:
    first, second = run("blots"), run("blots")
    assert first.stderr.startswith("--seed ")
    assert first.stderr != second.stderr
    [name] = [n for n in made() if n == f"blots-{first.stderr.split()[1]}.png"]
    again = run("blots", *first.stderr.split(), "-o", "again.png")
    assert again.output == ""
    assert (pixels(name) == pixels("again.png")).all()


def test_the_same_command_again_makes_only_what_is_missing() -> None:
    words = ("blots", "--seed", "1", "--count", "3", "-o", "out")
    assert run(*words).stderr == "3 written\n"
    Path("out/2.png").unlink()
    Path("out/3.png").write_bytes(b"mine")
    assert "1 written, 2 existed" in run(*words).stderr
    assert Path("out/3.png").read_bytes() == b"mine"


def test_json_names_input_seed_and_output() -> None:
    result = run("insects", "bee", "--seed", "3", "--json")
    line = json.loads(result.stdout)
    assert {k: line[k] for k in ("input", "seed", "output", "status", "error")} == {
        "input": "bee",
        "seed": 3,
        "output": "bee-insects-3.png",
        "status": "written",
        "error": None,
    }


def test_a_picture_goes_to_standard_output() -> None:
    result = run("blots", "--seed", "2", "-o", "-")
    with Image.open(io.BytesIO(result.stdout_bytes)) as image:
        assert image.size == (16, 16)
    assert made() == []


def test_truncation_draws_pictures_towards_the_usual() -> None:
    def spread(*words: str) -> float:
        run("blots", "--seed", "1", "--count", "6", "--grid", "-o", "s.png", "--overwrite", *words)
        cells = [pixels("s.png")[:16, x : x + 16].astype(float) for x in (0, 18, 36)]
        return float(np.std(cells, axis=0).mean())

    assert 0 < spread("--truncation", "0.2") < 0.5 * spread()


def test_a_dry_run_says_what_would_be_made_and_imports_no_torch(tmp_path: Path) -> None:
    code = (
        "from translate.cli.group import cli\n"
        "try: cli.main(['insects', '0', '1', '--count', '2', '--seed', '8', '-n'], prog_name='t')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "import sys; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "ant (seed 8) -> ant-insects-8.png (write)",
        "ant (seed 9) -> ant-insects-9.png (write)",
        "bee (seed 8) -> bee-insects-8.png (write)",
        "bee (seed 9) -> bee-insects-9.png (write)",
    ]
    assert made() == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["insects", "wasp"], "no class wasp"),
        (["insects", "a.png"], "starts from class, not from a picture"),
        (["insects", "bee", "--size", "8"], "--size is for models that start from a picture"),
        (["insects", "bee", "--truncation", "0"], "--truncation"),
        (["insects", "bee", "-o", "-", "--json"], "share standard output"),
        (["blots", "a.png"], "starts from noise alone"),
        (["horse2zebra", "bee"], "no such file or folder: bee"),
        (["horse2zebra"], "no input given; name pictures"),
        (["horse2zebra", ".", "--count", "2"], "--count is for models that start from no picture"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_work_is_refused_in_one_line(words: list[str], reason: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert result.stdout == ""
    assert "--seed " not in result.stderr


def test_a_file_that_cannot_be_written_is_one_failure() -> None:
    Path("out").mkdir()
    Path("out/2.png").mkdir()
    result = run("blots", "--seed", "1", "--count", "3", "-o", "out")
    assert result.exit_code == 1
    assert "failed: seed 2: " in result.stderr
    assert made() == ["out/1.png", "out/2.png", "out/3.png"]


def test_pictures_made_in_batches_are_those_made_one_by_one() -> None:
    generator = translate.Generator(translate.load_model("insects"), device="cpu")
    requests = [generator.request(n % 3, seed) for n, seed in enumerate((5, 6, 5, 9, 2))]
    alone = [picture.pixels.astype(int) for picture in generator.pictures(requests)]
    generator.together = 3  # as on a GPU
    for one, other in zip(alone, generator.pictures(requests), strict=True):
        assert np.abs(one - other.pixels).max() <= 1
    assert (alone[0] != alone[3]).any()


def test_python_makes_what_the_command_makes() -> None:
    run("insects", "bee", "--seed", "3", "--count", "2", "-o", "out")
    insects = translate.Generator(translate.load_model("insects"), device="cpu")
    for value in ("bee", 1):
        first, second = insects(value, count=2, seed=3)
        assert (np.asarray(first) == pixels("out/bee-3.png")).all()
        assert (np.asarray(second) == pixels("out/bee-4.png")).all()
    blots = translate.Generator(translate.load_model("blots"), device="cpu")
    assert blots()[0].size == (16, 16)
    with pytest.raises(UsageError, match="starts from class, not from None"):
        insects()
    with pytest.raises(UsageError, match="starts from image"):
        translate.Generator(translate.load_model("horse2zebra"))
    with pytest.raises(UsageError, match=r"translate\.Generator runs it"):
        translate.load("insects")
