"""Networks that enlarge, those that judge them, and VGG-19: sizes, reach and what they begin as."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
import torchvision
from torch import Tensor, nn

from translate_srgan.content import VGG, Layer
from translate_srgan.critics import UNetCritic, VGGCritic
from translate_srgan.networks import Compact, RRDBNet, SRResNet

Enlarger = SRResNet | RRDBNet | Compact
SCALES = (1, 2, 4, 8)

torch.set_num_threads(1)


def srresnet(scale: int = 4, *, blocks: int = 1, norm: bool = False, channels: int = 3) -> SRResNet:
    return SRResNet(channels, scale=scale, width=4, blocks=blocks, norm=norm)


def rrdb(scale: int = 4, *, gather: int = 1, blocks: int = 1, channels: int = 3) -> RRDBNet:
    return RRDBNet(channels, scale=scale, width=4, blocks=blocks, growth=4, gather=gather)


def compact(scale: int = 4, *, blocks: int = 3, skips: bool = False, channels: int = 3) -> Compact:
    return Compact(channels, scale=scale, width=4, blocks=blocks, skips=skips)


def leaky(x: Tensor) -> Tensor:
    return nn.functional.leaky_relu(x, 0.2)


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


FULL: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "SRResNet": (lambda: SRResNet(3, scale=4, width=64, blocks=16, norm=True), 1_547_350),
    # Without norm: 33 convolutions gain 64 biases and lose as many scales and twice as many.
    "SRResNet without norm": (
        lambda: SRResNet(3, scale=4, width=64, blocks=16, norm=False),
        1_547_350 - 33 * 64,
    ),
    "ESRGAN": (lambda: RRDBNet(3, scale=4, width=64, blocks=23, growth=32), 16_697_987),
    "SRVGGNetCompact": (lambda: Compact(3, scale=4, width=64, blocks=16), 621_424),
    "U-Net": (lambda: UNetCritic(3, width=64), 4_376_897),
    # Convolutions 4,685,312 with the first one's biases, norms 3,712, and 36 × 512 numbers to
    # 1,024 to 1.
    "SRGAN's discriminator": (lambda: VGGCritic(3, width=64), 23_563_649),
}


@pytest.mark.parametrize("name", FULL)
def test_full_size_networks_have_the_published_sizes(name: str) -> None:
    make, count = FULL[name]
    with torch.device("meta"):
        network = make()
    assert parameters(network) == count


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("channels", [1, 3])
def test_they_enlarge_any_size_and_keep_the_channels(scale: int, channels: int) -> None:
    x = torch.rand(2, channels, 4, 12)
    for network in (
        srresnet(scale, channels=channels, norm=True),
        rrdb(scale, channels=channels),
        rrdb(scale, channels=channels, gather=2),
        rrdb(scale, channels=channels, gather=4),
        compact(scale, channels=channels),
    ):
        assert network(x).shape == (2, channels, 4 * scale, 12 * scale)


@torch.enable_grad()
def reach(network: Enlarger, scale: int, gather: int = 1) -> tuple[int, int]:
    """Return how far around a pixel (a square, where they are gathered) its result depends.

    That is to the left and above, and to the right and below, by the gradient in double precision.
    """
    side = 2 * gather * -(-(network.radius + 3) // gather) + gather
    start = side // 2 // gather * gather
    x = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    here = slice(start * scale, (start + gather) * scale)
    made: Tensor = network.double().eval()(x)[..., here, here]
    (made * torch.rand_like(made)).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    rows, columns = x.grad.abs().sum((0, 1)).nonzero().unbind(1)
    below, above = (int(f(rows)) for f in (torch.min, torch.max))
    assert (below, above) == (int(columns.min()), int(columns.max()))
    return start - below, above - (start + gather - 1)


def plain(make: Callable[[int], Enlarger], scale: int) -> tuple[Enlarger, int, int]:
    return make(scale), scale, 1


REACHES: dict[str, Callable[[], tuple[Enlarger, int, int]]] = {
    **{f"srresnet ×{scale}": partial(plain, srresnet, scale) for scale in SCALES},
    **{f"rrdb ×{scale}": partial(plain, rrdb, scale) for scale in SCALES},
    **{f"compact ×{scale}": partial(plain, compact, scale) for scale in SCALES},
    "srresnet with norm": lambda: (srresnet(2, blocks=2, norm=True), 2, 1),
    "compact with skips": lambda: (compact(2, blocks=4, skips=True), 2, 1),
    "rrdb, deeper": lambda: (rrdb(2, blocks=2), 2, 1),
    "rrdb, gathered by 2": lambda: (rrdb(2, gather=2), 2, 2),
    "rrdb, gathered by 4": lambda: (rrdb(1, gather=4), 1, 4),
}


@pytest.mark.parametrize("case", REACHES)
def test_results_depend_on_as_much_as_the_radius_says_and_on_nothing_beyond(case: str) -> None:
    torch.manual_seed(0)
    network, scale, gather = REACHES[case]()
    assert reach(network, scale, gather) == (network.radius, network.radius)


def test_the_radius_of_the_published_sizes() -> None:
    with torch.device("meta"):
        assert RRDBNet(3, scale=4, width=4, blocks=23, growth=4).radius == 349
        assert RRDBNet(3, scale=2, width=4, blocks=23, growth=4, gather=2).radius == 698
        assert compact(blocks=16).radius == 18
        assert srresnet(blocks=16).radius == 40


@pytest.mark.parametrize("gain", [1, 10])  # as they begin; as large as He's
@torch.no_grad()
def test_dense_blocks_are_felt_no_further_than_the_halo(gain: float) -> None:
    torch.manual_seed(0)
    network, tile = rrdb(blocks=8), 4
    for name, parameter in network.named_parameters():
        if name.startswith("body."):
            parameter.mul_(gain)
    halo = network.halo
    assert (halo, network.radius) == (32, 124)
    x = torch.rand(1, 3, 2 * 64 + tile, 2 * 64 + tile)
    here, inner = slice(64 - halo, 64 + tile + halo), slice(4 * halo, 4 * (halo + tile))
    whole, alone = network(x)[..., 256:272, 256:272], network(x[..., here, here])
    torch.testing.assert_close(alone[..., inner, inner], whole, atol=1e-5, rtol=0)
    closer = slice(64 - 2, 64 + tile + 2)
    assert float((network(x[..., closer, closer])[..., 8:24, 8:24] - whole).abs().max()) > 1e-4


def test_dense_blocks_begin_calmly_and_other_layers_as_ever() -> None:
    torch.manual_seed(0)
    network = RRDBNet(3, scale=4, width=32, blocks=2, growth=16)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and name.startswith("body."):
            wanted = 0.1 * math.sqrt(2 / (9 * module.in_channels))
            assert float(module.weight.detach().std()) == pytest.approx(wanted, rel=0.1)
            assert module.bias is not None
            assert not module.bias.any()
    assert float(network.trunk.weight.detach().std()) == pytest.approx(
        1 / math.sqrt(3 * 9 * 32), rel=0.1
    )
    x = torch.randn(1, 32, 12, 12)
    with torch.no_grad():
        made = network.body(x)  # each block adds a fifth of what dense blocks do not change
    torch.testing.assert_close(made, 1.2**2 * x, atol=0.1, rtol=0)
    assert not torch.equal(made, 1.2**2 * x)


def test_built_without_memory_they_draw_nothing() -> None:
    before = torch.get_rng_state()
    with torch.device("meta"):
        network, critic = rrdb(blocks=2), UNetCritic(3, width=4)
    assert all(p.is_meta for p in (*network.parameters(), *critic.parameters()))
    # Torch's spectral norm draws two vectors, for which it imports its compiler there.
    assert not list(critic.buffers())
    assert torch.equal(torch.get_rng_state(), before)


@torch.no_grad()
def test_what_the_blocks_add_is_added_to_what_came_in() -> None:
    x = torch.rand(1, 3, 6, 6)
    residual = srresnet(blocks=2).eval()
    nn.init.zeros_(residual.body[-1].weight)  # type: ignore[arg-type]
    nn.init.zeros_(residual.body[-1].bias)  # type: ignore[arg-type]
    expected = residual.last(residual.doublings(residual.head(x)))
    torch.testing.assert_close(residual(x), expected)
    dense = rrdb()
    nn.init.zeros_(dense.trunk.weight)
    assert dense.trunk.bias is not None
    nn.init.zeros_(dense.trunk.bias)
    seen = dense.first(x)
    for convolution in dense.doublings:
        seen = leaky(convolution(seen.repeat_interleave(2, 2).repeat_interleave(2, 3)))
    expected = dense.last(leaky(dense.before_last(seen)))
    torch.testing.assert_close(dense(x), expected)


@torch.no_grad()
def test_skips_pass_every_two_convolutions() -> None:
    for blocks, passed in ((4, True), (3, False)):
        network, x = compact(blocks=blocks, skips=True), torch.rand(1, 3, 6, 6)
        for convolution in network.body:
            for parameter in convolution.parameters():
                nn.init.zeros_(parameter)
        seen = network.first_activation(network.first(x)) if passed else torch.zeros(1, 4, 6, 6)
        expected = nn.functional.pixel_shuffle(network.last(seen), 4)
        torch.testing.assert_close(network(x), expected)  # a last one without its pair has no skip


def test_the_unet_scores_every_pixel_from_its_surroundings() -> None:
    torch.manual_seed(0)
    critic = UNetCritic(3, width=4).eval()
    x = torch.rand(1, 3, 32, 40, requires_grad=True)
    scores = critic(x)
    assert scores.shape == (1, 1, 32, 40)
    scores[0, 0, 16, 20].backward()
    assert x.grad is not None
    seen = x.grad.abs().sum((0, 1))
    assert float(seen[16, 20]) > 0
    assert bool(seen[:, 4].any())  # 16 pixels away


def test_its_spectral_norm_bounds_each_layer() -> None:
    torch.manual_seed(0)
    critic, x = UNetCritic(3, width=4), torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        for down in critic.downs:
            down.get_parameter("parametrizations.weight.original").mul_(100)
        for _ in range(60):
            critic(x)
    for down in [*critic.downs, *critic.ups, *critic.before_last]:
        largest = torch.linalg.matrix_norm(down.weight.flatten(1), 2)
        assert float(largest.detach()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("size", [(96, 96), (48, 64), (16, 16)])
def test_the_published_discriminator_scores_cuts_of_any_size(size: tuple[int, int]) -> None:
    assert VGGCritic(3, width=4)(torch.rand(2, 3, *size)).shape == (2, 1)
    assert VGGCritic(1, width=4)(torch.rand(2, 1, *size)).shape == (2, 1)


@pytest.fixture(scope="module")
def narrow() -> nn.Module:
    """Return VGG-19's layers, an eighth as wide."""
    torch.manual_seed(0)
    cfg = torchvision.models.vgg.cfgs["E"]
    layers: nn.Module = torchvision.models.vgg.make_layers([n if n == "M" else n // 8 for n in cfg])
    return layers


def test_content_layers_are_the_ones_that_they_are_called(narrow: nn.Sequential) -> None:
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    names: tuple[Layer, ...] = ("conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_4")
    found = VGG(narrow)(x, names)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    y = ((x + 1) / 2 - mean[:, None, None]) / deviation[:, None, None]
    block, place, expected = 1, 0, {}
    for layer in narrow:
        y = layer(y)
        if isinstance(layer, nn.MaxPool2d):
            block, place = block + 1, 0
        elif isinstance(layer, nn.Conv2d):
            place += 1
            expected[f"conv{block}_{place}"] = y
    for name, features in zip(names, found, strict=True):
        assert torch.equal(features, expected[name]), name
        assert bool((features < 0).any())  # before the activation
