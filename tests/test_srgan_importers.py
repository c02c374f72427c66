"""Published networks that enlarge become ours, from every spelling, and give the same pictures.

The networks here are stated once more from what is published of them, with their projects' names,
so that the keys are theirs and the forward pass is independent of ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from translate.bundle import load_model
from translate.cli.group import cli
from translate.errors import UsageError
from translate.host import the_host
from translate.importing import import_checkpoint, recognise
from translate.inference.translator import load
from translate.method import Batch
from translate.options import Facts
from translate.pipeline import bicubic

Spelling = Literal["numbers", "trunk", "body"]
NAMES = {
    "trunk": ("conv_first", "RRDB_trunk", "trunk_conv", "upconv", "HRconv", "conv_last"),
    "body": ("conv_first", "body", "conv_body", "conv_up", "conv_hr", "conv_last"),
}

torch.set_num_threads(1)


def conv(ins: int, outs: int) -> nn.Conv2d:
    return nn.Conv2d(ins, outs, 3, padding=1)


def enlarged(x: Tensor, scale: int) -> Tensor:
    return x.repeat_interleave(scale, 2).repeat_interleave(scale, 3)


def leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


class Dense(nn.Module):
    """conv1 to conv5; in the oldest spelling each is a list of one, or two with its activation."""

    def __init__(self, width: int, growth: int, *, listed: bool, shortcut: bool = False) -> None:
        super().__init__()
        for place in range(5):
            layer: nn.Module = conv(width + place * growth, growth if place < 4 else width)
            self.add_module(f"conv{place + 1}", nn.Sequential(layer) if listed else layer)
        if shortcut:
            self.conv1x1 = nn.Conv2d(width, growth, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for name in ("conv1", "conv2", "conv3", "conv4"):
            seen = torch.cat((seen, leaky(self.get_submodule(name)(seen))), 1)
        out: Tensor = self.get_submodule("conv5")(seen) * 0.2 + x
        return out


class Residual(nn.Module):
    def __init__(self, width: int, growth: int, name: str, **options: bool) -> None:
        super().__init__()
        for number in (1, 2, 3):
            self.add_module(f"{name}{number}", Dense(width, growth, **options))

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for block in self.children():
            out = block(out)
        return out * 0.2 + x


class Shortcut(nn.Module):
    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.sub = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.sub(x)
        return out


class Published(nn.Module):
    """ESRGAN's generator in one of its spellings."""

    def __init__(
        self,
        spelling: Spelling = "body",
        *,
        width: int = 5,
        blocks: int = 2,
        growth: int = 4,
        doublings: int = 2,
        gather: int = 1,
        channels: tuple[int, int] = (3, 3),
        shortcut: bool = False,
    ) -> None:
        super().__init__()
        self.spelling, self.gather = spelling, gather
        options = {"listed": spelling == "numbers", "shortcut": shortcut}
        rdb = "rdb" if spelling == "body" else "RDB"
        body = [Residual(width, growth, rdb, **options) for _ in range(blocks)]
        first, trunk = conv(channels[0] * gather**2, width), conv(width, width)
        ups = [conv(width, width) for _ in range(doublings)]
        before_last, last = conv(width, width), conv(width, channels[1])
        if spelling == "numbers":
            layers: list[nn.Module] = [first, Shortcut([*body, trunk])]
            for up in ups:
                layers += [nn.Upsample(scale_factor=2, mode="nearest"), up, nn.LeakyReLU(0.2)]
            self.model = nn.Sequential(*layers, before_last, nn.LeakyReLU(0.2), last)
            return
        names = NAMES[spelling]
        ours = (first, nn.Sequential(*body), trunk, None, before_last, last)
        for name, module in zip(names, ours, strict=True):
            if module is not None:
                self.add_module(name, module)
            for number, up in enumerate(ups if module is None else []):
                self.add_module(f"{name}{number + 1}", up)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        g = self.gather
        parts = x.reshape(n, c, h // g, g, w // g, g).permute(0, 1, 3, 5, 2, 4)
        x = parts.reshape(n, c * g * g, h // g, w // g)
        if self.spelling == "numbers":
            out: Tensor = self.model(x)
            return out
        layers = dict(self.named_children())
        first, body, trunk, up, before_last, last = NAMES[self.spelling]
        x = layers[first](x)
        x = x + layers[trunk](layers[body](x))
        for number in range(1, 9):
            if f"{up}{number}" in layers:
                x = leaky(layers[f"{up}{number}"](enlarged(x, 2)))
        made: Tensor = layers[last](leaky(layers[before_last](x)))
        return made


class Chain(nn.Module):
    """SRVGGNetCompact."""

    def __init__(
        self,
        *,
        scale: int = 4,
        width: int = 5,
        blocks: int = 3,
        channels: int = 3,
        activation: Callable[[int], nn.Module] = nn.PReLU,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv(channels, width), activation(width)]
        for _ in range(blocks):
            layers += [conv(width, width), activation(width)]
        self.body = nn.ModuleList([*layers, conv(width, channels * scale**2)])
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        out, s = x, self.scale
        for layer in self.body:
            out = layer(out)
        n, c, h, w = x.shape
        parts = out.reshape(n, c, s, s, h, w).permute(0, 1, 4, 2, 5, 3)
        return parts.reshape(n, c, h * s, w * s) + enlarged(x, s)


def published(kind: type[nn.Module] = Published, **options: Any) -> nn.Module:
    """Return a network whose every layer counts, and whose outputs are about as large as inputs."""
    torch.manual_seed(0)
    network = kind(**options).eval()
    for tensor in network.state_dict().values():
        fan_in = tensor[0].numel() if tensor.ndim == 4 else 16
        tensor.copy_(torch.randn_like(tensor) / fan_in**0.5)
    if kind is Published:
        tensor.fill_(0.5)  # the last layer's bias; the compact network adds to the picture
    return network


@torch.no_grad()
def check_imported(network: nn.Module, file: Path, channels: int = 3) -> None:
    """Import a checkpoint and compare it with the network that sees [0, 1]."""
    import_checkpoint(file, "mine")
    x = torch.rand(2, channels, 8, 12, generator=torch.Generator().manual_seed(1))
    out = load_model("mine")(Batch({"image": 2 * x - 1}, torch.tensor([0, 1])))
    expected = network(x)
    assert float((expected.clamp(0, 1) == expected).float().mean()) > 0.4
    assert expected.std() > 0.1
    torch.testing.assert_close((out + 1) / 2, expected.clamp(0, 1), atol=1e-5, rtol=0)


DENSE: dict[str, tuple[dict[str, Any], int]] = {
    "ESRGAN of 2018": ({"spelling": "numbers"}, 72),
    "of 2018, ×1": ({"spelling": "numbers", "doublings": 0}, 68),
    "of 2018, ×2": ({"spelling": "numbers", "doublings": 1}, 70),
    "of 2018, ×8": ({"spelling": "numbers", "doublings": 3}, 74),
    "ESRGAN": ({"spelling": "trunk"}, 72),
    "BSRGAN ×2": ({"spelling": "trunk", "doublings": 1}, 70),
    "Real-ESRGAN": ({"blocks": 1}, 42),
    "Real-ESRGAN ×2": ({"gather": 2}, 72),
    "Real-ESRGAN ×1": ({"gather": 4, "width": 6, "growth": 5}, 72),
    "grey": ({"channels": (1, 1), "blocks": 1}, 42),
    "grey, gathered": ({"channels": (1, 1), "blocks": 1, "gather": 2}, 42),
}


@pytest.mark.parametrize("variant", DENSE)
def test_dense_blocks_of_every_spelling_give_the_same_pictures(
    variant: str, tmp_path: Path, home: Path
) -> None:
    options, tensors = DENSE[variant]
    network = published(**options)
    assert len(network.state_dict()) == tensors
    torch.save(network.state_dict(), tmp_path / "net.pth")
    check_imported(network, tmp_path / "net.pth", options.get("channels", (3, 3))[0])
    fit, gather = load_model("mine").fit, options.get("gather", 1)
    assert fit.scale == 2 ** options.get("doublings", 2) // gather
    assert fit.multiple_of == gather


@pytest.mark.parametrize(
    "options", [{}, {"scale": 2, "blocks": 1}, {"scale": 1}, {"channels": 1, "width": 4}]
)
def test_compact_networks_give_the_same_pictures(
    options: dict[str, Any], tmp_path: Path, home: Path
) -> None:
    network = published(Chain, **options)
    torch.save({"params": network.state_dict()}, tmp_path / "net.pth")
    check_imported(network, tmp_path / "net.pth", options.get("channels", 3))
    assert load_model("mine").fit.scale == options.get("scale", 4)


FULL: dict[str, tuple[Callable[[], nn.Module], int, int]] = {
    "ESRGAN": (lambda: Published("numbers", width=64, blocks=23, growth=32), 702, 16_697_987),
    "RealESRGAN_x4plus": (lambda: Published(width=64, blocks=23, growth=32), 702, 16_697_987),
    # Nine more channels of the first layer's input, 64 × 9 weights each.
    "RealESRGAN_x2plus": (
        lambda: Published(width=64, blocks=23, growth=32, gather=2),
        702,
        16_697_987 + 9 * 64 * 9,
    ),
    # 17 blocks fewer, of three times 239,808 each.
    "RealESRGAN_x4plus_anime_6B": (
        lambda: Published(width=64, blocks=6, growth=32),
        192,
        16_697_987 - 17 * 3 * 239_808,
    ),
    "realesr-animevideov3": (lambda: Chain(width=64, blocks=16), 53, 621_424),
    # 16 layers more, of 64 × 64 × 9 weights, 64 biases and 64 slopes each.
    "realesr-general-x4v3": (lambda: Chain(width=64, blocks=32), 101, 621_424 + 16 * 36_992),
}


@pytest.mark.parametrize("name", FULL)
def test_full_size_networks_have_the_published_parameter_counts(name: str) -> None:
    make, tensors, count = FULL[name]
    with torch.device("meta"):
        state = make().state_dict()
    imported, _ = recognise(the_host(), state, Path(f"{name}.pth"))
    assert len(imported.weights) == tensors
    assert sum(tensor.numel() for tensor in imported.weights.values()) == count
    method = the_host().load_method("srgan")
    with torch.device("meta"):
        ours = method(method.Options(**imported.options), imported.facts).exports()["generator"]
    wanted = {key: tensor.shape for key, tensor in ours.network.state_dict().items()}
    assert {key: tensor.shape for key, tensor in imported.weights.items()} == wanted


def test_the_average_is_taken_of_a_file_with_both(tmp_path: Path, home: Path) -> None:
    network, other = published(), Published()
    both = {"params": other.state_dict(), "params_ema": network.state_dict()}
    torch.save(both, tmp_path / "net.pth")
    check_imported(network, tmp_path / "net.pth")


@pytest.mark.parametrize("prefix", ["module.", "netG.", "module.netG.", "netG.module."])
def test_prefixes_before_every_key_are_dropped(prefix: str, tmp_path: Path, home: Path) -> None:
    network = published()
    state = {prefix + key: tensor for key, tensor in network.state_dict().items()}
    torch.save({"params_ema": state}, tmp_path / "net.pth")
    check_imported(network, tmp_path / "net.pth")


def test_weights_of_16_bits_are_taken(tmp_path: Path, home: Path) -> None:
    network = published(Chain).half()
    torch.save(network.state_dict(), tmp_path / "net.pth")
    check_imported(network.float(), tmp_path / "net.pth")


def test_channels_are_told_apart_and_what_the_file_does_not_say_is_noted() -> None:
    state = published(channels=(1, 1)).state_dict()
    imported, entry = recognise(the_host(), state, Path("net.pth"))
    assert imported.facts == Facts(channels=1)
    assert entry.name == "Real-ESRGAN-rrdb"
    assert "[0, 1]" in imported.notes
    assert "3 times" not in imported.notes
    one, _ = recognise(the_host(), published(spelling="numbers", doublings=1).state_dict(), Path())
    assert "3 times" in one.notes


UNSUPPORTED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "ESRGAN+": (lambda: published(shortcut=True), "conv1x1, as ESRGAN"),
    "×16": (lambda: published(doublings=4), r"gathers 1×1 pixels and doubles 4 times"),
    "half": (lambda: published(doublings=1, gather=4), r"gathers 4×4 pixels and doubles 1 times"),
    "4 channels": (lambda: published(channels=(4, 4)), "makes 4 channels of 4"),
    "colours of grey": (lambda: published(channels=(1, 3)), "makes 3 channels of 1"),
    "grey of colours": (lambda: published(channels=(3, 1)), "makes 1 channels of 3"),
    "compact ×3": (lambda: published(Chain, scale=3), "makes 27 channels of 3 before"),
    "compact of 2": (lambda: published(Chain, channels=2), "makes 32 channels of 2 before"),
    "ReLU": (lambda: published(Chain, activation=lambda _: nn.ReLU()), "have no weights"),
}


@pytest.mark.parametrize("variant", UNSUPPORTED)
def test_what_our_networks_cannot_be_is_refused_with_the_reason(
    variant: str, tmp_path: Path
) -> None:
    make, reason = UNSUPPORTED[variant]
    torch.save(make().state_dict(), tmp_path / "net.pth")
    with pytest.raises(UsageError, match=reason):
        import_checkpoint(tmp_path / "net.pth", "mine")


def test_layers_at_other_numbers_are_refused_with_the_reason(tmp_path: Path) -> None:
    state = published(spelling="numbers").state_dict()
    moved = {key.replace("model.3.", "model.2."): tensor for key, tensor in state.items()}
    torch.save(moved, tmp_path / "net.pth")  # doublings by pixel shuffle stand closer
    with pytest.raises(UsageError, match=r"numbers \[0, 2, 6, 8, 10\].*have \[0, 3, 6, 8, 10\]"):
        import_checkpoint(tmp_path / "net.pth", "mine")


@pytest.mark.parametrize("lacking", ["conv_first", "conv_last", "body.0.rdb1.conv1"])
def test_half_a_network_is_not_recognised(lacking: str, tmp_path: Path) -> None:
    state = published(spelling="body").state_dict()
    torch.save({k: v for k, v in state.items() if lacking not in k}, tmp_path / "net.pth")
    with pytest.raises(UsageError, match="no importer knows its layout"):
        import_checkpoint(tmp_path / "net.pth", "mine")


@pytest.mark.parametrize(
    ("key", "reason"), [("body.0.rdb2.conv4.bias", "lacks"), ("conv_up3.gain", "has surplus")]
)
def test_what_is_missing_or_too_much_is_named(key: str, reason: str, tmp_path: Path) -> None:
    state = published().state_dict()
    if reason == "lacks":
        del state[key]
    else:
        state[key] = torch.ones(1)
    torch.save(state, tmp_path / "net.pth")
    result = CliRunner().invoke(cli, ["import", str(tmp_path / "net.pth"), "--name", "mine"])
    assert result.exit_code == 1
    assert reason in result.stderr
    assert len(result.stderr.splitlines()) == 1


def psnr(one: NDArray[Any], two: NDArray[Any]) -> float:
    error = np.square(one.astype(float) - two.astype(float)).mean()
    return float(10 * np.log10(255**2 / error))


def test_the_published_compact_network_enlarges_a_butterfly(tmp_path: Path, home: Path) -> None:
    folder = os.environ.get("TRANSLATE_TEST_DATA")
    if not folder:
        pytest.skip("TRANSLATE_TEST_DATA does not name the folder with the test data")
    file = Path(folder, "checkpoints", "realesr-animevideov3.pth")
    network = Chain(width=64, blocks=16).eval()
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True)["params"])
    check_imported(network, file)
    with Image.open(Path(folder, "superres", "set5", "butterfly.png")) as image:
        high = np.array(image.convert("RGB"))
    x = torch.from_numpy(high).permute(2, 0, 1)[None].float()
    low = bicubic(x, down=4)[0].round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    made = np.array(load("mine", device="cpu", precision="fp32")(Image.fromarray(low)))
    assert made.shape == high.shape == (256, 256, 3)
    assert psnr(made, high) == pytest.approx(21.27, abs=0.02)
