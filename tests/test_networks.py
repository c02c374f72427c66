"""The networks have the published sizes, and their odd forms keep their promises."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from translate.networks import PatchGAN, ResnetGenerator, initialise

SMALL: dict[str, Any] = {"widths": (4, 6, 8), "blocks": 3}
MOBILE_INNERS = (64, 64, 64, 128, 128, 128, 128, 128, 128)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("options", "count", "tensors"),
    [
        ({}, 11_378_179, 48),
        ({"blocks": 6}, 7_837_699, 36),
        (
            {"widths": (16, 32, 128), "separable": True, "inners": MOBILE_INNERS},
            356_867,
            84,
        ),
    ],
)
def test_generators_have_the_published_sizes(
    options: dict[str, Any], count: int, tensors: int
) -> None:
    with torch.device("meta"):
        network = ResnetGenerator(**options)
    assert (parameters(network), len(network.state_dict())) == (count, tensors)


def test_a_generator_with_batch_norm_has_the_published_tensors() -> None:
    with torch.device("meta"):
        assert len(ResnetGenerator(norm="batch").state_dict()) == 140


def test_the_70_pixel_discriminator_has_the_published_size() -> None:
    assert parameters(PatchGAN()) == 2_764_737


def test_spectral_norm_draws_nothing_where_there_is_no_memory() -> None:
    assert list(PatchGAN(width=4, spectral=True).buffers())  # the vectors that it draws
    with torch.device("meta"):
        assert not list(PatchGAN(width=4, spectral=True).buffers())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"separable": True, "inners": (3, 5, 7)},
        {"norm": "batch"},
        {"norm": "none"},
        {"norm": "batch", "separable": True},
        {"dropout": 0.5},
        {"upsample": "resize"},
        {"blocks": 4, "inners": (1, 2, 3, 4)},
        {"blocks": 7},
    ],
)
def test_pictures_come_back_in_their_own_size(options: dict[str, Any]) -> None:
    network = ResnetGenerator((3, 1), **(SMALL | options))
    out = network(torch.randn(2, 3, 16, 20))
    assert out.shape == (2, 1, 16, 20)
    assert out.abs().max() <= 1
    out.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_stages_are_nine_and_make_up_the_network() -> None:
    network = ResnetGenerator(**(SMALL | {"blocks": 5})).eval()
    names = [name for name, _ in network.stages.named_children()]
    assert names == ["stem", "down1", "down2", "body1", "body2", "body3", "up1", "up2", "head"]
    thirds = [network.stages.get_submodule(f"body{third}") for third in (1, 2, 3)]
    assert [len(list(body.children())) for body in thirds] == [2, 2, 1]
    x = out = torch.randn(1, 3, 16, 16)
    for stage in network.stages:
        out = stage(out)
    assert torch.equal(out, network(x))


def test_separable_blocks_mix_no_channels_in_their_3x3_convolutions() -> None:
    network = ResnetGenerator(**SMALL, separable=True)
    body = network.stages.get_submodule("body1")
    wide = [m for m in body.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert wide
    assert all(conv.groups == conv.in_channels for conv in wide)


@pytest.mark.parametrize(("blocks", "inners"), [(2, ()), (4, (8, 8))])
def test_impossible_blocks_are_refused(blocks: int, inners: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="inner widths"):
        ResnetGenerator(blocks=blocks, inners=inners)


def test_resize_convolutions_leave_no_checkerboard() -> None:
    """On a flat input every pixel of one phase of the grid is as good as its neighbour."""
    torch.manual_seed(0)

    def checkerboard(upsample: Any) -> float:
        network = initialise(ResnetGenerator(**SMALL, upsample=upsample, norm="none"), 0.3).eval()
        up = network.stages.get_submodule("up1")[0:]  # type: ignore[index]
        with torch.no_grad():
            out = up(torch.ones(1, 8, 12, 12))[..., 6:-6, 6:-6]
        return float((out[..., 1:] - out[..., :-1]).abs().max())

    assert checkerboard("resize") < 1e-6 < checkerboard("transposed")


@pytest.mark.parametrize(("layers", "field"), [(1, 16), (2, 34), (3, 70)])
def test_a_score_sees_a_patch_of_the_published_size(layers: int, field: int) -> None:
    critic = PatchGAN(1, width=4, layers=layers, norm="none").double()
    x = torch.randn(1, 1, 128, 128, dtype=torch.float64, requires_grad=True)
    scores = critic(x)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    assert x.grad is not None
    seen = x.grad[0, 0].nonzero()
    assert (seen.max(0).values - seen.min(0).values + 1).tolist() == [field, field]


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_smallest_picture_a_discriminator_takes_is_as_documented(layers: int) -> None:
    critic, side = PatchGAN(width=4, layers=layers), 3 * 2**layers
    assert critic(torch.randn(2, 3, side, side)).shape == (2, 1, 1, 1)
    with pytest.raises(RuntimeError):
        critic(torch.randn(2, 3, side - 2, side - 2))


@pytest.mark.parametrize("layers", [0, 2])
def test_a_discriminators_dropout_is_off_when_it_evaluates(layers: int) -> None:
    torch.manual_seed(0)
    critic, x = PatchGAN(width=4, layers=layers, dropout=0.5), torch.randn(1, 3, 16, 16)
    assert not torch.equal(critic(x), critic(x))
    critic.eval()
    assert torch.equal(critic(x), critic(x))


@pytest.mark.parametrize("layers", [0, 2])
def test_spectral_norm_is_in_every_layer_of_a_discriminator(layers: int) -> None:
    critic = initialise(PatchGAN(width=4, layers=layers, spectral=True))
    scaled = initialise(PatchGAN(width=4, layers=layers, spectral=True)).eval()
    state = critic.state_dict()
    originals = [name for name in state if name.endswith("weight.original")]
    assert len(originals) == sum(isinstance(m, nn.Conv2d) for m in critic.modules())
    scaled.load_state_dict(state | {name: 7 * state[name] for name in originals})
    x = torch.randn(1, 3, 16, 16)
    torch.testing.assert_close(scaled(x), critic.eval()(x))  # the weights' size does not count


def test_weights_start_from_a_narrow_normal_distribution() -> None:
    torch.manual_seed(0)
    network = initialise(ResnetGenerator(norm="batch", blocks=3)).requires_grad_(False)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.weight.numel() > 50_000:
            assert float(module.weight.mean()) == pytest.approx(0, abs=1e-3)
            assert float(module.weight.std()) == pytest.approx(0.02, rel=0.02)
        if isinstance(module, nn.BatchNorm2d):
            assert float(module.weight.mean()) == pytest.approx(1, abs=0.02)
        bias = getattr(module, "bias", None)
        assert bias is None or not bias.any()
