"""A model on its device: whatever the picture, the network's arithmetic and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from simple_methods import Arithmetic, simple_model
from translate.errors import ImageError, UsageError
from translate.images import Picture
from translate.inference.engine import Engine
from translate.inference.fitting import enlarged
from translate.inference.network import in_precision
from translate.runtime import bf16_is_fast

SHAPES = [(1, 1), (1, 500), (7, 5), (16, 16), (33, 20), (200, 3)]


def noise(*shape: int, dtype: type = np.uint8) -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def picture(*shape: int, dtype: type = np.uint8, alpha: bool = False) -> Picture:
    return Picture(noise(*shape, dtype=dtype), noise(*shape[:2], dtype=dtype) if alpha else None)


def engine(size: int | None = None, *, precision: str = "fp32", **options: Any) -> Engine:
    return Engine(simple_model(**options), device="cpu", precision=precision, size=size)


def translate(engine: Engine, *pictures: Picture, seed: int = 0) -> list[Picture]:
    prepared = [engine.prepare(one) for one in pictures]
    return [engine.finish(done) for done in engine.run(prepared, [seed] * len(pictures))]


def seen(engine: Engine) -> list[tuple[tuple[int, ...], torch.dtype]]:
    """Return what the engine's networks were given."""
    (network,) = engine._networks.values()
    assert isinstance(network, Arithmetic)
    return network.seen


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_an_identity_gives_back_every_bit_at_any_size(
    shape: tuple[int, int], channels: int, dtype: type
) -> None:
    for size in (None, 8):
        given = picture(*shape, channels, dtype=dtype, alpha=True)
        [made] = translate(engine(size, multiple_of=4, minimum=16), given)
        expected = np.repeat(given.pixels, 3 // channels, axis=2)
        assert made.pixels.dtype == dtype
        assert np.array_equal(made.pixels, expected)
        assert made.alpha is given.alpha


@pytest.mark.parametrize("size", [None, 8])
def test_16_bits_survive_whatever_the_processor_is_fast_at(size: int | None) -> None:
    given = picture(20, 30, 3, dtype=np.uint16)
    [made] = translate(engine(size, precision="auto"), given)
    assert np.array_equal(made.pixels, given.pixels)


@pytest.mark.parametrize("size", [None, 8])
def test_an_identity_in_bf16_gives_back_every_bit_of_8(size: int | None) -> None:
    given = picture(64, 64, 3)
    [made] = translate(engine(size, precision="bf16"), given)
    assert np.array_equal(made.pixels, given.pixels)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shift_at_working_size_shifts_every_pixel_of_the_large_picture(
    shape: tuple[int, int],
) -> None:
    given = Picture(noise(*shape, 3) // 2 + 40, None)
    [made] = translate(engine(8, shift=20 * 2 / 255, multiple_of=4), given)
    assert np.array_equal(made.pixels, given.pixels + 20)


def test_large_pictures_reach_the_network_at_working_size() -> None:
    small = engine(16, multiple_of=4)
    translate(small, picture(60, 80, 3))
    assert seen(small)[0][0] == (1, 3, 16, 20)  # 14 × 18, padded
    native = engine(None, multiple_of=4)
    translate(native, picture(59, 80, 3))
    assert seen(native)[0][0] == (1, 3, 60, 80)


def test_borders_are_padded_by_mirroring() -> None:
    prepared = engine(multiple_of=4).prepare(picture(5, 2, 3)).pixels
    pixels = noise(5, 2, 3)
    assert np.array_equal(prepared, np.pad(pixels, [(0, 3), (0, 2), (0, 0)], mode="symmetric"))


@pytest.mark.parametrize("size", [None, 8])
def test_pictures_alone_and_in_a_batch_come_out_alike(size: int | None) -> None:
    pictures = [Picture(np.roll(noise(20, 30, 3), n, axis=0), None) for n in range(5)]
    together = translate(engine(size, shift=0.1), *pictures)
    for alone, one in zip(pictures, together, strict=True):
        [expected] = translate(engine(size, shift=0.1), alone)
        assert np.array_equal(one.pixels, expected.pixels)


@pytest.mark.parametrize("size", [None, 8])
def test_colour_from_grey_keeps_the_pictures_own_detail(size: int | None) -> None:
    given = picture(40, 40, 1)
    [made] = translate(engine(size, mode=("L", "RGB")), given)
    assert np.array_equal(made.pixels, np.repeat(given.pixels, 3, axis=2))


@pytest.mark.parametrize("size", [None, 8])
def test_a_grey_model_takes_colours_by_their_luma(size: int | None) -> None:
    green = np.zeros((30, 30, 3), np.uint8)
    green[..., 1] = 100
    [made] = translate(engine(size, mode=("L", "L")), Picture(green, None))
    assert made.pixels.shape == (30, 30, 1)
    assert (made.pixels == 59).all()


def test_a_model_of_grey_from_colour_gives_grey() -> None:
    for size in (None, 8):
        same = np.repeat(noise(30, 30, 1), 3, axis=2)
        [made] = translate(engine(size, mode=("RGB", "L")), Picture(same, None))
        assert np.abs(made.pixels.astype(int) - same[..., :1]).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_larger_result_brings_its_alpha_along(dtype: type) -> None:
    given = picture(9, 7, 3, dtype=dtype, alpha=True)
    assert given.alpha is not None
    scaled = engine(4, scale=2, multiple_of=4)  # a working size means nothing to it
    [made] = translate(scaled, given)
    seen = given.alpha >= 0.1 * np.iinfo(dtype).max
    expected = given.pixels.repeat(2, axis=0).repeat(2, axis=1)
    assert np.array_equal(made.pixels[enlarged(seen, 2)], expected[enlarged(seen, 2)])
    assert made.alpha is not None
    assert made.alpha.shape == (18, 14)
    assert made.alpha.dtype == dtype
    opaque = Picture(given.pixels, np.full((9, 7), np.iinfo(dtype).max, dtype))
    [made] = translate(scaled, opaque)
    assert made.alpha is not None
    assert (made.alpha == np.iinfo(dtype).max).all()


def test_out_of_memory_the_batch_is_halved_until_it_fits() -> None:
    pictures = [Picture(np.roll(noise(8, 8, 3), n, axis=0), None) for n in range(7)]
    tight = engine(largest_batch=2)
    tight._side_by_side = False  # as on a GPU
    made = translate(tight, *pictures)
    for given, one in zip(pictures, made, strict=True):
        assert np.array_equal(given.pixels, one.pixels)
    assert [shape[0] for shape, _ in seen(tight)] == [7, 3, 1, 2, 4, 2, 2]


def test_on_a_cpu_small_pictures_of_any_sizes_run_side_by_side_and_large_ones_alone() -> None:
    cpu = engine(shift=20 * 2 / 255)
    pictures = [Picture(noise(8 + n, 9, 3) // 2 + 40, None) for n in range(5)]
    large = cpu.prepare(Picture(np.zeros((1025, 1024, 3), np.uint8), None))
    assert len({cpu.group(cpu.prepare(one)) for one in pictures}) == 1
    assert cpu.group(large) not in {cpu.group(cpu.prepare(one)) for one in pictures}
    before = torch.get_num_threads()
    for given, made in zip(pictures, translate(cpu, *pictures), strict=True):
        assert np.array_equal(made.pixels, given.pixels + 20)
    cpu.run([large, large], [0, 0])
    assert {shape[0] for shape, _ in seen(cpu)} == {1}
    assert torch.get_num_threads() == before


def test_one_picture_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        translate(engine(largest_batch=0), picture(8, 8, 3))


def test_what_is_no_picture_is_refused() -> None:
    black = Picture(np.zeros((8, 8, 3), np.uint8), None)
    with pytest.raises(ImageError, match="beyond all bounds"):
        translate(engine(dark="nan"), black)
    with pytest.raises(ImageError, match=r"made \(1, 3, 8, 7\) of \(1, 3, 8, 8\)"):
        translate(engine(dark="shape"), black)


def test_a_model_that_draws_random_numbers_runs_one_picture_at_a_time_under_its_seed() -> None:
    drawing = engine(random=True)
    assert drawing.batch_size(8) == 1
    given = picture(8, 8, 3)
    one, other = translate(drawing, given, given, seed=5)
    assert {shape[0] for shape, _ in seen(drawing)} == {1}
    assert np.array_equal(one.pixels, other.pixels)
    assert not np.array_equal(one.pixels, given.pixels)
    [again] = translate(drawing, given, seed=6)
    assert not np.array_equal(one.pixels, again.pixels)


def test_random_numbers_of_the_program_around_are_left_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    translate(engine(random=True), picture(8, 8, 3))
    assert torch.equal(torch.rand(3), expected)


def test_a_model_that_starts_from_something_else_is_refused() -> None:
    with pytest.raises(UsageError, match="starts from text"):
        engine(reads="text")


def test_auto_is_fp32_where_bf16_is_not_fast() -> None:
    chosen = engine(precision="auto")
    fast = bf16_is_fast(torch.device("cpu"))
    assert chosen.dtype == (torch.bfloat16 if fast else torch.float32)
    with pytest.raises(UsageError, match="fp16"):
        engine(precision="fp16")


def test_half_precision_is_the_networks_alone_and_leaves_the_model_as_it_was() -> None:
    model = simple_model(shift=0.25)
    half = Engine(model, device="cpu", precision="bf16", size=None)
    translate(half, picture(8, 8, 3))
    assert seen(half) == [((1, 3, 8, 8), torch.bfloat16)]
    assert model.network.shift.dtype == torch.float32
    full = Engine(model, device="cpu", precision="fp32", size=None)
    translate(full, picture(8, 8, 3))
    assert seen(full) == [((1, 3, 8, 8), torch.float32)]


def test_in_half_precision_integers_stay_integers() -> None:
    class Network(torch.nn.Module):
        def forward(self, x: torch.Tensor, *, labels: list[torch.Tensor]) -> Any:
            assert x.dtype == torch.bfloat16
            assert [one.dtype for one in labels] == [torch.int64, torch.bfloat16]
            return {"image": (x, labels[0])}

    network = in_precision(Network(), torch.bfloat16)
    made = network(torch.zeros(1, 3, 4, 4), labels=[torch.tensor([1000]), torch.zeros(1)])
    image, label = made["image"]
    assert image.dtype == torch.float32
    assert label.item() == 1000
