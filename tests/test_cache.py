"""Where decoded pictures are kept, and how samples are cut from them: the same wherever it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from test_training import full_disk, same_state
from tiny import finish, save_picture, start, unpaired_folder
from translate.errors import UsageError
from translate.images import read_rgb
from translate.options import build
from translate.pipeline import PixelCache, cut, random_box, zoom_box
from translate.pipeline import cache as caches
from translate.pipeline.cache import InFiles, InMemory, Nowhere, OnDevice, Pixels, make_store
from translate.pipeline.loader import batches
from translate.training import checkpoint
from translate_datasets.paired import Paired, PairedOptions
from translate_datasets.unpaired import Unpaired, UnpairedOptions

CPU = torch.device("cpu")
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


class Reader:
    """Decodes pictures and remembers which."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, path: Path) -> Pixels:
        self.read.append(path.name)
        return read_rgb(path)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [save_picture(tmp_path / "in" / f"{n}.png", n) for n in range(4)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def cache(store: caches.Store, files: list[Path]) -> tuple[PixelCache, Reader]:
    reader = Reader()
    made = PixelCache(reader, files)
    made.store = store
    return made, reader


def each(made: PixelCache, files: list[Path]) -> list[Any]:
    return [np.asarray(made(file)) for file in files]


def same(one: list[Any], other: list[Any]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(one, other, strict=True))


# Stores


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("name", "reads"), [("memory", 4), ("file", 4), ("device", 4), ("none", 8)]
)
def test_every_store_gives_the_pixels_back(
    name: str, reads: int, files: list[Path], folder: Path
) -> None:
    made, reader = cache(make_store(name, folder=folder, device=CPU), files)
    decoded = [read_rgb(file) for file in files]
    assert same(each(made, files), decoded)
    assert same(each(made, files), decoded)
    assert len(reader.read) == reads
    assert isinstance(made(files[0]), Tensor) == (name == "device")
    assert folder.exists() == (name == "file")


def test_a_store_that_there_is_not_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="--cache tape: there are memory, file, device, none"):
        make_store("tape", folder=folder, device=CPU)


@pytest.mark.parametrize("kind", [InMemory, OnDevice])
def test_what_there_is_no_room_for_is_decoded_each_time(
    kind: type[InMemory], files: list[Path]
) -> None:
    store = InMemory() if kind is InMemory else OnDevice(CPU)
    store.limit = 2 * 20 * 20 * 3
    made, reader = cache(store, files)
    assert same(each(made, files) + each(made, files), 2 * [read_rgb(file) for file in files])
    assert [reader.read.count(file.name) for file in files] == [1, 1, 2, 2]
    assert type(made(files[0])) is type(made(files[3]))


def test_files_are_shared_with_a_later_run(files: list[Path], folder: Path) -> None:
    before = each(cache(InFiles(folder), files)[0], files)
    made, reader = cache(InFiles(folder), files)
    assert same(each(made, files), before)
    assert reader.read == []
    assert isinstance(made(files[0]), np.memmap)
    assert not made(files[0]).flags.writeable


def test_threads_share_files(files: list[Path], folder: Path) -> None:
    decoded = [read_rgb(file) for file in files]
    made, _ = cache(InFiles(folder), files)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(made, files * 20))
    assert same(found, decoded * 20)
    assert sorted(path.suffix for path in folder.iterdir()) == [".npy"] * 4


def test_two_that_write_one_picture_at_once_do_not_meet(
    files: list[Path],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    both = Barrier(2, timeout=20)
    monkeypatch.setattr(os, "fsync", lambda number: both.wait())
    made, reader = cache(InFiles(folder), files)
    with ThreadPoolExecutor(2) as pool:
        assert same(*(2 * [found] for found in pool.map(made, [files[0]] * 2)))
    assert len(reader.read) == 2
    assert capsys.readouterr().err == ""
    assert [path.suffix for path in folder.iterdir()] == [".npy"]


def test_a_changed_picture_is_read_anew(files: list[Path], folder: Path) -> None:
    each(cache(InFiles(folder), files)[0], files)
    save_picture(files[1], 99, (24, 20))
    made, reader = cache(InFiles(folder), files)
    assert same(each(made, files), [read_rgb(file) for file in files])
    assert reader.read == [files[1].name]


def test_a_changed_partner_is_read_anew(tmp_path: Path, folder: Path) -> None:
    for side in "AB":
        save_picture(tmp_path / "pairs" / f"train{side}" / "0.png", ord(side))
    options = build(PairedOptions, {"size": 20, "load": 20, "flip": False}, what="data")

    def target() -> Any:
        reader = Paired([tmp_path / "pairs"], options, {})
        reader.keep(InFiles(folder))
        return reader.sample(0, 0)["b"]

    before = target()
    assert np.array_equal(target(), before)
    save_picture(tmp_path / "pairs" / "trainB" / "0.png", 7)
    assert not np.array_equal(target(), before)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04" + bytes(500))


def bad_header(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"'shape': (", b"'shape': ((("))


def other_type(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros((2, 2)))


@pytest.mark.parametrize("damage", [cut_short, emptied, garbage, bad_header, other_type])
def test_a_damaged_file_is_built_again(
    damage: Callable[[Path], None], files: list[Path], folder: Path
) -> None:
    decoded = each(cache(InFiles(folder), files)[0], files)
    for path in folder.iterdir():
        damage(path)
    made, reader = cache(InFiles(folder), files)
    assert same(each(made, files), decoded)
    assert len(reader.read) == 4
    made, reader = cache(InFiles(folder), files)
    assert same(each(made, files), decoded)
    assert reader.read == []


@pytest.mark.parametrize("trouble", ["in the way", "read-only", "full disk"])
def test_where_nothing_can_be_written_that_is_said_once_and_work_goes_on(
    trouble: str, files: list[Path], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if trouble == "read-only" and ROOT:
        pytest.skip("nothing is read-only for root")
    if trouble == "in the way":
        folder.write_text("a file")
    elif trouble == "read-only":
        folder.mkdir(mode=0o500)
    made, reader = cache(InFiles(folder), files)
    with full_disk(500 if trouble == "full disk" else 10_000_000):
        found = each(made, files) + each(made, files)
    assert same(found, 2 * [read_rgb(file) for file in files])
    assert len(reader.read) == 8
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{folder}: cannot be written: ")
    assert line.endswith("; what it does not hold is decoded again each time")
    assert folder.is_file() or list(folder.iterdir()) == []


def test_what_was_kept_before_the_disk_filled_up_is_used(files: list[Path], folder: Path) -> None:
    each(cache(InFiles(folder), files[:2])[0], files[:2])
    made, reader = cache(InFiles(folder), files)
    with full_disk(500):
        each(made, files)
    assert reader.read == ["2.png", "3.png"]


# How much there is


def test_how_much_will_be_kept_is_told_from_a_few_pictures(
    tmp_path: Path, files: list[Path], folder: Path
) -> None:
    more = [*files, *(save_picture(tmp_path / "in" / f"{n}.png", n) for n in range(4, 40))]
    made, reader = cache(InMemory(), more)
    assert made.describe() == "about 0 MB for 40 pictures"
    assert made.bytes() == 40 * 20 * 20 * 3
    assert len(reader.read) == 4
    made.store = InMemory(limit=1000)
    assert made.describe() == (
        "about 0 MB for 40 pictures, 0 MB at most: the others are decoded again each time"
    )
    made.store = Nowhere()
    assert made.describe() == ""
    assert PixelCache(reader).describe() == ""


def test_what_is_too_large_for_the_device_is_refused(files: list[Path]) -> None:
    store = OnDevice(CPU)
    made, _ = cache(store, files)
    assert made.describe() == "about 0 MB for 4 pictures"
    store.limit = 4 * 20 * 20 * 3 - 1
    with pytest.raises(UsageError, match=r"--cache device: about 0 MB for 4 .*use --cache memory"):
        made.describe()


# Cutting


@pytest.mark.parametrize("nearest", [False, True])
@pytest.mark.parametrize(("box", "size"), [((3, 5, 40, 40), 16), ((0, 2, 8, 12), 16)])
def test_an_array_and_a_tensor_are_cut_alike(
    box: tuple[int, int, int, int], size: int, nearest: bool, tmp_path: Path
) -> None:
    pixels = read_rgb(save_picture(tmp_path / "x.png", 3, (60, 50)))
    top, left, height, width = box
    part = pixels[top : top + height, left : left + width]
    tensor = torch.from_numpy(pixels.copy())
    assert np.array_equal(cut(pixels, box), part)
    assert np.array_equal(cut(tensor, box), part)
    one, other = cut(pixels, box, size, nearest=nearest), cut(tensor, box, size, nearest=nearest)
    assert one.shape == tuple(other.shape) == (size, size, 3)
    assert (one.dtype, other.dtype) == (np.uint8, torch.uint8)
    difference = one.astype(int) - other.numpy().astype(int)
    # Where pixels are mixed, the two ways weigh the neighbours a little differently.
    assert np.abs(difference).max() <= (0 if nearest else 4)
    assert abs(difference.mean()) <= 0.1


def test_a_picture_of_one_channel_keeps_it() -> None:
    pixels = np.arange(400, dtype=np.uint8).reshape(20, 20, 1)
    for kind in (pixels, torch.from_numpy(pixels)):
        assert tuple(cut(kind, (0, 0, 20, 20), 8).shape) == (8, 8, 1)


def test_a_cut_at_its_own_size_mixes_nothing() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (20, 20, 3), dtype=np.uint8)
    for kind in (pixels, torch.from_numpy(pixels)):
        assert np.array_equal(cut(kind, (2, 3, 8, 8), 8), pixels[2:10, 3:11])


def test_a_random_box_lies_inside_and_reaches_every_place() -> None:
    boxes = {random_box(7, 10, 5, seed) for seed in range(500)}
    assert boxes == {(top, left, 5, 5) for top in range(3) for left in range(6)}
    assert random_box(5, 5, 5, 3) == (0, 0, 5, 5)


def test_a_zoom_box_lies_inside_keeps_its_share_and_reaches_every_corner() -> None:
    boxes = [zoom_box(48, 60, seed, share=0.4) for seed in range(1000)]
    for top, left, height, width in boxes:
        assert 0 <= top <= 48 - height
        assert 0 <= left <= 60 - width
        assert height * width >= 0.4 * 48 * 60 * 0.95  # sides are whole pixels
        assert 0.8 * 0.95 <= width / height <= 1.25 * 1.05 or (height, width) == (48, 60)
    shares = sorted(height * width / (48 * 60) for _, _, height, width in boxes)
    assert shares[0] < 0.42
    assert shares[-1] > 0.9
    assert {top == 0 for top, *_ in boxes} == {left == 0 for _, left, *_ in boxes} == {True, False}
    assert any(top + height == 48 and left + width == 60 for top, left, height, width in boxes)
    assert zoom_box(48, 60, 5, share=0.4) == zoom_box(48, 60, 5, share=0.4)


def test_a_picture_that_no_proportion_fits_is_taken_whole() -> None:
    assert zoom_box(4, 400, 0, share=0.9) == (0, 0, 4, 400)


# Samples


def samples(folder: Path, store: caches.Store, **options: Any) -> list[Tensor]:
    values = {"size": 16, "load": 20} | options
    reader = Unpaired([folder], build(UnpairedOptions, values, what="data"), {"multiple_of": 4})
    reader.keep(store)
    source = batches(reader, seed=3, start=0, batch_size=2, workers=2, device=CPU)
    taken = list(islice(source, 6))
    source.close()
    return [batch[side] for batch in taken for side in "ab"]


@pytest.mark.parametrize("mode", ["resize-and-crop", "crop", "native", "zoom"])
def test_samples_are_the_same_wherever_pictures_are_kept(
    mode: str, tmp_path: Path, folder: Path
) -> None:
    data = unpaired_folder(tmp_path / "pictures")
    expected = samples(data, Nowhere(), mode=mode, colour=0.2)
    for name in ("memory", "file"):
        found = samples(data, make_store(name, folder=folder, device=CPU), mode=mode, colour=0.2)
        assert all(map(torch.equal, found, expected)), name
    found = samples(data, OnDevice(CPU), mode=mode, colour=0.2)
    if mode == "zoom":
        gap = max(float((x - y).abs().mean()) for x, y in zip(found, expected, strict=True))
        assert 0 < gap < 0.02
    else:
        assert all(map(torch.equal, found, expected))


def test_distortion_goes_by_the_sample_and_needs_the_cpu(tmp_path: Path) -> None:
    data = unpaired_folder(tmp_path / "pictures")
    plain = samples(data, InMemory(), mode="native")
    bent = samples(data, InMemory(), mode="native", distort=1.0)
    assert all(map(torch.equal, bent, samples(data, Nowhere(), mode="native", distort=1.0)))
    assert all(x.shape == y.shape for x, y in zip(plain, bent, strict=True))
    assert all(not torch.equal(x, y) for x, y in zip(plain, bent, strict=True))
    little = samples(data, InMemory(), mode="native", distort=0.05)
    far, near = (
        sum(float((x - y).abs().mean()) for x, y in zip(plain, other, strict=True))
        for other in (bent, little)
    )
    assert near < 0.3 * far
    with pytest.raises(UsageError, match=r"data\.distort: works on the CPU"):
        samples(data, OnDevice(CPU), distort=1.0)


# Runs


def test_a_run_learns_the_same_wherever_pictures_are_kept(tmp_path: Path) -> None:
    data = unpaired_folder(tmp_path / "pictures")
    states = {}
    for name in ("memory", "file", "none", "device"):
        run = start(tmp_path / name, data, training__images=4)
        said = run.keep_pictures(name)
        assert said == ("" if name == "none" else "about 0 MB for 9 pictures")
        finish(run)
        states[name] = checkpoint.load(tmp_path / name / "last.pt")
    for name in ("file", "none", "device"):
        same_state(states["memory"], states[name])
    assert len(list((tmp_path / "file" / "cache").rglob("*.npy"))) == 9


def test_a_run_that_reads_otherwise_does_not_take_what_was_kept(tmp_path: Path) -> None:
    """A killed run's folder may be begun again with another data.load."""
    data = unpaired_folder(tmp_path / "pictures")
    for load in (20, 40):
        run = start(tmp_path / "run", data, data__load=load, data__flip=False)
        run.keep_pictures("file")
        pixels = run.dataset._pixels(next(iter(run.dataset.files["a"])))  # type: ignore[attr-defined]
        assert pixels.shape == (load, load, 3)


def test_a_run_trains_to_its_end_on_a_disk_without_room_for_the_cache(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = unpaired_folder(tmp_path / "pictures")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "cache").write_text("in the way")
    run = start(tmp_path / "run", data, training__images=3)
    run.keep_pictures("file")
    assert len(finish(run)) == 2
    assert capsys.readouterr().err.count("cannot be written") == 1
