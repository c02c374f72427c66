"""Walks and mixes: the arithmetic of codes, the points that are typed, and the two commands."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from latents import CLASSES, save_latent
from translate.cli.group import cli
from translate.errors import UsageError
from translate.inference.latent import Place, arc, around, load_code, mean_code, mix, save_code
from translate.inference.latent import walk as way
from translate.inference.points import read_point
from translate.model import Header
from translate.options import Facts

CLASS_MODEL = Header(method="m", export="it", reads=("class",), facts=Facts(classes=CLASSES))
NOISE_MODEL = Header(method="m", export="it", reads=())


@pytest.fixture(autouse=True)
def _models(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_latent(home / "models" / "insects.safetensors")
    save_latent(home / "models" / "blots.safetensors", "gan")


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, [*words, "--device", "cpu"], prog_name="translate")


def cells(path: str) -> list[NDArray[Any]]:
    """Return the pictures of a strip."""
    with Image.open(path) as image:
        pixels = np.asarray(image).astype(int)
    return [pixels[:16, left : left + 16] for left in range(0, pixels.shape[1], 18)]


def codes(*rows: list[float]) -> Tensor:
    return torch.tensor(rows)


def place(code: list[float], condition: list[float] | None = None) -> Place:
    return Place(codes(code), codes(condition or []).reshape(1, -1))


# Arithmetic


def test_an_arc_keeps_the_length_and_turns_evenly() -> None:
    start, end = codes([2.0, 0.0, 0.0]), codes([0.0, 2.0, 0.0])
    on = arc(start, end, torch.linspace(0, 1, 4))
    angles = torch.atan2(on[:, 1], on[:, 0]) * 180 / math.pi
    assert on.norm(dim=1).tolist() == pytest.approx([2] * 4)
    assert angles.tolist() == pytest.approx([0, 30, 60, 90], abs=1e-4)


def test_where_lengths_differ_the_length_changes_evenly() -> None:
    on = arc(codes([1.0, 0.0]), codes([0.0, 3.0]), torch.linspace(0, 1, 5))
    assert on.norm(dim=1).tolist() == pytest.approx([1, 1.5, 2, 2.5, 3])


@pytest.mark.parametrize("other", [[1.0, 0.0], [2.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
def test_where_there_is_no_arc_the_way_is_straight(other: list[float]) -> None:
    on = arc(codes([1.0, 0.0]), codes(other), torch.tensor([0.0, 0.5, 1.0]))
    assert on[:, 0].tolist() == pytest.approx([1, (1 + other[0]) / 2, other[0]])
    assert on[:, 1].tolist() == [0, 0, 0]


def test_conditions_change_along_a_line() -> None:
    on = way(place([1.0, 0.0], [1.0, 0.0]), place([0.0, 1.0], [0.0, 1.0]), 3)
    assert on.conditions.tolist() == [[1, 0], [0.5, 0.5], [0, 1]]
    assert len(on.codes) == 3


def test_the_middle_of_codes_is_as_long_as_they_are() -> None:
    middle = mean_code(codes([3.0, 0.0], [0.0, 1.0]))
    assert float(middle.norm()) == pytest.approx(2)
    assert float(middle[0, 0] / middle[0, 1]) == pytest.approx(3)


def test_adding_and_subtracting_the_same_gives_the_other_back() -> None:
    a, b = place([3.0, 4.0], [1.0, 0.0]), place([-1.0, 2.0], [0.0, 1.0])
    back = mix([a, b], [b])
    ratio = back.codes / a.codes
    assert float(ratio[0, 0]) == pytest.approx(float(ratio[0, 1]))
    assert back.conditions.tolist() == [[1, 0]]
    half = mix([a, b])
    assert half.conditions.tolist() == [[0.5, 0.5]]
    assert float(half.codes.norm()) == pytest.approx((5 + 5**0.5) / 2)


def test_what_is_near_is_the_place_itself_and_others_within_the_noise() -> None:
    near = around(place([1.0, 2.0]), 50, seed=1)
    assert near.codes[0].tolist() == [1, 2]
    change = (near.codes - codes([1.0, 2.0])).abs()
    assert 0.2 < float(change.max()) <= 0.25


# Points


def test_a_point_is_a_class_with_seeds_or_seeds_or_a_file() -> None:
    def read(text: str, header: Header = CLASS_MODEL) -> list[tuple[Any, int]]:
        point = read_point(text, header, model="m", seed=9)
        return [(request.value, request.seed) for request in point.requests]

    assert read("bee") == [(1, 9)]
    assert read("1@42") == [(1, 42)]
    assert read("cat fish@4,8") == [(2, 4), (2, 8)]
    assert read("5", NOISE_MODEL) == read("@5", NOISE_MODEL) == [(None, 5)]
    assert read("5,6", NOISE_MODEL) == [(None, 5), (None, 6)]
    saved = read_point("my/code.safetensors", CLASS_MODEL, model="m", seed=9)
    assert (saved.file, saved.requests, saved.word) == (Path("my/code.safetensors"), (), "code")


@pytest.mark.parametrize(
    ("text", "header", "reason"),
    [
        ("wasp", CLASS_MODEL, "no class wasp"),
        ("@5", CLASS_MODEL, "no class"),
        ("bee", NOISE_MODEL, "bee is no seed"),
        ("bee@5", NOISE_MODEL, "bee@5 is no seed"),
    ],
)
def test_what_is_no_point_is_refused(text: str, header: Header, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        read_point(text, header, model="m", seed=0)


# Files


def test_a_code_comes_back_as_it_was(tmp_path: Path) -> None:
    save_code(tmp_path / "a.safetensors", place([1.5, -2.0], [0.5]), model="m")
    back = load_code(tmp_path / "a.safetensors")
    assert (back.codes.tolist(), back.conditions.tolist()) == ([[1.5, -2.0]], [[0.5]])


def test_a_file_that_holds_no_code_is_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "no.safetensors").write_bytes(b"nothing")
    save_code(tmp_path / "nan.safetensors", place([math.nan]), model="m")
    for path, reason in (
        (tmp_path / "no.safetensors", "not a code's file"),
        (tmp_path / "nan.safetensors", "not a code, as translate mix"),
        (home / "models" / "blots.safetensors", "not a code, as translate mix"),
        (tmp_path / "absent.safetensors", "no such file"),
    ):
        with pytest.raises(UsageError, match=reason):
            load_code(path)


# Commands


def test_a_walk_begins_and_ends_with_the_pictures_of_its_points() -> None:
    assert run("walk", "insects", "0", "2@7", "--seed", "3", "--steps", "5").exit_code == 0
    strip = cells("0-to-2-7-insects-3x5.png")
    assert len(strip) == 5
    run("insects", "0", "--seed", "3", "-o", "first.png")
    run("insects", "2", "--seed", "7", "-o", "last.png")
    assert (strip[0] == cells("first.png")[0]).all()
    assert abs(strip[4] - cells("last.png")[0]).max() <= 1
    between = [np.abs(a - b).mean() for a, b in pairwise(strip)]
    assert 0 < max(between) < np.abs(strip[0] - strip[4]).mean()


@pytest.mark.parametrize("suffix", ["webp", "gif"])
def test_a_walk_may_move(suffix: str) -> None:
    assert run("walk", "blots", "1", "2", "--steps", "4", "-o", f"w.{suffix}").exit_code == 0
    with Image.open(f"w.{suffix}") as image:
        assert (image.n_frames, image.size) == (4, (16, 16))  # type: ignore[attr-defined]
        image.seek(3)
        last = np.asarray(image.convert("L")).astype(int)
    run("blots", "--seed", "2", "-o", "last.png")
    assert np.abs(last - cells("last.png")[0]).max() <= 1


def test_a_mix_shows_its_terms_and_its_code_can_be_used_again() -> None:
    words = ("mix", "insects", "--plus", "ant@1", "--plus", "bee@1", "--minus", "bee@1")
    result = run(*words, "--terms", "-o", "m.png", "--save", "c.safetensors", "--seed", "1")
    assert result.exit_code == 0, result.output
    first, second, third, mixed = cells("m.png")
    assert (second == third).all()
    assert np.abs(first - mixed).max() <= 1
    run("mix", "insects", "--plus", "c.safetensors", "-o", "again.png", "--seed", "0")
    assert np.abs(cells("again.png")[0] - mixed).max() <= 1


def test_a_mix_comes_with_others_near_it() -> None:
    assert run("mix", "blots", "--plus", "1,2", "--count", "4", "-o", "m.png").exit_code == 0
    with Image.open("m.png") as image:
        assert image.size == (34, 34)
        pixels = np.asarray(image)
    assert (pixels[:16, :16] != pixels[:16, 18:]).any()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["walk", "horse2zebra", "1", "2"], "starts from image"),
        (["walk", "insects", "wasp", "bee"], "no class wasp"),
        (["walk", "blots", "1", "2", "-o", "a.xyz"], "is no image format"),
        (["walk", "blots", "1", "2", "-o", "taken.png"], "taken.png: exists; add --overwrite"),
        (["walk", "blots", "1", "2", "-o", "foo"], "-o foo: end the name in .png, .jpg"),
        (["walk", "insects", "ant", "other.safetensors"], "a code of 8 and 0 numbers, but this"),
        (["mix", "blots", "--plus", "1", "--save", "a.png"], "end the name in .safetensors"),
        (["mix", "blots", "--plus", "1", "--save", "other.safetensors"], "exists"),
        (["mix", "blots", "--minus", "1"], "--plus"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_work_is_refused(words: list[str], reason: str) -> None:
    Path("taken.png").touch()
    assert run("mix", "blots", "--plus", "1", "-o", "o.png", "--save", "other.safetensors").stderr
    result = run(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in result.stderr
    assert Path("taken.png").stat().st_size == 0
