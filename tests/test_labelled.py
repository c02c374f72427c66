"""Pictures of one kind and of several classes: what is found, what a sample is, what is refused."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tiny import save_picture
from translate.errors import TranslateError, UsageError
from translate.options import build
from translate_datasets.idx import read_idx, shape_of
from translate_datasets.images import Images, PictureOptions
from translate_datasets.labelled import Labelled, LabelledOptions


def idx(array: NDArray[np.uint8]) -> bytes:
    """Return an IDX file: two zeros, the type, the number of sides, the sides, the bytes."""
    sides = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + sides + array.tobytes()


def digits_folder(folder: Path, *, zipped: bool = False, count: int = 6) -> Path:
    """Write pictures whose grey is ten times their label, and darker ones for testing."""
    folder.mkdir(parents=True, exist_ok=True)
    for word, more in (("train", 5), ("t10k", 0)):
        labels = np.arange(count, dtype=np.uint8) % 3
        pictures = np.broadcast_to((labels * 10 + more)[:, None, None], (count, 12, 12))
        for kind, sides, array in (("images", 3, pictures), ("labels", 1, labels)):
            data = idx(np.ascontiguousarray(array, dtype=np.uint8))
            path = folder / f"{word}-{kind}-idx{sides}-ubyte"
            path = path.with_name(path.name + ".gz") if zipped else path
            path.write_bytes(gzip.compress(data) if zipped else data)
    return folder


def labelled(folder: Path, needs: dict[str, Any] | None = None, **options: Any) -> Labelled:
    return Labelled([folder], build(LabelledOptions, options, what="data"), needs or {})


def class_folders(folder: Path) -> Path:
    for number in range(4):
        name = ("cat", "dog")[number % 2]
        save_picture(folder / name / f"{number}.png", number, (20, 14))
    return folder


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("inside", ["", "raw", "MNIST/raw"])
def test_the_files_of_mnist_are_read_zipped_or_not(
    zipped: bool, inside: str, tmp_path: Path
) -> None:
    digits_folder(tmp_path / inside, zipped=zipped)
    data = labelled(tmp_path, {"size": 12})
    assert len(data) == 6
    assert (data.facts.channels, data.facts.classes) == (1, ("0", "1", "2"))
    assert data.describe() == "labelled: 6 pictures of 3 classes (0, 1, 2)"
    for number in range(6):
        sample = data.sample(number, 0)
        assert sample["image"].shape == (12, 12, 1)
        assert (sample["image"] == sample["label"] * 10 + 5).all()


def test_an_epoch_has_every_picture_once_and_the_next_another_order(tmp_path: Path) -> None:
    digits_folder(tmp_path, count=30)
    data = labelled(tmp_path, {"size": 12})
    epochs = [[data.sample(start + n, 0)["label"] for n in range(30)] for start in (0, 30)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted([0, 1, 2] * 10)
    assert epochs[0] != epochs[1]


def test_class_folders_are_numbered_by_name(tmp_path: Path) -> None:
    data = labelled(class_folders(tmp_path), size=14)
    assert (data.facts.channels, data.facts.classes) == (3, ("cat", "dog"))
    assert data.working_size == 14
    shown = {data.sample(n, 0)["label"] for n in range(4)}
    assert shown == {0, 1}
    assert data.sample(0, 0)["image"].shape == (14, 14, 3)


def test_a_folder_called_train_is_looked_into(tmp_path: Path) -> None:
    class_folders(tmp_path / "train")
    class_folders(tmp_path / "test")
    assert labelled(tmp_path).facts.classes == ("cat", "dog")


def test_a_picture_that_cannot_be_read_gives_way_to_one_with_its_own_label(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, grey in (("black", 0), ("white", 255)):
        (tmp_path / name).mkdir()
        Image.new("RGB", (16, 16), (grey,) * 3).save(tmp_path / name / "a.png")
    (tmp_path / "black" / "b.png").write_bytes(b"no picture")
    data = labelled(tmp_path, size=16)
    for number in range(3):
        sample = data.sample(number, 0)
        assert (sample["image"] == 255 * sample["label"]).all()
    assert "left out" in capsys.readouterr().err


def test_classes_may_have_names_in_a_file(tmp_path: Path) -> None:
    digits_folder(tmp_path)
    (tmp_path / "classes.txt").write_text("shirt\nshoe\nbag\n")
    assert labelled(tmp_path).facts.classes == ("shirt", "shoe", "bag")
    (tmp_path / "classes.txt").write_text("shirt\nshoe\nshoe\n")
    with pytest.raises(UsageError, match="needs 3 different names"):
        labelled(tmp_path)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda d: d[:20], "claims 864 bytes, but holds 4"),
        (lambda d: d + b"x", "claims 864 bytes, but holds more"),
        (lambda d: b"\0\0\x0d" + d[3:], "not an IDX file of bytes"),
        (lambda d: d[:9], "cut short within its header"),
        (lambda d: d[:4] + b"\xff" * 12, "more than"),
        (lambda d: b"", "not an IDX file of bytes"),
    ],
)
def test_a_damaged_idx_file_says_so(damage: Any, reason: str, tmp_path: Path) -> None:
    path = digits_folder(tmp_path) / "train-images-idx3-ubyte"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(TranslateError, match=reason):
        read_idx(path)


def test_a_zipped_idx_file_that_is_cut_short_says_so(tmp_path: Path) -> None:
    path = digits_folder(tmp_path, zipped=True) / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-12])
    assert shape_of(path) == (6, 12, 12)
    with pytest.raises(TranslateError, match="cannot be read"):
        read_idx(path)


def test_labels_must_be_as_many_as_pictures(tmp_path: Path) -> None:
    digits_folder(tmp_path)
    path = tmp_path / "train-labels-idx1-ubyte"
    path.write_bytes(idx(np.zeros(5, np.uint8)))
    with pytest.raises(UsageError, match="5 labels for 6 pictures"):
        labelled(tmp_path)


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 0)
    with pytest.raises(UsageError, match="needs two or more folders with pictures"):
        labelled(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        labelled(tmp_path / "none")


def test_the_methods_size_is_what_samples_have(tmp_path: Path) -> None:
    digits_folder(tmp_path)
    assert labelled(tmp_path, {"size": 16}).sample(0, 0)["image"].shape == (16, 16, 1)
    with pytest.raises(UsageError, match=r"data\.size=20: the method makes 16 pixels"):
        labelled(tmp_path, {"size": 16}, size=20)


@pytest.mark.parametrize("mode", ["square", "squeeze", "zoom"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_one_kind_become_squares(mode: str, channels: int, tmp_path: Path) -> None:
    for number in range(3):
        save_picture(tmp_path / "inside" / f"{number}.png", number, (30 + number, 20))
    options = build(PictureOptions, {"mode": mode, "channels": channels}, what="data")
    data = Images([tmp_path], options, {"size": 16})
    assert len(data) == 3
    assert data.facts.channels == channels
    one, same, other = (data.sample(n, seed)["image"] for n, seed in ((0, 1), (0, 1), (0, 2)))
    assert one.shape == (16, 16, channels)
    assert (one == same).all()
    assert (one != other).any()


def test_mnist_itself_is_read() -> None:
    if "TRANSLATE_TEST_DATA" not in os.environ:
        pytest.skip("TRANSLATE_TEST_DATA names no folder of real data")
    data = labelled(Path(os.environ["TRANSLATE_TEST_DATA"]) / "mnist", {"size": 28})
    assert len(data) == 60_000
    assert data.facts.classes == tuple("0123456789")
    sample = data.sample(0, 0)
    assert sample["image"].max() > 200
    assert sample["image"][:2].max() == 0
