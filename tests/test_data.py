"""Folders become samples, samples become batches, and both depend on number and seed alone."""

from __future__ import annotations

import io
import shutil
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tiny import save_picture, unpaired_folder
from translate.errors import ImageError, TranslateError, UsageError
from translate.method import Batch
from translate.options import build
from translate.pipeline.augment import flip, jitter_colour
from translate.pipeline.cache import InMemory, PixelCache, Pixels
from translate.pipeline.loader import batches, collate
from translate_datasets.unpaired import Unpaired, UnpairedOptions

CPU = torch.device("cpu")


def reader(*folders: Path, needs: Mapping[str, Any] | None = None, **options: Any) -> Unpaired:
    values = {"size": 16, "load": 20} | options
    return Unpaired(folders, build(UnpairedOptions, values, what="data"), needs or {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return unpaired_folder(tmp_path / "pictures")


MODES: list[dict[str, Any]] = [{"mode": "resize-and-crop"}, {"mode": "zoom"}, {"mode": "crop"}]


@pytest.mark.parametrize("options", MODES)
def test_a_sample_depends_on_its_number_and_the_seed_alone(
    folder: Path, options: dict[str, Any]
) -> None:
    data, other = reader(folder, **options), reader(folder, **options)
    forwards = [data.sample(number, 5) for number in range(12)]
    backwards = [other.sample(number, 5) for number in reversed(range(12))][::-1]
    for one, same in zip(forwards, backwards, strict=True):
        assert one["a"].shape == one["b"].shape == (16, 16, 3)
        assert one["a"].dtype == np.uint8
        assert all((one[side] == same[side]).all() for side in "ab")
    another = [data.sample(number, 6) for number in range(12)]
    assert any((one["a"] != its["a"]).any() for one, its in zip(forwards, another, strict=True))


def test_native_pictures_stay_whole_but_for_what_the_network_cannot_take(folder: Path) -> None:
    save_picture(folder / "trainA" / "x.png", 1, (30, 23))
    data = reader(folder, mode="native", needs={"multiple_of": 4, "minimum": 16})
    shapes = {data.sample(number, 0)["a"].shape for number in range(5)}
    assert shapes == {(20, 20, 3), (20, 28, 3)}
    assert data.working_size is None
    assert reader(folder).working_size == 16


def test_resize_and_crop_squeezes_the_whole_picture(tmp_path: Path) -> None:
    save_picture(tmp_path / "0.png", 1, (60, 20))
    data = reader(tmp_path, needs={"domains": ["a"]}, size=20, load=20)
    left, right = (data.sample(0, 0)["a"][:, column].astype(int) for column in (0, -1))
    whole = reader(tmp_path, needs={"domains": ["a"]}, mode="native").sample(0, 0)["a"]
    assert np.abs(left - whole[:, 1]).max() < 25
    assert np.abs(right - whole[:, -2]).max() < 25


def test_every_picture_is_seen_once_an_epoch_whatever_the_other_side_has(folder: Path) -> None:
    data = reader(folder, mode="native")
    assert len(data) == 5
    sides = {"a": 4, "b": 5}
    for side, count in sides.items():
        seen = [data.sample(number, 0)[side].tobytes() for number in range(2 * count)]
        assert len(set(seen[:count])) == len(set(seen[count:])) == count


def test_two_folders_and_one_side_alone_will_do(folder: Path) -> None:
    a, b = folder / "trainA", folder / "trainB"
    both, sides = reader(folder), reader(a, b)
    assert both.files == sides.files
    assert reader(a, b, needs={"domains": ["a"]}).files == {"a": both.files["a"]}
    assert reader(a, needs={"domains": ["a"]}).files == {"a": both.files["a"]}
    assert reader(folder, needs={"domains": ["a"]}).files == {"a": both.files["a"]}
    assert both.describe() == "unpaired: 4 pictures in a, 5 pictures in b"


def test_hidden_and_other_files_are_no_pictures(folder: Path) -> None:
    (folder / "trainA" / "notes.txt").write_text("no picture")
    (folder / "trainA" / ".thumbnails").mkdir()
    shutil.copy(folder / "trainA" / "0.png", folder / "trainA" / ".0.png")
    shutil.copy(folder / "trainA" / "0.png", folder / "trainA" / ".thumbnails" / "0.png")
    shutil.copy(folder / "trainA" / "0.png", folder / "trainA" / "UPPER.PNG")
    assert [file.name for file in reader(folder).files["a"]] == [
        *("0.png", "1.png", "2.png", "3.png", "UPPER.PNG")
    ]


def test_wrong_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty" / "trainA").mkdir(parents=True)
    (tmp_path / "empty" / "trainB").mkdir()
    with pytest.raises(UsageError, match="no such folder"):
        reader(tmp_path / "none")
    with pytest.raises(UsageError, match="no pictures in it"):
        reader(tmp_path / "empty")
    with pytest.raises(UsageError, match="trainA and trainB"):
        reader(folder / "trainA")
    with pytest.raises(UsageError, match="3 folders"):
        reader(folder, folder, folder)


def test_sizes_that_the_method_cannot_take_are_refused(folder: Path) -> None:
    needs = {"multiple_of": 4, "minimum": 24}
    with pytest.raises(UsageError, match=r"size=18.*multiple of 4"):
        reader(folder, needs=needs, size=18)
    with pytest.raises(UsageError, match="at least 24"):
        reader(folder, needs=needs, size=16)
    with pytest.raises(UsageError, match=r"^data: load \(20\) must be at least size \(24\)$"):
        reader(folder, needs=needs, size=24)
    for options in ({"mode": "crop", "size": 24}, {"mode": "native"}):
        with pytest.raises(UsageError, match=r"png: 20×20 is too small .* 24×24"):
            reader(folder, needs=needs, **options).sample(0, 0)


def test_pictures_of_several_sizes_make_no_batch(folder: Path) -> None:
    save_picture(folder / "trainA" / "x.png", 1, (30, 23))
    data = reader(folder, mode="native")
    source = batches(data, seed=0, start=0, batch_size=5, workers=1, device=CPU)
    with pytest.raises(UsageError, match=r"differ in size \(20×20 and 30×23 in 'a'\)"):
        next(source)


def test_a_picture_that_cannot_be_read_is_left_out_and_reported_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "trainA" / "1.png").write_bytes(b"\x89PNG\r\n")
    data = reader(folder, mode="native")
    good = {(folder / "trainA" / f"{n}.png") for n in (0, 2, 3)}
    whole = {data._pixels(file).tobytes() for file in good}
    assert {data.sample(number, 0)["a"].tobytes() for number in range(12)} == whole
    assert capsys.readouterr().err.count("1.png") == 1


def test_a_folder_without_a_readable_picture_is_refused(folder: Path) -> None:
    for file in (folder / "trainB").iterdir():
        file.write_bytes(b"")
    with pytest.raises(UsageError, match="trainB: none of its pictures can be read"):
        reader(folder).sample(0, 0)


def images(batch: Batch) -> list[torch.Tensor]:
    return [batch["a"], batch["b"], batch.seeds]


@pytest.mark.parametrize("workers", [1, 4])
def test_a_loader_restarted_midway_gives_the_same_batches(folder: Path, workers: int) -> None:
    data = reader(folder, mode="zoom", colour=0.5)
    options: dict[str, Any] = {"seed": 3, "batch_size": 2, "device": CPU}
    whole = list(islice(batches(data, start=0, workers=2, **options), 6))
    rest = list(
        islice(
            batches(reader(folder, mode="zoom", colour=0.5), start=6, workers=workers, **options), 3
        )
    )
    for one, same in zip(whole[3:], rest, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(images(one), images(same), strict=True))


def test_a_samples_augmentation_does_not_depend_on_its_batch(folder: Path) -> None:
    data = reader(folder, colour=0.5)
    options: dict[str, Any] = {"seed": 3, "start": 0, "workers": 1, "device": CPU}
    single = list(islice(batches(data, batch_size=1, **options), 4))
    four = next(batches(data, batch_size=4, **options))
    for place, one in enumerate(single):
        torch.testing.assert_close(one["a"][0], four["a"][place])
        assert one.seeds[0] == four.seeds[place]


def test_bytes_become_floats_from_minus_one_to_one() -> None:
    sample = {"a": np.array([[[0, 127, 255]]], dtype=np.uint8)}
    batch = collate([sample], [9], CPU)
    assert batch["a"].shape == (1, 3, 1, 1)
    assert batch["a"].flatten().tolist() == pytest.approx([-1, -1 / 255, 1])
    assert batch.seeds.tolist() == [9]


def test_flip_mirrors_those_below_a_half() -> None:
    pictures = torch.arange(6.0).reshape(2, 1, 1, 3)
    out = flip(pictures, torch.tensor([0.4, 0.6]))
    assert out.flatten().tolist() == [2, 1, 0, 3, 4, 5]


def test_colour_changes_go_by_the_sample_and_stay_in_range() -> None:
    pictures = torch.rand(3, 3, 8, 8) * 2 - 1
    unchanged = jitter_colour(pictures, 1.0, torch.full((3, 4), 0.5))
    torch.testing.assert_close(unchanged, pictures, atol=1e-5, rtol=0)
    chance = torch.tensor([[0.5] * 4, [0.9] * 4, [0.1, 0.9, 0.0, 0.99]])
    changed = jitter_colour(pictures, 1.0, chance)
    torch.testing.assert_close(changed[0], pictures[0], atol=1e-5, rtol=0)
    assert (changed[1] - pictures[1]).abs().max() > 0.1
    assert changed.abs().max() <= 1


def test_a_cache_reads_once_while_there_is_room() -> None:
    reads: list[Path] = []

    def read(path: Path) -> Pixels:
        reads.append(path)
        return np.zeros((10, 10, 3), dtype=np.uint8)

    cache = PixelCache(read)
    cache.store = InMemory(limit=700)
    paths = [Path(name) for name in "abc"]
    for path in paths * 3:
        cache(path)
    assert [reads.count(path) for path in paths] == [1, 1, 3]


def test_a_failure_to_read_is_not_kept() -> None:
    failing = True

    def read(path: Path) -> Pixels:
        if failing:
            raise ImageError(f"{path}: gone")
        return np.zeros((1, 1, 3), dtype=np.uint8)

    cache = PixelCache(read)
    with pytest.raises(TranslateError, match="none of its pictures"):
        cache.at([Path("d/a"), Path("d/b")], 1)
    failing = False
    assert cache.at([Path("d/a"), Path("d/b")], 1)[0] == Path("d/b")


def test_bad_files_met_in_several_threads_are_reported_a_line_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            time.sleep(0.001)
            return super().write(text)

    def read(path: Path) -> Pixels:
        raise ImageError(f"{path}: gone")

    monkeypatch.setattr(sys, "stderr", said := Slow())
    cache, files = PixelCache(read), [Path(f"d/{number}") for number in range(8)]

    def look(start: int) -> None:
        with pytest.raises(TranslateError):
            cache.at(files, start)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(look, range(4)))
    lines = sorted(said.getvalue().splitlines())
    assert lines == [f"left out: {file}: gone" for file in files]
