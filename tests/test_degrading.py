"""Faults: their kernels, sizes, noises and codecs, and that a seed alone decides about them."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from translate_datasets.degrading import Degradation
from translate_datasets.faults import FIRST, SECOND, Fault, Faults, Ranges
from translate_datasets.images import smooth_picture
from translate_datasets.kernels import bell_kernels, sinc_kernels
from translate_datasets.resampling import WAYS, matrices, resampled

SEEDS = torch.arange(1000, 1400)
FAULTS: tuple[Fault, ...] = get_args(Fault)


def only(*kept: Fault) -> tuple[Fault, ...]:
    return tuple(fault for fault in FAULTS if fault not in kept)


def noise(seed: int, side: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def pictures(count: int, side: int) -> Tensor:
    """Return (N, 3, S, S) in [0, 1], smooth."""
    made = np.stack([smooth_picture(number, side) for number in range(count)])
    return torch.from_numpy(made).permute(0, 3, 1, 2).float() / 255


def bells(
    deviations: tuple[float, float],
    angle: float = 0.0,
    power: float = 1.0,
    flat: bool = False,
    radius: int = 10,
) -> Tensor:
    """Return one kernel (21, 21)."""
    shape = torch.tensor([power]), torch.tensor([flat]), torch.tensor([radius])
    return bell_kernels(torch.tensor([deviations]), torch.tensor([angle]), *shape)[0]


def test_a_bell_of_power_one_is_gaussian() -> None:
    line = torch.exp(-(torch.arange(-10.0, 11) ** 2) / (2 * 1.7**2))
    expected = torch.outer(line, line)
    torch.testing.assert_close(bells((1.7, 1.7)), expected / expected.sum())


def test_a_long_bell_has_its_deviations_along_its_axes() -> None:
    steps = torch.arange(-10.0, 11)
    upright = bells((2.0, 0.8))
    assert math.sqrt(float(upright.sum(0) @ steps**2)) == pytest.approx(2.0, abs=0.01)
    assert math.sqrt(float(upright.sum(1) @ steps**2)) == pytest.approx(0.8, abs=0.01)
    torch.testing.assert_close(bells((2.0, 0.8), math.pi / 2), upright.mT)
    slanted = bells((2.0, 0.8), math.pi / 4)
    assert float(slanted[13, 13]) > 5 * float(slanted[13, 7])


def test_powers_point_a_bell_and_plateaus_flatten_it() -> None:
    plain = bells((2.0, 2.0))
    pointed, square = bells((2.0, 2.0), power=0.5), bells((2.0, 2.0), power=4.0)
    falls = [float(kernel[10, 11] / kernel[10, 10]) for kernel in (pointed, plain, square)]
    expected = [math.exp(-(0.25**power) / 2) for power in (0.5, 1.0, 4.0)]
    assert falls == pytest.approx(expected)
    flat = bells((2.0, 2.0), flat=True)
    torch.testing.assert_close(flat[10, 12] / flat[10, 10], torch.tensor(0.5))


def test_kernels_end_at_their_radius_and_keep_the_light() -> None:
    for radius in (3, 10):
        rings = sinc_kernels(torch.tensor([1.5]), torch.tensor([radius]))[0]
        for kernel in (bells((3.0, 3.0), radius=radius), rings):
            assert float(kernel.sum()) == pytest.approx(1, abs=1e-6)
            reach = (kernel != 0).nonzero() - 10
            assert int(reach.abs().max()) == radius


def test_rings_pass_what_is_below_their_cutoff_and_stop_what_is_above() -> None:
    kernel = sinc_kernels(torch.tensor([math.pi / 2]), torch.tensor([10]))[0]
    places = torch.arange(-10, 11)

    def gain(frequency: float) -> float:
        return float((kernel * torch.cos(frequency * places)).sum())

    assert gain(0.25 * math.pi) == pytest.approx(1, abs=0.15)
    assert gain(0.85 * math.pi) == pytest.approx(0, abs=0.15)
    assert float(kernel.min()) < 0


@pytest.mark.parametrize("way", WAYS)
def test_every_sample_is_resized_to_its_own_size(way: str) -> None:
    images = torch.rand(3, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    sizes = [5, 12, 17]
    made = resampled(images, matrices([12] * 3, sizes, [way] * 3, (20, 12)))
    for image, one, size in zip(images, made, sizes, strict=True):
        expected = interpolate(image[None], (size, size), mode=way)[0]
        torch.testing.assert_close(one[:, :size, :size], expected)
        assert torch.equal(one[:, :, size:], one[:, :, size - 1 : size].expand(-1, -1, 20 - size))
    back = resampled(made, matrices(sizes, [6] * 3, [way] * 3, (6, 20)))
    first = interpolate(made[:1, :, :5, :5], (6, 6), mode=way)
    torch.testing.assert_close(back[:1], first)  # nothing of what fills the canvas


def test_half_of_the_ranges_is_half_as_bad() -> None:
    for ranges in (FIRST, SECOND):
        full, half = (Faults(ranges, strength, (), stream=1) for strength in (1.0, 0.5))
        sizes, smaller = (np.array(f.sizes(SEEDS, 1000)[0]) / 1000 for f in (full, half))
        assert sizes.min() == pytest.approx(ranges.smallest, abs=0.02)
        assert sizes.max() == pytest.approx(ranges.largest, abs=0.02)
        assert np.mean(sizes < 1) == pytest.approx(ranges.shrunk, abs=0.06)
        assert np.mean(sizes > 1) == pytest.approx(ranges.enlarged, abs=0.06)
        np.testing.assert_allclose(smaller - 1, (sizes - 1) / 2, atol=0.001)
        qualities = [faults.qualities(SEEDS) for faults in (full, half)]
        assert [q is not None and int(q.min()) for q in qualities] == [30, 63]
        assert [q is not None and int(q.max()) for q in qualities] == [95, 95]


def test_noise_is_grey_or_coloured_and_alike_or_of_light() -> None:
    dark, bright = torch.full((400, 3, 24, 24), 0.16), torch.full((400, 3, 24, 24), 0.64)
    faults = Faults(FIRST, 0.3, (), stream=1)
    low, high = faults.noisy(dark, SEEDS) - dark, faults.noisy(bright, SEEDS) - bright
    grey = (high[:, 0] - high[:, 1]).abs().amax((1, 2)) < 1e-6
    assert float(grey.float().mean()) == pytest.approx(0.4, abs=0.06)
    deviations = low.std((1, 2, 3)), high.std((1, 2, 3))
    ratios = (deviations[1] / deviations[0])[deviations[0] > 0.004]
    # Four times the light has twice the noise, or as much.
    alike = ratios < 1.5
    assert float(alike.float().mean()) == pytest.approx(0.5, abs=0.08)
    torch.testing.assert_close(ratios[alike], torch.ones_like(ratios[alike]), rtol=0.02, atol=0)
    growing = ratios[~alike]
    torch.testing.assert_close(growing, torch.full_like(growing, 2), rtol=0.02, atol=0)
    assert float(deviations[1].max()) * 255 == pytest.approx(0.3 * 48 * 0.8, rel=0.1)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_is_left_out_changes_nothing(fault: Fault) -> None:
    faults = Faults(FIRST, 1.0, (fault,), stream=1)
    alone = Faults(FIRST, 1.0, only(fault), stream=1)
    image = pictures(1, 16).expand(len(SEEDS), -1, -1, -1)
    there: dict[Fault, Callable[[Faults], bool]] = {
        "blur": lambda f: _spreads(f.kernels(SEEDS)),
        "ringing": lambda f: bool((f.kernels(SEEDS) < 0).any()),
        "resize": lambda f: set(f.sizes(SEEDS, 16)[0]) != {16},
        "noise": lambda f: not torch.equal(f.noisy(image, SEEDS), image),
        "compression": lambda f: f.qualities(SEEDS) is not None,
    }
    for other in FAULTS:
        assert there[other](faults) == (other != fault)
        assert there[other](alone) == (other == fault)


def _spreads(kernels: Tensor) -> bool:
    """Say whether some kernel spreads the light without ringing."""
    flat = kernels.flatten(1)
    return bool(((flat >= 0).all(1) & (flat.amax(1) < 0.5)).any())


def test_without_faults_only_the_size_changes() -> None:
    images, squares = pictures(9, 24), [smooth_picture(number, 24) for number in range(9)]
    for degradation in (Degradation(0.0), Degradation(1.0, FAULTS)):
        torch.testing.assert_close(degradation.second(images, SEEDS[:9], 24), images)
        for square, seed in zip(squares, SEEDS, strict=False):
            assert np.array_equal(degradation.first(square, int(seed), 24), square)
            smaller = degradation.first(square, int(seed), 12).astype(int)
            area = cv2.resize(square, (12, 12), interpolation=cv2.INTER_AREA)
            assert float(np.abs(smaller - area).mean()) < 4


@pytest.mark.parametrize(
    ("fault", "shares"),
    [
        ("blur", (0.9, 0.75)),
        ("resize", (0.9, 0.7)),
        ("noise", (1.0, 1.0)),
        ("compression", (1.0, 1.0)),
        ("ringing", (0.1, 0.8)),
    ],
)
def test_each_fault_is_as_frequent_as_published(fault: Fault, shares: tuple[float, float]) -> None:
    count, degradation = 200, Degradation(1.0, only(fault))
    square = noise(2, 24)
    firsts = [degradation.first(square, int(seed), 24) for seed in SEEDS[:count]]
    changed = [not np.array_equal(first, square) for first in firsts]
    assert np.mean(changed) == pytest.approx(shares[0], abs=0.1)
    images = torch.from_numpy(square).permute(2, 0, 1).expand(count, -1, -1, -1) / 255
    seconds = degradation.second(images, SEEDS[:count], 24)
    changes = (seconds - images).abs().amax((1, 2, 3)) > 1e-3
    assert float(changes.float().mean()) == pytest.approx(shares[1], abs=0.1)


def jpeg(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return an RGB picture after a real codec."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, coded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return np.asarray(decoded, dtype=np.uint8)


def qualities(ranges: Ranges, seeds: Tensor, stream: int) -> list[int]:
    found = Faults(ranges, 1.0, (), stream=stream).qualities(seeds)
    assert found is not None
    return [int(quality) for quality in found]


def test_the_codec_of_the_first_round_is_jpeg_of_that_quality() -> None:
    degradation = Degradation(1.0, only("compression"))
    for seed, quality in zip(SEEDS[:20], qualities(FIRST, SEEDS[:20], 1), strict=True):
        made = degradation.first(noise(3, 32), int(seed), 32)
        assert np.array_equal(made, jpeg(noise(3, 32), quality))


def test_the_codec_of_the_second_round_errs_as_jpeg_of_that_quality_does() -> None:
    image = cv2.GaussianBlur(noise(4, 64), (0, 0), 1.5)
    image = np.clip((image.astype(float) - 128) * 3 + 128, 0, 255).astype(np.uint8)
    images = torch.from_numpy(image).permute(2, 0, 1).expand(30, -1, -1, -1).float() / 255
    made = Degradation(1.0, only("compression")).second(images, SEEDS[:30], 64) * 255
    for one, quality in zip(made, qualities(SECOND, SEEDS[:30], 6), strict=True):
        errors = one.permute(1, 2, 0).numpy() - image, jpeg(image, quality).astype(float) - image
        assert np.corrcoef(*(error.ravel() for error in errors))[0, 1] > 0.8


def test_what_comes_out_stays_in_range() -> None:
    images = torch.rand(12, 3, 40, 40, generator=torch.Generator().manual_seed(0)).round()
    made = Degradation().second(images, SEEDS[:12], 20)
    assert made.shape == (12, 3, 20, 20)
    assert float(made.min()) >= 0
    assert float(made.max()) <= 1


def test_a_seed_decides_alone_whatever_the_batch_and_the_thread() -> None:
    degradation, images = Degradation(), pictures(9, 44)
    squares = [noise(number, 60) for number in range(9)]
    seeds = SEEDS[:9]

    def first(place: int) -> NDArray[np.uint8]:
        return degradation.first(squares[place], int(seeds[place]), 30)

    alone = [first(place) for place in range(9)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(first, range(9)))
    assert all(np.array_equal(x, y) for x, y in zip(alone, together, strict=True))
    whole = degradation.second(images, seeds, 22)
    for count in (1, 2, 4):
        starts = range(0, 9, count)
        parts = [(images[i : i + count], seeds[i : i + count]) for i in starts]
        assert torch.equal(torch.cat([degradation.second(*part, 22) for part in parts]), whole)
    same = degradation.second(images[:1].expand(9, -1, -1, -1), seeds, 22)
    assert len({bytes(x.numpy().tobytes()) for x in same}) == 9


def test_gradients_go_through_the_second_round_to_every_picture() -> None:
    images = pictures(12, 40).requires_grad_()
    made = Degradation(0.5).second(images, SEEDS[:12], 20)
    [slopes] = torch.autograd.grad(made.square().sum(), images)
    assert bool(slopes.isfinite().all())
    assert all(bool(slope.any()) for slope in slopes)


def test_noise_has_a_slope_even_where_it_is_dark() -> None:
    dark = torch.zeros(12, 3, 8, 8, requires_grad=True)
    noisy = Faults(SECOND, 1.0, (), stream=1).noisy(dark, SEEDS[:12])
    [slopes] = torch.autograd.grad(noisy.sum(), dark)
    assert bool(slopes.isfinite().all())


def test_kernels_reach_from_three_to_ten_pixels() -> None:
    chance = torch.linspace(0, 1, 101)[:-1]
    assert set(Faults(FIRST, 1.0, (), stream=1).radii(chance).tolist()) == set(range(3, 11))
