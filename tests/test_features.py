"""Features on the way through a network, and networks that do not mind shifts."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translate.networks import Downsample, PatchGAN, ResnetGenerator, Upsample, features

OUTER = {3: torch.tensor([1.0, 2, 1]) / 4, 4: torch.tensor([1.0, 3, 3, 1]) / 4}


def small(downsample: Downsample = "blur", upsample: Upsample = "blur") -> ResnetGenerator:
    torch.manual_seed(0)
    network = ResnetGenerator(
        widths=(4, 6, 8), blocks=3, norm="none", downsample=downsample, upsample=upsample
    )
    return network.double().eval()


def picture(size: int = 32) -> Tensor:
    return torch.randn(1, 3, size, size, dtype=torch.float64)


def test_features_come_in_the_order_asked_and_the_network_is_a_layer() -> None:
    network, x = small(), picture()
    out, body, stem = features(network, x, ["", "stages.body2", "stages.stem"])
    assert torch.equal(out, network(x))
    assert torch.equal(stem, network.stages[0](x))
    assert torch.equal(body, network.stages[:5](x))
    first, again = features(network, x, ["stages.stem", "stages.stem"])
    assert first is again
    assert features(network, x, []) == []


def test_features_have_gradients_and_leave_no_hook() -> None:
    network, x = small(), picture().requires_grad_()
    features(network, x, ["stages.down1"])[0].sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert network.stages[0][1].weight.grad is not None  # type: ignore[index]
    assert not any(module._forward_hooks for module in network.modules())


def test_what_comes_after_the_last_feature_is_not_run() -> None:
    network = small()
    ran: list[str] = []
    for name, stage in network.stages.named_children():
        stage.register_forward_hook(lambda module, args, out, name=name: ran.append(name))
    features(network, picture(), ["stages.down2.0"])
    assert ran == ["stem", "down1"]


def test_a_layer_that_is_not_there_or_takes_no_part_is_named() -> None:
    network = small()
    with pytest.raises(ValueError, match=r"ResnetGenerator has no layer 'stages\.neck'"):
        features(network, picture(), ["stages.neck"])
    network.spare = nn.Conv2d(3, 3, 1)
    with pytest.raises(ValueError, match="layer 'spare' takes no part"):
        features(network, picture(), ["stages.stem", "spare"])
    assert not any(module._forward_hooks for module in network.modules())


def test_an_error_inside_the_network_is_not_swallowed() -> None:
    network = small()
    with pytest.raises(RuntimeError):
        features(network, torch.zeros(1, 5, 32, 32, dtype=torch.float64), ["stages.stem"])
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (2, 3)])
def test_the_blur_is_the_published_filter(size: tuple[int, int]) -> None:
    x = torch.randn(2, 6, *size, dtype=torch.float64)
    layer = small().stages.get_submodule("down1.3")
    taps = torch.outer(OUTER[3], OUTER[3]).double().expand(6, 1, 3, 3)
    expected = F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), taps, stride=2, groups=6)
    torch.testing.assert_close(layer(x), expected)


def test_doubling_is_the_published_filter() -> None:
    x = torch.randn(2, 8, 5, 6, dtype=torch.float64)
    layer = small().stages.get_submodule("up1.0")
    taps = torch.outer(OUTER[4], OUTER[4]).double().expand(8, 1, 4, 4)
    padded = F.pad(x, (1, 1, 1, 1), "replicate")
    expected = F.conv_transpose2d(padded, taps, stride=2, padding=3, groups=8)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_blurring_discriminator_gives_as_many_scores(layers: int) -> None:
    for side in (3 * 2**layers, 52):
        shapes = [
            PatchGAN(width=4, layers=layers, downsample=how)(torch.randn(1, 3, side, side)).shape
            for how in ("blur", "strided")
        ]
        assert shapes[0] == shapes[1]


def test_blurs_make_a_shift_matter_less() -> None:
    """A picture shifted by a pixel should give the result shifted by a pixel."""

    def error(network: ResnetGenerator) -> float:
        smooth = F.interpolate(torch.randn(1, 3, 10, 10).double(), size=72, mode="bicubic")
        with torch.no_grad():
            one, other = network(smooth[..., :64]), network(smooth[..., 1:65])
        inner = slice(20, -20)
        gap = one[..., inner, 21:-19] - other[..., inner, inner]
        return float(gap.abs().mean() / one[..., inner, inner].std())

    assert error(small()) < 0.5 * error(small("strided", "transposed"))
