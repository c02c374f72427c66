"""The losses against their formulas worked by hand, and the image pool's memory."""

from __future__ import annotations

import io

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from translate.losses import ImagePool, LeastSquares, band_distance, frequency_bands
from translate.pipeline import mix


def test_least_squares_by_hand() -> None:
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([[0.5], [-0.5]])
    objective = LeastSquares()
    # real: (0 + 4) / 2 = 2, fake: (0.25 + 0.25) / 2 = 0.25
    assert float(objective.discriminator(real, fake)) == pytest.approx((2 + 0.25) / 2)
    # (0.25 + 2.25) / 2
    assert float(objective.generator(fake)) == pytest.approx(1.25)


def test_least_squares_slopes_by_hand() -> None:
    real, fake = (torch.tensor([value], requires_grad=True) for value in (3.0, 0.5))
    LeastSquares().discriminator(real, fake).backward()  # type: ignore[no-untyped-call]
    assert real.grad is not None
    assert fake.grad is not None
    assert (float(real.grad), float(fake.grad)) == (2.0, 0.5)
    score = torch.tensor([0.5], requires_grad=True)
    LeastSquares().generator(score).backward()  # type: ignore[no-untyped-call]
    assert score.grad is not None
    assert float(score.grad) == -1.0


def test_least_squares_is_computed_in_fp32() -> None:
    scores = torch.full((4,), 300.0, dtype=torch.float16)  # its square is beyond fp16
    assert LeastSquares().generator(scores) == 299.0**2


def rebuilt(bands: list[Tensor]) -> Tensor:
    image = bands[-1]
    for band in reversed(bands[:-1]):
        image = band + F.interpolate(image, band.shape[-2:], mode="bilinear", align_corners=False)
    return image


@pytest.mark.parametrize("size", [(16, 16), (19, 30)])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_bands_give_the_picture_back(count: int, size: tuple[int, int]) -> None:
    images = torch.randn(2, 3, *size)
    bands = frequency_bands(images, count)
    assert len(bands) == count
    torch.testing.assert_close(rebuilt(bands), images)


def test_flat_colour_is_in_the_last_band_alone_and_stripes_in_the_first() -> None:
    *fine, last = frequency_bands(torch.full((1, 1, 16, 16), 0.7), 3)
    assert max(float(band.abs().max()) for band in fine) < 1e-6
    assert float(last.mean()) == pytest.approx(0.7)
    stripes = torch.ones(1, 1, 16, 16)
    stripes[..., ::2] = -1
    first, *coarse = frequency_bands(stripes, 3)
    assert torch.equal(first, stripes)
    assert all(float(band.abs().max()) == 0 for band in coarse)


def test_band_distance_weighs_each_band() -> None:
    x = torch.zeros(1, 1, 8, 8)
    assert float(band_distance(x + 0.5, x, (100.0, 2.0))) == pytest.approx(1.0, rel=1e-4)
    stripes = x.clone()
    stripes[..., ::2] = 1
    stripes[..., 1::2] = -1
    assert float(band_distance(stripes, x, (3.0, 100.0))) == pytest.approx(3.0)


def test_a_band_needs_a_weight() -> None:
    with pytest.raises(ValueError, match="zip"):
        band_distance(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8), ())


def picture(value: float, count: int = 1) -> Tensor:
    return torch.full((count, 1, 2, 2), float(value))


def seeds(*numbers: int) -> Tensor:
    """Return seeds as a run gives them: wild numbers, one a sample."""
    return torch.tensor([mix(number) for number in numbers])


def test_a_pool_that_is_not_full_gives_back_what_comes_in() -> None:
    pool = ImagePool(3)
    for value in range(3):
        assert torch.equal(pool(picture(value), seeds(value)), picture(value))


def test_a_full_pool_exchanges_half_of_the_time() -> None:
    pool = ImagePool(10)
    pool(torch.arange(10.0).reshape(10, 1, 1, 1), seeds(*range(10)))
    new = [100 + i for i in range(400)]
    old = sum(float(pool(picture(i)[:, :, :1, :1], seeds(i))) != i for i in new)
    assert 160 < old < 240
    assert len(pool.images) == 10


def test_what_a_pool_gives_back_is_nowhere_else() -> None:
    """An image is either handed out or kept: a given number goes in once and comes out once."""
    pool, out = ImagePool(5), []
    for value in range(5, 60):
        if value < 10:
            pool(picture(value), seeds(value))
        else:
            out.append(float(pool(picture(value), seeds(value)).mean()))
    kept = [float(image.mean()) for image in pool.images]
    assert sorted(out + kept) == list(range(5, 60))


def test_a_pool_of_none_passes_everything_on() -> None:
    images = torch.randn(2, 1, 2, 2)
    assert ImagePool(0)(images, seeds(1, 2)) is images


def test_a_pool_keeps_no_graph() -> None:
    pool = ImagePool(2)
    assert not pool(picture(1).requires_grad_(), seeds(1)).requires_grad
    assert not pool.images[0].requires_grad


def test_a_pools_contents_are_saved_and_loaded() -> None:
    pool, other = ImagePool(4), ImagePool(4)
    pool(torch.randn(4, 1, 2, 2), seeds(0, 1, 2, 3))
    file = io.BytesIO()
    torch.save(pool.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    for number in range(20):
        image = torch.randn(1, 1, 2, 2)
        assert torch.equal(other(image, seeds(number)), pool(image, seeds(number)))


def test_a_pool_does_not_care_how_images_are_batched() -> None:
    images, keys = torch.randn(12, 1, 2, 2), seeds(*range(12))
    one, four = ImagePool(3), ImagePool(3)
    singly = [
        one(image, key)
        for image, key in zip(torch.split(images, 1), torch.split(keys, 1), strict=True)
    ]
    parts = [
        four(image, key)
        for image, key in zip(torch.split(images, 4), torch.split(keys, 4), strict=True)
    ]
    assert torch.equal(torch.cat(singly), torch.cat(parts))
