"""The U-Net has the published sizes, and runs as published without changing itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from translate.networks import PatchGAN, UNet, initialise


def small(**options: Any) -> UNet:
    torch.manual_seed(0)
    return initialise(UNet(**{"width": 4, "halvings": 4, **options}), 0.3).eval()


def image(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize(
    ("options", "tensors", "count"),
    [
        ({}, 82, 54_413_955),
        ({"halvings": 7}, 70, 41_828_995),
        ({"norm": "instance"}, 32, None),
    ],
)
def test_networks_have_the_published_sizes(
    options: dict[str, Any], tensors: int, count: int | None
) -> None:
    with torch.device("meta"):
        network = UNet(**options)
    assert len(network.state_dict()) == tensors
    found = sum(parameter.numel() for parameter in network.parameters())
    assert count is None or found == count


@pytest.mark.parametrize("halvings", [2, 3, 5])
@pytest.mark.parametrize("upsample", ["transposed", "resize", "blur"])
def test_sides_of_a_multiple_come_out_as_they_are(halvings: int, upsample: Any) -> None:
    network, unit = small(channels=(1, 4), halvings=halvings, upsample=upsample), 2**halvings
    for height, width in ((unit, unit), (unit, 3 * unit)):
        out = network(image(2, 1, height, width))
        assert out.shape == (2, 4, height, width)
        assert float(out.detach().abs().max()) <= 1


def test_a_single_pixel_at_the_bottom_is_not_normalised_away() -> None:
    network = small(dropout=0.0).train()
    one, two = network(image(1, 3, 16, 16)), network(-image(1, 3, 16, 16))
    bottom = network.downs[3]
    assert isinstance(bottom, nn.Module)
    assert isinstance(bottom.norm, nn.Identity)
    assert not torch.allclose(one, two)


def test_every_size_goes_around_the_smaller_ones() -> None:
    """Fine structure reaches the output although the bottom has no room for it."""
    network = small(norm="none", dropout=0.0)
    x = image(1, 3, 32, 32)
    with torch.no_grad():
        network.downs[1].conv.weight.zero_()  # type: ignore[union-attr, operator]
        change = network(x) - network(x.flip(-1))
    assert float(change.abs().max()) > 1e-3


def test_dropout_and_batch_statistics_stay_on_only_where_asked_for() -> None:
    network = small()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    x = image(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(network(x), network(x))
        one, two = network(x, stochastic=True), network(x, stochastic=True)
        assert not torch.equal(one, two)
        calm = small(dropout=0.0)
        assert torch.equal(calm(x, stochastic=True), calm(x, stochastic=True))
        assert not torch.allclose(calm(x, stochastic=True), calm(x))
        calm.train()
        torch.testing.assert_close(calm.eval()(x, stochastic=True), calm.train()(x))
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_noise_depends_on_the_seed_and_not_on_the_layout_in_memory() -> None:
    network, x = small(), image(2, 3, 16, 16)
    outputs = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(3)
        with torch.no_grad():
            outputs.append(network.to(memory_format=layout)(x, stochastic=True))
    torch.testing.assert_close(*outputs)


def test_as_large_a_share_as_asked_for_is_left_out() -> None:
    network = UNet(width=4, halvings=3, dropout=0.25, dropout_at=(0,), norm="none")
    seen: list[Tensor] = []
    network.ups[1].register_forward_pre_hook(lambda _, args: seen.append(args[0][:, 8:]))
    x = image(64, 3, 8, 8)
    network.train()(x)
    network.eval()(x)
    noisy, calm = (tensor.detach() for tensor in seen)
    assert float((noisy == 0).float().mean()) == pytest.approx(0.25, abs=0.02)
    torch.testing.assert_close(noisy[noisy != 0], calm[noisy != 0] / 0.75)


def test_dropout_acts_where_it_is_put() -> None:
    ups = UNet(width=4, halvings=5, dropout=0.25, dropout_at=(1, 2)).ups
    assert [up.dropout for up in ups] == [0.0, 0.25, 0.25, 0.0, 0.0]


def test_unbounded_outputs_pass_one() -> None:
    x = image(1, 3, 16, 16)
    logits = small(bounded=False, norm="none")(10 * x)
    assert float(logits.detach().abs().max()) > 1


def test_one_halving_is_refused() -> None:
    with pytest.raises(ValueError, match="2 or more"):
        UNet(halvings=1)


@pytest.mark.parametrize(("layers", "field"), [(0, 1), (5, 286)])
def test_discriminators_of_pix2pix_see_the_published_patch(layers: int, field: int) -> None:
    critic = PatchGAN(1, width=2, layers=layers, norm="none").double()
    x = torch.randn(1, 1, 320, 320, dtype=torch.float64, requires_grad=True)
    scores = critic(x)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    assert x.grad is not None
    seen = x.grad[0, 0].nonzero()
    assert (seen.max(0).values - seen.min(0).values + 1).tolist() == [field, field]


def test_a_discriminator_sees_what_is_given_beside_the_image() -> None:
    torch.manual_seed(0)
    critic = PatchGAN(4, width=4, layers=1, norm="none")
    x, mask = image(1, 3, 8, 8), image(1, 1, 8, 8)
    assert torch.equal(critic(x, mask), critic(torch.cat([x, mask], 1)))
    assert not torch.allclose(critic(x, mask), critic(x, -mask))
