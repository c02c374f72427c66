"""What is logged of the exports' outputs: how they differ, and whether light stays light."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
from torch import Tensor, nn

from translate import Batch, Export, Facts, Fit, Method, Phase, Settings
from translate.training.observe import observe

Make = Callable[[Tensor], Tensor]


class Function(nn.Module):
    def __init__(self, make: Make) -> None:
        super().__init__()
        self.make = make

    def forward(self, x: Tensor) -> Tensor:
        return self.make(x)


class Made(Method[Settings]):
    """Makes an output of its input by a function."""

    like: str | None = "b"
    one_by_one = False

    def __init__(self, make: Make) -> None:
        super().__init__(Settings(), Facts())
        self.maker = Function(make)

    def phases(self) -> Sequence[Phase]:
        return []

    def exports(self) -> Mapping[str, Export]:
        return {"maker": Export(self.maker, {"image": "a"}, like=self.like)}

    def translate(self, network: nn.Module, source: Batch) -> Tensor:
        if self.one_by_one:
            assert len(source) == 1
        out: Tensor = network(source["image"])
        return out

    def fit(self, export: str) -> Fit:
        return Fit(independent=not self.one_by_one)


class FromText(Made):
    """Makes pictures of its own noise and a text."""

    like = None

    def exports(self) -> Mapping[str, Export]:
        return {"maker": Export(self.maker, {"text": "caption"})}

    def translate(self, network: nn.Module, source: Batch) -> Tensor:
        assert source.texts["text"][0] == "one"
        out: Tensor = network(source.noise(3, 8, 8))
        return out


def batch(count: int = 6, size: int = 40) -> Batch:
    """Return smooth pictures, b unrelated to a."""
    generator = torch.Generator().manual_seed(1)
    few = torch.rand(2 * count, 3, 5, 5, generator=generator) * 2 - 1
    a, b = nn.functional.interpolate(few, (size, size), mode="bilinear").chunk(2)
    captions = ["one", "two", "three", "four", "five", "six"][:count]
    return Batch({"a": a, "b": b}, torch.arange(count), {"caption": captions})


def seen(
    method: Method[Settings], samples: Batch | None = None, *, aligned: bool = False
) -> dict[str, float]:
    networks = {name: export.network for name, export in method.exports().items()}
    scalars = observe(method, networks, samples or batch(), aligned=aligned)
    assert all(value.shape == () for value in scalars.values())
    return {name: float(value) for name, value in scalars.items()}


def test_outputs_as_different_as_the_pictures_have_a_spread_of_1() -> None:
    assert seen(Made(lambda x: x))["maker/spread"] == pytest.approx(1, abs=0.1)
    assert seen(Made(lambda x: x.flip(0)))["maker/spread"] == pytest.approx(1, abs=0.1)


def test_one_picture_for_all_has_no_spread() -> None:
    spread = seen(Made(lambda x: x[:1].expand_as(x)))["maker/spread"]
    assert spread < 0.04  # where mode collapse is certain


def test_fine_noise_does_not_hide_that_the_pictures_are_one() -> None:
    noise = 0.2 * torch.randn(6, 3, 256, 256)
    collapsed = Made(lambda x: x[:1] + noise)
    assert seen(collapsed, batch(size=256))["maker/spread"] < 0.1


def test_spread_is_the_root_mean_square_over_pairs() -> None:
    """Three flat pictures at 0, 0.3 and 0.9 are 0.3, 0.6 and 0.9 apart: 0.6 on average."""
    levels = torch.tensor([0.0, 0.3, 0.9])[:, None, None, None].expand(3, 3, 8, 8)
    one = Batch({"a": levels, "b": levels / 2}, torch.arange(3))
    assert seen(Made(lambda x: x), one)["maker/spread"] == pytest.approx(0.61 / 0.31)


def test_light_that_stays_light_correlates() -> None:
    assert seen(Made(lambda x: 0.3 * x + 0.5))["maker/luminance"] == pytest.approx(1, abs=0.02)
    assert seen(Made(lambda x: -x))["maker/luminance"] == pytest.approx(-1, abs=0.02)
    assert seen(Made(torch.zeros_like))["maker/luminance"] == 0


def test_pairs_tell_whether_light_stays_light_in_them() -> None:
    pictures = batch()
    inverted = Batch({"a": pictures["a"], "b": -pictures["a"]}, pictures.seeds)
    scalars = seen(Made(lambda x: -x), inverted, aligned=True)
    assert scalars["maker/data_luminance"] == pytest.approx(-1, abs=0.02)
    assert "maker/data_luminance" not in seen(Made(lambda x: -x), inverted)


def test_other_proportions_have_no_luminance_to_compare() -> None:
    assert set(seen(Made(lambda x: x[..., :20]))) == {"maker/spread"}


def test_larger_and_grey_outputs_are_compared() -> None:
    larger = Made(lambda x: x.mean(1, keepdim=True).repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert seen(larger)["maker/luminance"] > 0.9


def test_pictures_from_texts_and_noise_are_compared_with_those_of_the_batch() -> None:
    scalars = seen(FromText(lambda x: x))
    assert set(scalars) == {"maker/spread"}
    assert scalars["maker/spread"] > 0.1
    text = Batch({}, torch.arange(6), batch().texts)
    assert seen(FromText(torch.zeros_like), text)["maker/spread"] < 0.04


def test_a_method_that_takes_one_at_a_time_gets_one_at_a_time() -> None:
    method = Made(lambda x: x)
    method.one_by_one = True
    assert seen(method) == pytest.approx(seen(Made(lambda x: x)))


def test_a_single_sample_shows_nothing_amiss() -> None:
    assert seen(Made(lambda x: x), batch(1))["maker/spread"] == 1


def test_nothing_is_left_of_looking() -> None:
    method = Made(lambda x: x)
    method.train()
    weight = nn.Parameter(torch.ones(()))
    method.maker.make = lambda x: x * weight
    pictures = batch()
    before = pictures["a"].clone()
    seen(method, pictures)
    assert weight.grad is None
    assert torch.equal(pictures["a"], before)
