"""The measures that come with translate give the numbers that their definitions say."""

from __future__ import annotations

import io
import math
import sys
from pathlib import Path
from typing import Any

import kornia
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

import translate_measures.sets
from translate import Comparison, Measure, Result, Settings, TranslateError, UsageError
from translate_measures.distances import frechet_distance, kernel_distances
from translate_measures.inception import Extractor, extractor
from translate_measures.pairs import AB, L1, PSNR, SSIM, LikenessOptions
from translate_measures.sets import FID, KID, KIDOptions, SetOptions
from translate_measures.spaces import luma

CPU = torch.device("cpu")

Pixels = NDArray[np.float32]


def picture(seed: int, height: int = 20, width: int = 24) -> Pixels:
    """A picture of (H, W, 3) whole numbers, far enough from both ends to add 40."""
    rng = np.random.default_rng(seed)
    return rng.integers(40, 200, (height, width, 3)).astype(np.float32)


def pair(output: Pixels, target: Pixels) -> Comparison:
    return Comparison("one.png", output, output, target)


def result(measure: Measure[Any], *pairs: Comparison) -> Result:
    for one in pairs:
        measure.add(one)
    [found] = measure.results()
    return found


# Pairs


def test_l1_is_the_mean_difference_in_units_of_the_range() -> None:
    x, y = picture(0), picture(1)
    found = result(L1(Settings(), CPU), pair(x, x + 10), pair(y, y - 41))
    assert found.value == pytest.approx((10 + 41) / 2 / 255)
    assert "mean of 2 pictures" in found.protocol


def test_psnr_of_a_known_difference() -> None:
    x = picture(0)
    half = x.copy()
    half[:10] += 8  # the mean square is 32
    found = result(PSNR(LikenessOptions(), CPU), pair(x, x + 5), pair(half, x))
    expected = [20 * math.log10(255 / 5), 10 * math.log10(255**2 / 32)]
    assert found.value == pytest.approx(sum(expected) / 2)
    assert (found.unit, found.decimals) == ("dB", 2)
    assert "range 255" in found.protocol


def test_psnr_of_equal_pictures_is_infinite_and_says_so() -> None:
    x = picture(0)
    found = result(PSNR(LikenessOptions(), CPU), pair(x, x), pair(x, x + 1))
    assert found.value == math.inf
    assert "of which 1 equal their targets" in found.protocol


def ssim(x: Pixels, y: Pixels) -> float:
    """SSIM as Wang et al. write it, window by window."""
    steps = np.arange(11) - 5
    line = np.exp(-(steps**2) / (2 * 1.5**2))
    weights = np.outer(line, line) / np.outer(line, line).sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for channel in range(3):
        windows = [
            np.lib.stride_tricks.sliding_window_view(p[..., channel].astype(np.float64), (11, 11))
            for p in (x, y)
        ]
        mean_x, mean_y = ((w * weights).sum(axis=(2, 3)) for w in windows)
        a, b = windows[0] - mean_x[..., None, None], windows[1] - mean_y[..., None, None]
        var_x, var_y = (a * a * weights).sum(axis=(2, 3)), (b * b * weights).sum(axis=(2, 3))
        both = (a * b * weights).sum(axis=(2, 3))
        top = (2 * mean_x * mean_y + c1) * (2 * both + c2)
        values.append(top / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)))
    return float(np.mean(values))


def test_ssim_is_that_of_its_paper() -> None:
    x = picture(0)
    noisy = x + np.random.default_rng(2).normal(0, 30, x.shape).astype(np.float32)
    found = result(SSIM(LikenessOptions(), CPU), pair(noisy, x))
    assert 0.5 < found.value < 0.97
    assert found.value == pytest.approx(ssim(noisy, x), abs=1e-9)
    assert result(SSIM(LikenessOptions(), CPU), pair(x, x)).value == pytest.approx(1)


def test_ssim_of_a_tall_picture_is_that_of_the_whole() -> None:
    x = picture(0, 139, 13)  # 129 rows of windows: one more than are taken at once
    noisy = x + np.random.default_rng(2).normal(0, 30, x.shape).astype(np.float32)
    assert SSIM(LikenessOptions(), CPU).add(pair(noisy, x)) == pytest.approx(
        ssim(noisy, x), abs=1e-9
    )


def test_a_picture_smaller_than_ssims_window_is_refused() -> None:
    x = picture(0, 10, 30)
    with pytest.raises(TranslateError, match="30×10 is smaller"):
        SSIM(LikenessOptions(), CPU).add(pair(x, x))


def test_luma_is_that_of_bt_601_in_whole_numbers() -> None:
    # Y = 16 + (65.481 R + 128.553 G + 24.966 B) / 255 of black, white, red, green, blue, and one.
    colours = [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (100, 50, 200)]
    found = luma(np.array([colours], np.float32))
    assert found.dtype == np.float32
    assert found[0, :, 0].tolist() == [16, 235, 81, 145, 41, 86]


def test_psnr_and_ssim_can_be_taken_on_luma_or_on_both() -> None:
    black, red = np.zeros((20, 24, 3), np.float32), np.zeros((20, 24, 3), np.float32)
    red[..., 0] = 255  # luma 81, where black has 16
    by = {space: PSNR(LikenessOptions(space=space), CPU) for space in ("rgb", "y", "both")}
    assert by["y"].add(pair(red, black)) == pytest.approx(20 * math.log10(255 / 65))
    assert by["rgb"].add(pair(red, black)) == pytest.approx(10 * math.log10(3))
    assert by["both"].add(pair(red, black)) == pytest.approx(10 * math.log10(3))  # the first
    first, second = by["both"].results()
    assert [first.name, second.name] == ["PSNR", "PSNR Y"]
    assert [first.value, second.value] == [by["rgb"].results()[0].value, by["y"].results()[0].value]
    assert "RGB" in first.protocol
    assert "luma Y of ITU-R BT.601 in [16, 235], rounded" in second.protocol
    x, y = picture(0, 139, 13), picture(1, 139, 13)  # more rows than are taken at once
    measure = SSIM(LikenessOptions(space="both"), CPU)
    measure.add(pair(x, y))
    colours, luminance = measure.results()
    assert [colours.name, luminance.name] == ["SSIM", "SSIM Y"]
    assert colours.value == pytest.approx(ssim(x, y), abs=1e-9)
    grey_x, grey_y = (np.repeat(luma(p), 3, axis=2) for p in (x, y))
    assert luminance.value == pytest.approx(ssim(grey_x, grey_y), abs=1e-9)


def test_a_border_is_left_out() -> None:
    x = picture(0, 150, 40)
    framed = x + 5
    framed[:4], framed[-4:], framed[:, :4], framed[:, -4:] = 0, 0, 0, 0
    found = result(PSNR(LikenessOptions(border=4), CPU), pair(framed, x))
    assert found.value == pytest.approx(20 * math.log10(255 / 5))
    assert "border 4" in found.protocol
    inside = SSIM(LikenessOptions(), CPU).add(pair(framed[4:-4, 4:-4], x[4:-4, 4:-4]))
    assert SSIM(LikenessOptions(border=4), CPU).add(pair(framed, x)) == inside
    with pytest.raises(TranslateError, match="40×150 has nothing inside a border of 20 pixels"):
        PSNR(LikenessOptions(border=20), CPU).add(pair(framed, x))


def test_the_distance_of_colours_is_that_of_their_a_and_b() -> None:
    x, y = picture(0, 300), picture(1, 300)  # more rows than are taken at once
    found = result(AB(Settings(), CPU), pair(x, y), pair(x, x))
    lab = [kornia.color.rgb_to_lab(torch.from_numpy(p / 255).permute(2, 0, 1)) for p in (x, y)]
    expected = (lab[0] - lab[1])[1:].square().sum(0).sqrt().mean()
    assert found.value == pytest.approx(float(expected) / 2, rel=1e-3)
    assert "CIE Lab" in found.protocol
    assert "mean of 2 pictures" in found.protocol
    dark, light = np.full((9, 9, 3), 30, np.float32), np.full((9, 9, 3), 220, np.float32)
    assert AB(Settings(), CPU).add(pair(dark, light)) == pytest.approx(0, abs=1e-6)
    assert not AB.larger_is_better


# Sets


def features(seed: int, count: int, size: int, scale: float = 1.0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0.3 * seed, scale, (count, size))


@pytest.mark.parametrize("size", [1, 5, 40])  # 40 numbers of 12 pictures: singular covariances
def test_the_frechet_distance_is_its_formula(size: int) -> None:
    x, y = features(1, 12, size), features(2, 17, size, 2.0)
    cov_x, cov_y = (np.atleast_2d(np.cov(z, rowvar=False)) for z in (x, y))
    values, vectors = np.linalg.eigh(cov_x)
    root = vectors @ np.diag(np.sqrt(values.clip(0))) @ vectors.T
    product = np.sqrt(np.linalg.eigvalsh(root @ cov_y @ root).clip(0)).sum()
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(cov_x + cov_y) - 2 * product
    found = frechet_distance(torch.from_numpy(x), torch.from_numpy(y))
    assert found == pytest.approx(expected, rel=1e-5)
    if size == 1:
        spread = (x.std(ddof=1) - y.std(ddof=1)) ** 2
        assert found == pytest.approx((x.mean() - y.mean()) ** 2 + spread)


def test_the_frechet_distance_of_a_set_from_itself_is_nothing() -> None:
    x = torch.from_numpy(features(1, 12, 40))
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_the_kernel_distance_is_its_formula() -> None:
    x, y = features(1, 7, 5), features(2, 7, 5)
    total = 0.0
    for i in range(7):
        for j in range(7):
            if i != j:
                total += (x[i] @ x[j] / 5 + 1) ** 3 / 42 + (y[i] @ y[j] / 5 + 1) ** 3 / 42
            total -= 2 * (x[i] @ y[j] / 5 + 1) ** 3 / 49
    [found] = kernel_distances(torch.from_numpy(x), torch.from_numpy(y), size=7, count=1)
    assert float(found) == pytest.approx(total)


def test_the_kernel_distance_of_subsets_is_that_of_the_whole_on_average() -> None:
    x, y = (torch.from_numpy(features(n, 60, 3)) for n in (1, 2))
    [whole] = kernel_distances(x, y, size=60, count=1)
    few = kernel_distances(x, y, size=20, count=400)
    assert float(few.mean()) == pytest.approx(float(whole), rel=0.05)
    assert torch.equal(few, kernel_distances(x, y, size=20, count=400))
    assert not torch.equal(few, kernel_distances(x, y, size=20, count=400, seed=1))


class Means(nn.Module):
    """Mean and spread of each channel: six features, and how often they were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))
        self.calls = 0

    def forward(self, x: Tensor) -> tuple[Tensor]:
        assert x.dtype == torch.uint8
        self.calls += 1
        x = x.double()
        return (torch.cat([x.mean(dim=(2, 3)), x.std(dim=(2, 3))], dim=1) / 255,)


@pytest.fixture
def means(monkeypatch: pytest.MonkeyPatch) -> Extractor:
    """Features that are quick, in place of the Inception network's."""
    found = Extractor(Means(), "means.pth", reference=False)
    monkeypatch.setattr(translate_measures.sets, "extractor", lambda file, device: found)
    return found


def shown(measures: list[Measure[Any]], outputs: list[Pixels], real: list[Pixels]) -> list[Result]:
    for pixels in outputs:
        for measure in measures:
            assert measure.add(Comparison("x", pixels, pixels)) is None
    for pixels in real:
        for measure in measures:
            measure.add_real(pixels)
    return [found for measure in measures for found in measure.results()]


def test_fid_and_kid_are_the_distances_of_what_they_were_shown(means: Extractor) -> None:
    file = Path("means.pth")
    outputs, real = [picture(n) for n in range(5)], [picture(n) + 20 for n in range(6, 13)]
    fid, kid = shown(
        [FID(SetOptions(inception=file), CPU), KID(KIDOptions(inception=file, subset=3), CPU)],
        outputs,
        real,
    )
    x, y = (torch.stack([means(p) for p in pictures]) for pictures in (outputs, real))
    assert fid.value == pytest.approx(frechet_distance(x, y))
    subsets = kernel_distances(x, y, size=3, count=100)
    assert kid.value == pytest.approx(float(subsets.mean()))
    assert kid.deviation == pytest.approx(float(subsets.std(correction=0)))
    for found in (fid, kid):
        assert "5 outputs, 7 real pictures" in found.protocol
    assert "under 2,000" in fid.protocol
    assert "100 subsets of 3" in kid.protocol


def test_measures_that_share_a_network_run_it_once_a_picture(means: Extractor) -> None:
    options = KIDOptions(inception=Path("means.pth"))
    pictures = [picture(n) for n in range(4)]
    shown([FID(options, CPU), KID(options, CPU)], pictures[:2], pictures[2:])
    assert isinstance(means.network, Means)
    assert means.network.calls == 4


def test_where_a_subset_is_everything_kid_has_no_deviation(means: Extractor) -> None:
    pictures = [picture(n) for n in range(6)]
    options = KIDOptions(inception=Path("means.pth"))
    [found] = shown([KID(options, CPU)], pictures[:3], pictures[3:])
    assert found.deviation is None
    assert "1 subset of 3" in found.protocol


def test_one_picture_is_no_set(means: Extractor) -> None:
    with pytest.raises(TranslateError, match="1 real pictures; a set has at least 2"):
        shown([FID(SetOptions(inception=Path("f")), CPU)], [picture(0), picture(1)], [picture(2)])


def test_only_the_reference_network_gives_fid_and_kid() -> None:
    for reference, fid, kid in (
        (True, "FID", "KID"),
        (False, "Fréchet distance on w.pth", "kernel distance on w.pth"),
    ):
        found = Extractor(Means(), "w.pth", reference=reference)
        assert (found.title("FID"), found.title("KID")) == (fid, kid)
    assert "2015-12-05" in Extractor(Means(), "w.pth", reference=True).protocol


# The Inception network's file


class Drawn(FeatureExtractorInceptionV3):  # type: ignore[misc]
    """torch-fidelity's architecture with weights as they were drawn."""

    def __init__(self) -> None:
        nothing = io.BytesIO()
        torch.save({}, nothing)
        nothing.seek(0)
        super().__init__("inception-v3-compat", ["2048"], nothing)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return None


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("inception") / "drawn.pth"
    network = Drawn()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    torch.save(network.state_dict(), path)
    return path


def test_a_file_of_that_architecture_gives_its_features_under_its_own_name(weights: Path) -> None:
    found = extractor(weights, CPU)
    assert not found.reference
    assert found.title("FID") == "Fréchet distance on drawn.pth"
    pixels = picture(3) - 0.4  # rounded, not cut
    network = Drawn()
    nn.Module.load_state_dict(network, torch.load(weights))
    whole = torch.from_numpy(picture(3).astype(np.uint8)).permute(2, 0, 1)[None]
    assert torch.equal(found(pixels), network(whole)[0][0])
    assert found(pixels).std() > 0.1
    assert extractor(weights, CPU) is found


class Wicked:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_file_with_code_in_it_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"a": Wicked(tmp_path / "ran")}, tmp_path / "wicked.pth")
    with pytest.raises(UsageError, match=r"wicked\.pth: not the weights"):
        extractor(tmp_path / "wicked.pth", CPU)
    assert not (tmp_path / "ran").exists()


def test_other_files_are_refused(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("hello")
    for name, reason in (
        ("other.pth", "not the weights of FID's Inception network"),
        ("text.pth", "not the weights of FID's Inception network"),
        ("absent.pth", "No such file"),
    ):
        with pytest.raises(UsageError, match=f"{name}: {reason}") as caught:
            extractor(tmp_path / name, CPU)
        assert "\n" not in str(caught.value)


def test_without_the_extra_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "torch_fidelity.feature_extractor_inceptionv3"
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=r"pip install 'image-translate\[metrics\]'"):
        extractor(tmp_path / "any.pth", CPU)
