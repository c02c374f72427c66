"""Low and high resolution of a sample are the same place, however the low one came about."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from translate.errors import UsageError
from translate.method import Batch
from translate.options import build
from translate.pipeline import bicubic, mix, read_rgb
from translate.pipeline.cache import InFiles, OnDevice
from translate.pipeline.loader import collate
from translate.testing import check_method
from translate_datasets.images import smooth_picture
from translate_datasets.superres import SuperRes, SuperResOptions

CPU = torch.device("cpu")
LOWS = ["bicubic", "practical", "given"]
SMALL = {"network": "compact", "width": 8, "blocks": 2}


def reader(*folders: Path, scale: int = 4, **options: Any) -> SuperRes:
    values = {"size": 32} | options
    return SuperRes(folders, build(SuperResOptions, values, what="data"), {"scale": scale})


def save(path: Path, pixels: NDArray[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures with a texture, of sides that are no multiples, and given low resolution."""
    for number in range(3):
        grain = np.random.default_rng(number).integers(-30, 30, (52, 64, 3))
        high = smooth_picture(number, 64)[:52].astype(int) + grain
        high = np.clip(high, 0, 255).astype(np.uint8)
        save(tmp_path / "pairs" / "HR" / f"{number}.png", high)
        low = high.reshape(13, 4, 16, 4, 3).mean((1, 3)).round().astype(np.uint8)
        save(tmp_path / "pairs" / "LR" / f"{number}x4.png", low)
        save(tmp_path / "high" / f"{number}.png", np.pad(high, ((0, 3), (0, 1), (0, 0))))
    return tmp_path


def data_of(folder: Path, low: str, **options: Any) -> SuperRes:
    return reader(folder / ("pairs" if low == "given" else "high"), low=low, **options)


def batch(data: SuperRes, count: int = 12, start: int = 0) -> Batch:
    numbers = range(start, start + count)
    samples = [data.sample(number, 0) for number in numbers]
    return data.on_device(collate(samples, [mix(0, number) for number in numbers], CPU))


def average(images: Tensor) -> Tensor:
    return avg_pool2d(images, 4)


@pytest.mark.parametrize("low", LOWS)
def test_low_resolution_shows_the_same_place_flipped_and_turned_alike(
    folder: Path, low: str
) -> None:
    made = batch(data_of(folder, low, strength=0.2))
    assert made["high"].shape == (12, 3, 32, 32)
    assert made["low"].shape == (12, 3, 8, 8)
    distances = (made["low"][:, None] - average(made["high"])[None]).abs().mean((2, 3, 4))
    assert distances.argmin(1).tolist() == list(range(12))
    assert float(distances.diag().max()) < 0.1
    if low == "given":
        torch.testing.assert_close(made["low"], average(made["high"]), atol=1.01 / 255, rtol=0)


def test_previews_whose_seeds_are_others_show_the_same_place_too(folder: Path) -> None:
    data = data_of(folder, "practical", strength=0.0)
    samples = [data.sample(number, 0) for number in range(12)]
    made = data.on_device(collate(samples, range(12), CPU))
    assert set(made.tensors) == {"low", "high"}
    assert float((made["low"] - average(made["high"])).abs().mean()) < 0.05


@pytest.mark.parametrize("low", LOWS)
def test_a_sample_depends_on_its_number_and_the_seed_alone(folder: Path, low: str) -> None:
    whole = batch(data_of(folder, low))
    data = data_of(folder, low)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda start: batch(data, 1, start), reversed(range(12))))
    for field in ("low", "high"):
        assert torch.equal(torch.cat([part[field] for part in reversed(parts)]), whole[field])
        assert len({bytes(x.numpy().tobytes()) for x in whole[field]}) == 12
        levels = (whole[field] + 1) * 127.5
        torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)


def test_bicubic_low_resolution_is_that_of_the_whole_picture(folder: Path) -> None:
    data = data_of(folder, "bicubic", flip=False, turn=False)
    assert data.describe() == "superres: 3 pictures, to be enlarged 4 times"
    for number in range(6):
        sample = data.sample(number, 0)
        for file in data.files:
            whole = torch.from_numpy(read_rgb(file)[:52, :64].copy()).permute(2, 0, 1)[None]
            low = bicubic(whole.double(), down=4).round().clamp(0, 255)[0].permute(1, 2, 0)
            windows = np.lib.stride_tricks.sliding_window_view(low.numpy(), (8, 8), (0, 1))
            places = np.argwhere((windows == sample["low"].transpose(2, 0, 1)).all((2, 3, 4)))
            if len(places):
                top, left = (4 * int(place) for place in places[0])
                high = read_rgb(file)[top : top + 32, left : left + 32]
                assert np.array_equal(sample["high"], high)
                break
        else:
            pytest.fail("the low resolution is in none of the pictures")


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_practical_samples_come_at_any_scale_and_from_the_smallest_pictures(
    tmp_path: Path, scale: int
) -> None:
    save(tmp_path / "0.png", smooth_picture(1, 16))
    made = batch(reader(tmp_path, scale=scale, size=16, low="practical", turn=False, flip=False))
    assert made["low"].shape == (12, 3, 16 // scale, 16 // scale)
    whole = torch.from_numpy(smooth_picture(1, 16)).permute(2, 0, 1) / 127.5 - 1
    torch.testing.assert_close(made["high"], whole.expand(12, -1, -1, -1))


def test_more_strength_is_worse_and_none_is_nearly_bicubic(folder: Path) -> None:
    still = {"flip": False, "turn": False}
    errors = []
    for strength in (0.0, 0.3, 1.0):
        made = batch(data_of(folder, "practical", strength=strength, **still), 24)
        low = bicubic((made["high"] + 1) / 2, down=4)
        errors.append(float(((made["low"] + 1) / 2 - low).abs().mean()))
    assert errors[0] < 0.02
    assert errors == sorted(errors)
    assert errors[2] > 2 * errors[0]


def test_blocks_begin_anywhere(folder: Path) -> None:
    """What a window leaves out is not always the same, so that JPEG's grid moves."""
    data = data_of(folder, "practical", strength=0.0, flip=False, turn=False)
    made = batch(data, 40)
    assert float((made["low"] - average(made["high"])).abs().mean()) < 0.05
    low = [data.sample(number, 0)["low"] for number in range(40)]
    places = set()
    for number, wide in enumerate(low):
        small = (made["low"][number].permute(1, 2, 0).numpy() + 1) * 127.5
        shrunk = cv2.resize(wide, (20, 20), interpolation=cv2.INTER_AREA).astype(float)
        errors = [
            (float(np.abs(shrunk[t : t + 8, l : l + 8] - small).mean()), t, l)
            for t in range(13)
            for l in range(13)  # noqa: E741
        ]
        places.add(min(errors)[1:])
    rows, columns = zip(*places, strict=True)
    assert set(rows) == set(columns) == set(range(2, 10))


@pytest.mark.parametrize("low", LOWS)
def test_sharpening_is_of_high_resolution_and_of_what_is_made_of_it(folder: Path, low: str) -> None:
    plain, sharp = (batch(data_of(folder, low, sharpen=amount, strength=0.0)) for amount in (0, 1))
    assert float(sharp["high"].std()) > 1.02 * float(plain["high"].std())
    assert torch.equal(sharp["low"], plain["low"]) == (low == "given")


@pytest.mark.parametrize("low", ["bicubic", "given"])
def test_pictures_kept_on_the_device_are_cut_there_alike(folder: Path, low: str) -> None:
    there, here = data_of(folder, low), data_of(folder, low)
    there.keep(OnDevice(CPU))
    moved, made = batch(there), batch(here)
    assert isinstance(there.sample(0, 0)["low"], Tensor)
    assert torch.equal(moved["low"], made["low"])
    assert torch.equal(moved["high"], made["high"])


def test_practical_is_refused_on_the_device(folder: Path) -> None:
    data = data_of(folder, "practical")
    data.keep(OnDevice(CPU))
    with pytest.raises(UsageError, match=r"data\.low=practical works on the CPU; use another --ca"):
        data.sample(0, 0)


@pytest.mark.parametrize("low", LOWS)
def test_pictures_kept_in_files_give_the_same(folder: Path, tmp_path: Path, low: str) -> None:
    made = batch(data_of(folder, low))
    for _ in range(2):  # written, then read
        data = data_of(folder, low)
        data.keep(InFiles(tmp_path / "cache"))
        assert torch.equal(batch(data)["low"], made["low"])


def test_a_changed_low_resolution_is_not_taken_from_the_cache(folder: Path, tmp_path: Path) -> None:
    before = data_of(folder, "given")
    before.keep(InFiles(tmp_path / "cache"))
    batch(before)
    for number in range(3):
        save(folder / "pairs" / "LR" / f"{number}x4.png", np.full((13, 16, 3), number, np.uint8))
    after = data_of(folder, "given")
    after.keep(InFiles(tmp_path / "cache"))
    assert float(batch(after)["low"].max()) < -0.9


def test_given_pairs_come_from_two_folders_or_one_with_both(folder: Path) -> None:
    one = reader(folder / "pairs", low="given")
    two = reader(folder / "pairs" / "HR", folder / "pairs" / "LR", low="given")
    assert one.files == two.files
    assert one.describe() == "superres: 3 pairs, to be enlarged 4 times (given)"
    with pytest.raises(UsageError, match="needs the folders HR and LR inside"):
        reader(folder / "high", low="given")
    (folder / "pairs" / "LR" / "1x4.png").unlink()
    with pytest.raises(UsageError, match=r"without a partner: .*1\.png"):
        reader(folder / "pairs", low="given")


def test_a_pair_whose_sizes_do_not_fit_is_named(folder: Path) -> None:
    save(folder / "pairs" / "LR" / "1x4.png", np.zeros((13, 15, 3), np.uint8))
    with pytest.raises(UsageError, match=r"1x4\.png: 15×13 .* 4 times .* 64×52 of .*1\.png"):
        batch(reader(folder / "pairs", low="given"))


@pytest.mark.parametrize("low", LOWS)
def test_pictures_smaller_than_a_sample_are_left_out_with_a_line(
    folder: Path, low: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = folder / "pairs" / "HR" if low == "given" else folder / "high"
    save(place / "1.png", smooth_picture(1, 24))
    if low == "given":
        save(folder / "pairs" / "LR" / "1x4.png", smooth_picture(1, 6))
    made = batch(data_of(folder, low))
    assert made["high"].shape == (12, 3, 32, 32)
    told = capsys.readouterr().err
    assert told.count("left out: ") == 1
    assert "1.png: 24×24 is smaller than data.size=32" in told


def test_what_a_folder_holds_out_is_not_learned_from(folder: Path) -> None:
    for number, part in enumerate(("train", "train", "test")):
        save(folder / "split" / part / f"{number}.png", smooth_picture(number, 40))
    data = reader(folder / "split", folder / "high")
    assert [file.parent.name for file in data.files] == ["train", "train", "high", "high", "high"]


def test_sizes_that_the_method_cannot_take_are_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.size=34: this method needs a multiple of 4"):
        reader(folder / "high", size=34)
    options = build(SuperResOptions, {"size": 40}, what="data")
    needs = {"scale": 2, "multiple_of": 2, "high_multiple_of": 16}
    with pytest.raises(UsageError, match="a multiple of 16"):
        SuperRes([folder / "high"], options, needs)
    with pytest.raises(UsageError, match="no such folder"):
        reader(folder / "none")


@pytest.mark.parametrize("low", ["practical", "given"])
def test_an_enlarging_method_keeps_the_contract_on_other_lows_too(folder: Path, low: str) -> None:
    data = data_of(folder, low, size=16)
    check_method("srgan", options=SMALL, sample=data, quick=low == "given")


def test_pictures_are_learned_from_at_several_sizes(folder: Path) -> None:
    data = data_of(folder, "bicubic", size=16, shrink=[0.5])
    made = [data.sample(number, 0)["high"].astype(float) for number in range(40)]
    grain = [float(np.abs(np.diff(high, axis=0)).mean()) for high in made]
    shrunk = [g for g in grain if g < 14]  # averages of four pixels have half of the grain
    assert 10 <= len(shrunk) <= 30
    assert min(g for g in grain if g not in shrunk) > 1.3 * max(shrunk)


def test_no_picture_is_shrunk_below_a_sample(folder: Path) -> None:
    data = data_of(folder, "bicubic", size=48, shrink=[0.1])
    assert all(data.sample(number, 0)["high"].shape == (48, 48, 3) for number in range(8))


def test_sizes_are_kept_apart_in_every_cache(folder: Path, tmp_path: Path) -> None:
    wanted = [data_of(folder, "bicubic", shrink=[0.7]).sample(n, 0)["high"] for n in range(9)]
    data = data_of(folder, "bicubic", shrink=[0.7])
    data.keep(InFiles(tmp_path / "cache"))
    for _ in range(2):  # written, and then read
        found = [data.sample(number, 0)["high"] for number in range(9)]
        assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_given_low_resolution_is_of_one_size(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.shrink"):
        data_of(folder, "given", shrink=[0.5])


def test_low_resolution_beside_the_high_is_not_taken_for_high(folder: Path) -> None:
    data = reader(folder / "pairs", size=16)
    assert {file.parent.name for file in data.files} == {"HR"}
