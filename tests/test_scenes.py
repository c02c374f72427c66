"""Scenes of digits: captions and the way back, what is drawn, what is never shown in training."""

from __future__ import annotations

import os
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from translate.errors import UsageError
from translate.evaluation.data import EvaluationSet, read
from translate.host import the_host
from translate.method import Export
from translate.options import build
from translate_datasets import scenes as readers
from translate_datasets.drawing import cut_out, draw
from translate_datasets.idx import read_idx, write_idx
from translate_datasets.scene import (
    COLOURS,
    GROUNDS,
    SIZES,
    Scene,
    all_scenes,
    describe,
    kept_out,
    parse,
)
from translate_datasets.scenes import Digits, Scenes, ScenesOptions, write_printed_digits
from translate_measures.seeing import look

EXPORT = Export(nn.Identity(), {"text": "text"})


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    write_printed_digits(folder)
    return folder


def scenes(folder: Path, made: int = 32, **options: Any) -> Scenes:
    values = build(ScenesOptions, options, what="data")
    return Scenes([folder], values, {"size": made})


def test_captions_are_sentences() -> None:
    for scene, caption in (
        (Scene(2, "small", "red", 7, "blue"), "two small red sevens on a blue ground"),
        (Scene(1, "large", "green", 3, "white"), "one large green three on a white ground"),
        (Scene(3, "small", "white", 9, "black"), "three small white nines on a black ground"),
        (Scene(3, "large", "purple", 6, "green"), "three large purple sixes on a green ground"),
        (Scene(2, "small", "blue", 0, "yellow"), "two small blue zeros on a yellow ground"),
    ):
        assert describe(scene) == caption


def test_every_caption_leads_back_to_its_scene_and_to_no_other() -> None:
    every = all_scenes()
    assert len(every) == len(set(every)) == 3 * 2 * 10 * (len(COLOURS) * len(GROUNDS) - 4)
    assert all(scene.colour != scene.ground for scene in every)
    for scene in every:
        assert parse(describe(scene)) == scene
    assert len({describe(scene) for scene in every}) == len(every)
    assert parse(" Two small RED  sevens on a blue ground\n") == Scene(2, "small", "red", 7, "blue")
    for caption in (
        "",
        "a horse",
        "two small red seven on a blue ground",
        "four small red sevens on a blue ground",
        "two small red sevens on a red ground",
        "two small red sevens on a blue ground and more",
    ):
        with pytest.raises(ValueError, match="describes no scene"):
            parse(caption)


def test_what_is_kept_out_is_always_the_same_and_spread_over_colours_and_digits() -> None:
    assert kept_out(0.1) == {
        ("red", 3), ("green", 0), ("blue", 7), ("yellow", 4), ("purple", 1), ("white", 8),
    }  # fmt: skip
    assert kept_out(0.2) - kept_out(0.1) == {
        ("red", 4), ("green", 1), ("blue", 8), ("yellow", 5), ("purple", 2), ("white", 9),
    }  # fmt: skip
    assert kept_out(0) == frozenset()
    last: frozenset[tuple[str, int]] = frozenset()
    for share in (0.1, 0.2, 0.3, 0.4, 0.5):
        kept = kept_out(share)
        assert len(kept) == round(share * 60)
        assert last < kept
        assert set(Counter(colour for colour, _ in kept).values()) == {round(share * 10)}
        assert max(Counter(digit for _, digit in kept).values()) <= share * 6 + 1
        last = kept


@pytest.mark.parametrize("size", [32, 45, 64])
def test_what_is_drawn_is_what_the_caption_says(size: int, printed: Path) -> None:
    digits = Digits([printed])
    for number, scene in enumerate(all_scenes()[:: 7 if size == 32 else 29]):
        pixels = draw(scene, partial(digits.pick, scene.digit), size, number)
        assert pixels.shape == (size, size, 3)
        sight = look(pixels.astype(np.float32))
        seen = sight.count, sight.size, sight.colour, sight.ground
        assert seen == (scene.count, scene.size, scene.colour, scene.ground), (scene, number)
        edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        assert (edge == GROUNDS[scene.ground]).all()


def test_digits_are_as_tall_as_their_size_says_in_their_own_colour(printed: Path) -> None:
    digits = Digits([printed])
    for size in SIZES:
        scene = Scene(1, size, "red", 1, "black")
        pixels = draw(scene, partial(digits.pick, 1), 64, 0)
        rows = np.flatnonzero((pixels != GROUNDS["black"]).any((1, 2)))
        assert rows[-1] - rows[0] + 1 == pytest.approx(SIZES[size] * 64, abs=1)
        assert (pixels == COLOURS["red"]).all(2).sum() > 20


def test_a_digit_is_cut_out_and_fills_the_height() -> None:
    grey = np.zeros((28, 28), np.uint8)
    grey[5:25, 10:14] = 255
    cover = cut_out(grey, 10)
    assert cover.shape == (10, 2)
    assert (cover == 1).all()
    wide = np.zeros((28, 28), np.uint8)
    wide[10:14, 2:26] = 200
    assert cut_out(wide, 10).shape == (10, 10)
    assert not cut_out(np.zeros((28, 28), np.uint8), 10).any()


def test_a_digit_in_pieces_gives_way_to_one_in_one_piece() -> None:
    torn, whole = np.zeros((2, 28, 28), np.uint8)
    torn[4:8, 10:18] = torn[20:24, 10:18] = 255
    whole[4:24, 10:18] = 255
    scene = Scene(1, "large", "red", 1, "black")
    for seed in range(20):
        pixels = draw(scene, lambda chance: torn if chance < 0.7 else whole, 32, seed)
        assert look(pixels.astype(np.float32)).count == 1


def test_samples_depend_on_number_and_seed_alone_and_an_epoch_has_every_caption(
    printed: Path,
) -> None:
    data, again = scenes(printed), scenes(printed)
    for number in (7, 3, 2000):
        one, other = data.sample(number, 4), again.sample(number, 4)
        assert one["text"] == other["text"]
        assert (one["image"] == other["image"]).all()
    assert (data.sample(7, 4)["image"] != data.sample(7, 5)["image"]).any()
    again.scenes = again.scenes[:1]
    pictures = {again.sample(7, seed)["image"].tobytes() for seed in range(8)}
    assert len(pictures) > 4  # of one caption
    count = len(data.scenes)
    texts = [data.sample(number, 4)["text"] for number in range(count)]
    assert len(set(texts)) == count
    assert {data.sample(0, 4)["image"].tobytes()}.isdisjoint(
        {data.sample(count, 4)["image"].tobytes()}
    )


def test_what_is_kept_out_is_never_shown(printed: Path) -> None:
    data = scenes(printed, unseen=0.3)
    assert data.describe() == "scenes: 1,092 captions, drawn with 40 digits; 468 captions kept out"
    kept = kept_out(0.3)
    for number in range(len(data.scenes)):
        scene = parse(data.sample(number, 0)["text"])
        assert (scene.colour, scene.digit) not in kept
    everything = scenes(printed, unseen=0)
    assert everything.describe() == "scenes: 1,560 captions, drawn with 40 digits"


def tried(folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> EvaluationSet:
    monkeypatch.setattr(readers, "_MADE", 40)
    monkeypatch.setattr(readers, "_REAL", (30, 20))
    values = build(ScenesOptions, options, what="data")
    return Scenes.evaluation([folder], values, {"size": 32}, EXPORT)


def test_a_model_is_tried_on_learned_and_on_unseen_scenes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_printed_digits(tmp_path)
    images = tmp_path / "t10k-images-idx3-ubyte"
    blocks = np.zeros_like(read_idx(images))
    blocks[:, 4:24, 4:24] = 255
    write_idx(images, blocks)  # so that digits for testing are known by their shape
    found = tried(tmp_path, monkeypatch)
    assert found.compares == "captions"
    assert (len(found.cases), len(found.real), len(found.captions), found.unseen) == (
        80,
        50,
        50,
        20,
    )
    assert len({case.seed for case in found.cases}) == 80
    for case in found.cases:
        scene = parse(case.value or "")
        assert ((scene.colour, scene.digit) in kept_out(0.1)) == case.unseen
    assert sum(case.unseen for case in found.cases) == 40
    for number, (picture, caption) in enumerate(zip(found.real, found.captions, strict=True)):
        pixels = read(picture).pixels
        assert (pixels == read(picture).pixels).all()
        scene, sight = parse(caption), look(pixels.astype(np.float32))
        assert (sight.count, sight.colour) == (scene.count, scene.colour)
        filled = bool((sight.crops[:, 5:19, 5:19] > 200).all())
        assert filled == (number >= 30)


def test_where_nothing_is_kept_out_nothing_unseen_is_asked_for(
    printed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tried(printed, monkeypatch, unseen=0)
    assert [case.unseen for case in found.cases] == [False] * 40


def test_the_example_is_read_by_its_own_options(tmp_path: Path) -> None:
    reader = the_host().load_dataset("scenes")
    values = reader.example(tmp_path / "data", 16)
    data = reader([tmp_path / "data"], build(reader.Options, values, what="data"), {})
    assert data.sample(0, 0)["image"].shape == (32, 32, 3)
    assert data.working_size == 32
    assert data.facts.channels == 3


def test_what_scenes_cannot_be_made_of_is_refused(tmp_path: Path, printed: Path) -> None:
    with pytest.raises(UsageError, match="scenes of 16 pixels: digits cannot be told below 32"):
        scenes(printed, 16)
    with pytest.raises(UsageError, match=r"data\.size=64: the method makes 32 pixels"):
        scenes(printed, 32, size=64)
    write_printed_digits(tmp_path)
    labels = tmp_path / "train-labels-idx1-ubyte"
    write_idx(labels, np.where(read_idx(labels) == 7, 8, read_idx(labels)).astype(np.uint8))
    with pytest.raises(UsageError, match="need the digits 0 to 9; no 7 among them"):
        scenes(tmp_path)
    write_idx(labels, (np.arange(40) % 12).astype(np.uint8))
    with pytest.raises(UsageError, match="need the digits 0 to 9; but 12 classes"):
        scenes(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="needs two or more folders"):
        scenes(tmp_path / "empty")


def test_scenes_of_mnist_are_what_their_captions_say() -> None:
    if "TRANSLATE_TEST_DATA" not in os.environ:
        pytest.skip("TRANSLATE_TEST_DATA names no folder of real data")
    data = scenes(Path(os.environ["TRANSLATE_TEST_DATA"]) / "mnist")
    assert data.describe() == (
        "scenes: 1,404 captions, drawn with 60,000 digits; 156 captions kept out"
    )
    wrong = Counter[str]()
    for number in range(400):
        sample = data.sample(number, 0)
        scene, sight = parse(sample["text"]), look(sample["image"].astype(np.float32))
        for name in ("count", "size", "colour", "ground"):
            wrong[name] += getattr(sight, name) != getattr(scene, name)
    assert wrong.total() <= 2, wrong
