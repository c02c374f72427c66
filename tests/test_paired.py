"""Pairs are found, stay together through every cut, and are made of photographs where asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kornia
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from tiny import save_picture
from translate.errors import UsageError
from translate.method import Batch
from translate.options import Facts, build
from translate.pipeline.cache import OnDevice
from translate.pipeline.loader import collate
from translate_datasets.making import as_edges, as_grey
from translate_datasets.paired import Paired, PairedOptions

CPU = torch.device("cpu")


def reader(*folders: Path, needs: Mapping[str, Any] | None = None, **options: Any) -> Paired:
    values = {"size": 16, "load": 20} | options
    return Paired(folders, build(PairedOptions, values, what="data"), needs or {})


def save(path: Path, pixels: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def noise(seed: int, *shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pairs of which b is the negative of a, so that a parted pair shows."""
    for number in range(3):
        pixels = noise(number, 24, 30, 3)
        save(tmp_path / "pairs" / "trainA" / f"{number}.png", pixels)
        save(tmp_path / "pairs" / "trainB" / f"{number}.tif", 255 - pixels)
    return tmp_path / "pairs"


def batch(data: Paired, count: int = 4) -> Batch:
    samples = [data.sample(number, 0) for number in range(count)]
    return data.on_device(collate(samples, list(range(count)), CPU))


MODES = ["resize-and-crop", "zoom", "crop", "native"]


@pytest.mark.parametrize("mode", MODES)
def test_both_halves_are_cut_and_mirrored_alike(folder: Path, mode: str) -> None:
    made = batch(reader(folder, mode=mode))
    assert made["a"].shape == made["b"].shape
    # Interpolation rounds, and overshoots are cut off, on either side for itself.
    loss = {"crop": 1e-6, "native": 1e-6}.get(mode, 0.05)
    assert float((made["a"] + made["b"]).abs().mean()) < loss
    assert float(made["a"].std()) > 0.3


@pytest.mark.parametrize("mode", MODES)
def test_a_sample_depends_on_its_number_and_the_seed_alone(folder: Path, mode: str) -> None:
    data, other = reader(folder, mode=mode), reader(folder, mode=mode)
    forwards = [data.sample(number, 5) for number in range(6)]
    backwards = [other.sample(number, 5) for number in reversed(range(6))][::-1]
    for one, same in zip(forwards, backwards, strict=True):
        assert all(np.array_equal(one[side], same[side]) for side in "ab")
    assert len({bytes(one["a"].tobytes()) for one in forwards}) >= 3


def test_a_mirrored_half_has_a_mirrored_partner(folder: Path) -> None:
    still, data = reader(folder, mode="native", flip=False), reader(folder, mode="native")
    plain, made = batch(still, 12), batch(data, 12)
    mirrored = [not torch.equal(x, y) for x, y in zip(plain["a"], made["a"], strict=True)]
    assert mirrored == [not torch.equal(x, y) for x, y in zip(plain["b"], made["b"], strict=True)]
    assert 0 < sum(mirrored) < 12


def test_the_way_back_exchanges_the_sides(folder: Path) -> None:
    there, back = reader(folder), reader(folder, direction="b2a")
    one, two = batch(there), batch(back)
    assert torch.equal(one["a"], two["b"])
    assert torch.equal(one["b"], two["a"])
    grey = reader(folder, channels_a=1)
    assert grey.facts == Facts(channels=1, channels_out=3)
    assert reader(folder, channels_a=1, direction="b2a").facts == Facts(channels=3, channels_out=1)
    assert there.facts == Facts(channels=3)
    assert batch(grey)["a"].shape == (4, 1, 16, 16)


def test_two_folders_will_do(folder: Path) -> None:
    assert reader(folder / "trainA", folder / "trainB").files == reader(folder).files
    assert reader(folder).describe() == "paired: 3 pairs"


def test_what_has_no_partner_is_listed_or_left_out(folder: Path) -> None:
    for number in range(10, 17):
        save_picture(folder / "trainA" / f"{number}.png", number)
    with pytest.raises(UsageError, match=r"7 pictures have no .*10\.png.* and 2 more.*missing=tru"):
        reader(folder)
    data = reader(folder, allow_missing=True)
    assert len(data) == 3
    assert data.describe() == "paired: 3 pairs, 7 without a partner"


def test_folders_without_a_single_pair_are_refused(tmp_path: Path) -> None:
    save_picture(tmp_path / "trainA" / "x.png", 1)
    save_picture(tmp_path / "trainB" / "y.png", 1)
    with pytest.raises(UsageError, match="no two pictures belong together"):
        reader(tmp_path, allow_missing=True)


def test_one_name_twice_is_refused(folder: Path) -> None:
    save_picture(folder / "trainA" / "0.jpg", 1)
    with pytest.raises(UsageError, match=r"0\.(png|jpg) has the same name"):
        reader(folder)


@pytest.mark.parametrize("mode", MODES)
def test_sizes_that_differ_inside_a_pair_are_named_or_matched(folder: Path, mode: str) -> None:
    save_picture(folder / "trainA" / "1.png", 1, (20, 18))
    with pytest.raises(UsageError, match=r"1\.png: 20×18, but its partner .*1\.tif is 30×24"):
        batch(reader(folder, mode=mode))
    assert batch(reader(folder, mode=mode, match_sizes=True))["a"].shape[0] == 4


def test_wrong_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        reader(tmp_path / "none")
    with pytest.raises(UsageError, match="trainA and trainB"):
        reader(folder / "trainA")
    with pytest.raises(UsageError, match="3 folders"):
        reader(folder, folder, folder)
    with pytest.raises(UsageError, match="2 folders"):
        reader(folder, folder, pairs="edges")
    with pytest.raises(UsageError, match="multiple of 32"):
        reader(folder, needs={"multiple_of": 32})
    with pytest.raises(UsageError, match=r"too small for data\.mode=crop"):
        batch(reader(folder, mode="crop", size=28, load=28))


def test_halves_of_one_picture_are_a_pair(tmp_path: Path) -> None:
    pixels = noise(1, 20, 24, 3)
    save(tmp_path / "train" / "x.png", np.concatenate([pixels, 255 - pixels], 1))
    made = batch(reader(tmp_path, pairs="side-by-side", mode="crop"), 2)
    torch.testing.assert_close(made["a"], -made["b"])
    save(tmp_path / "train" / "x.png", noise(1, 20, 25, 3))
    with pytest.raises(UsageError, match=r"x\.png: 25 pixels wide"):
        batch(reader(tmp_path, pairs="side-by-side"))


def test_a_list_of_pairs_names_pictures_from_its_own_folder_on(folder: Path) -> None:
    listed = folder / "pairs.csv"
    listed.write_text("left,right,more\ntrainA/2.png,trainB/2.tif,x\ntrainA/0.png,trainB/0.tif,x\n")
    data = reader(listed)
    assert [file.name for file in data.files] == ["2.png", "0.png"]
    assert float((batch(data)["a"] + batch(data)["b"]).abs().mean()) < 0.05
    listed.write_text("left,right\ntrainA/2.png,trainB/9.tif\n")
    with pytest.raises(UsageError, match=r"1 picture has no partner: .*9\.tif"):
        reader(listed)
    listed.write_text("left,right\ntrainA/2.png\n")
    with pytest.raises(UsageError, match="line 2 does not name two"):
        reader(listed)


@pytest.mark.parametrize(("ground", "level"), [("white", 1.0), ("black", -1.0)])
def test_what_is_transparent_lies_on_the_ground_that_is_chosen(
    ground: str, level: float, tmp_path: Path
) -> None:
    for side in "AB":
        save(tmp_path / f"train{side}" / "0.png", np.tile(np.uint8([9, 9, 9, 0]), (20, 20, 1)))  # type: ignore[arg-type]
    made = batch(reader(tmp_path, ground=ground), 1)
    assert torch.equal(made["a"], torch.full_like(made["a"], level))


@pytest.mark.parametrize("mode", ["resize-and-crop", "zoom"])
def test_resizing_mixes_no_labels(mode: str, tmp_path: Path) -> None:
    mask = np.where(noise(3, 37, 29) > 128, 255, 0).astype(np.uint8)
    save(tmp_path / "trainA" / "0.png", mask)
    save(tmp_path / "trainB" / "0.png", np.stack([mask] * 3, 2))
    made = batch(reader(tmp_path, mode=mode, channels_a=1, labels="a"))
    assert set(made["a"].flatten().tolist()) == {-1.0, 1.0}
    assert len(set(made["b"].flatten().tolist())) > 10


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({}, "a"),
        ({"colour_of": "both"}, "ab"),
        ({"labels": "a"}, ""),
        ({"labels": "a", "colour_of": "both"}, "b"),
        ({"labels": "both", "colour_of": "both"}, ""),
        ({"channels_a": 1}, ""),
        ({"direction": "b2a"}, "a"),
        ({"direction": "b2a", "labels": "b", "colour_of": "both"}, "b"),
    ],
)
def test_colours_change_only_where_they_make_sense(
    options: dict[str, Any], changed: str, folder: Path
) -> None:
    plain = batch(reader(folder, mode="crop", **options))
    made = batch(reader(folder, mode="crop", colour=0.5, **options))
    assert "".join(s for s in "ab" if not torch.equal(plain[s], made[s])) == changed


def test_greys_are_as_light_as_the_photograph(folder: Path) -> None:
    data = reader(folder / "trainB", pairs="grey", colour=0.3)
    made = batch(data)
    assert data.facts == Facts(channels=1, channels_out=3)
    assert data.describe() == "paired: 3 pairs (grey)"
    assert made["a"].shape == (4, 1, 16, 16)
    light = [lightness(made[side].expand(-1, 3, -1, -1)) for side in "ab"]
    assert float((light[0] - light[1]).abs().max()) < 0.01
    assert float((made["b"] - made["a"]).abs().mean()) > 0.1


def lightness(images: Tensor) -> Tensor:
    lab: Tensor = kornia.color.rgb_to_lab((images + 1) / 2)
    return lab[:, 0]


def test_edges_are_black_lines_on_white(tmp_path: Path) -> None:
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, 16:] = 255
    save(tmp_path / "0.png", pixels)
    made = batch(reader(tmp_path, pairs="edges", mode="native", flip=False), 1)
    lines = made["a"][0, 0]
    assert set(lines.flatten().tolist()) == {-1.0, 1.0}
    columns = (lines == -1).any(0).nonzero().flatten()
    assert set(columns.tolist()) <= {14, 15, 16, 17}
    assert len(columns) > 0
    back = reader(tmp_path, pairs="edges", mode="native", flip=False, direction="b2a")
    assert torch.equal(batch(back, 1)["b"], made["a"])
    assert back.facts == Facts(channels=3, channels_out=1)


def test_what_is_made_of_a_picture_is_made_of_it_alone() -> None:
    images = torch.rand(3, 3, 24, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for make in (as_grey, as_edges):
        assert torch.equal(make(images)[1:2], make(images[1:2]))


def test_a_picture_that_cannot_be_read_takes_its_pair_along(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "trainB" / "1.tif").write_bytes(b"no picture")
    data = reader(folder, mode="native", flip=False)
    for number in range(6):
        sample = data.sample(number, 0)
        assert np.array_equal(sample["a"], 255 - np.asarray(sample["b"]))
    assert capsys.readouterr().err.count("left out: ") == 1


@pytest.mark.parametrize("mode", MODES)
def test_pairs_kept_on_the_device_are_cut_there_alike(folder: Path, mode: str) -> None:
    there, here = reader(folder, mode=mode, labels="a"), reader(folder, mode=mode, labels="a")
    there.keep(OnDevice(CPU))
    moved, made = batch(there), batch(here)
    for side in "ab":
        assert moved[side].shape == made[side].shape
        # Where pictures are resized, the two ways differ by a shade; labels not even by that.
        allowed = 0.1 if mode == "zoom" and side == "b" else 1e-6
        assert float((moved[side] - made[side]).abs().mean()) <= allowed
