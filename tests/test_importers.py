"""Published generators, in every layout they are stored in, become ours and give the same pictures.

The networks here are built layer by layer as their projects number them, from what is published of
their layouts, so that the keys are theirs and the forward pass is independent of ours.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor, nn

from translate.bundle import load_model
from translate.cli.group import cli
from translate.errors import UsageError
from translate.host import the_host
from translate.importing import import_checkpoint, recognise
from translate.method import Batch

PADS = {"reflect": nn.ReflectionPad2d, "replicate": nn.ReplicationPad2d}


class Block(nn.Module):
    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv_block(x)
        return out


class Separable(nn.Module):
    def __init__(self, ins: int, outs: int) -> None:
        super().__init__()
        depthwise = nn.Conv2d(ins, ins, 3, groups=ins)
        self.conv = nn.Sequential(depthwise, nn.InstanceNorm2d(ins), nn.Conv2d(ins, outs, 1))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out


class Published(nn.Module):
    """A residual generator of pytorch-CycleGAN-and-pix2pix or, with ``inners``, GAN-Compression."""

    def __init__(
        self,
        widths: tuple[int, int, int] = (4, 8, 16),
        blocks: int = 9,
        *,
        norm: str = "instance",
        dropout: bool = False,
        padding: str = "reflect",
        inners: tuple[int, ...] = (),
        channels: tuple[int, int] = (3, 3),
    ) -> None:
        super().__init__()
        one, two, three = widths
        bias = norm.startswith("instance")

        def normed(width: int) -> list[nn.Module]:
            if norm == "batch":
                return [nn.BatchNorm2d(width), nn.ReLU()]
            if norm == "none":
                return [nn.Identity(), nn.ReLU()]
            options = {"affine": "affine" in norm, "track_running_stats": "stale" in norm}
            return [nn.InstanceNorm2d(width, **options), nn.ReLU()]

        def conv3x3(ins: int, outs: int) -> list[nn.Module]:
            if padding == "zero":
                return [nn.Conv2d(ins, outs, 3, padding=1, bias=bias)]
            conv = Separable(ins, outs) if inners else nn.Conv2d(ins, outs, 3, bias=bias)
            return [PADS[padding](1), conv]

        def block(inner: int) -> Block:
            first = [*conv3x3(three, inner), *normed(inner)]
            first += [nn.Dropout(0.5)] if dropout else []
            return Block([*first, *conv3x3(inner, three), *normed(three)[:1]])

        self.model = nn.Sequential(
            *(nn.ReflectionPad2d(3), nn.Conv2d(channels[0], one, 7, bias=bias), *normed(one)),
            *(nn.Conv2d(one, two, 3, 2, 1, bias=bias), *normed(two)),
            *(nn.Conv2d(two, three, 3, 2, 1, bias=bias), *normed(three)),
            *(block(inner) for inner in inners or (three,) * blocks),
            *(nn.ConvTranspose2d(three, two, 3, 2, 1, 1, bias=bias), *normed(two)),
            *(nn.ConvTranspose2d(two, one, 3, 2, 1, 1, bias=bias), *normed(one)),
            *(nn.ReflectionPad2d(3), nn.Conv2d(one, channels[1], 7), nn.Tanh()),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.model(x)
        return out


def published(**options: Any) -> Published:
    """Return a network in evaluation mode with weights that make every layer count."""
    torch.manual_seed(0)
    network = Published(**options).eval()
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            values = torch.rand_like(tensor) + 0.5 if "running_var" in name else None
            tensor.copy_(torch.randn_like(tensor) * 0.3 if values is None else values)
    return network


def picture(channels: int = 3) -> Tensor:
    return torch.rand(1, channels, 24, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.no_grad()
def check_imported(file: Path, expected: Tensor, home: Path) -> None:
    import_checkpoint(file, "mine")
    model = load_model("mine")
    assert (home / "models" / "mine.safetensors").is_file()
    out = model(Batch({"image": picture(expected.shape[1])}, torch.tensor([0])))
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=0)


VARIANTS: dict[str, tuple[dict[str, Any], int]] = {
    "ResNet-9": ({}, 48),
    "ResNet-6": ({"blocks": 6}, 36),
    "batch norm": ({"norm": "batch"}, 140),
    "batch norm, dropout": ({"norm": "batch", "dropout": True}, 140),
    "dropout": ({"dropout": True}, 48),
    "other widths": ({"widths": (4, 6, 10), "blocks": 4}, 28),
    "one channel": ({"blocks": 3, "channels": (1, 1)}, 24),
    "mobile": ({"inners": (4, 4, 4, 8, 8, 8, 8, 8, 8), "dropout": True}, 84),
    "mobile without dropout": ({"inners": (16, 16, 16)}, 36),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_stored_variants_give_the_same_pictures(variant: str, tmp_path: Path, home: Path) -> None:
    options, tensors = VARIANTS[variant]
    network = published(**options)
    state = network.state_dict()
    assert len(state) == tensors
    torch.save(state, tmp_path / "latest_net_G.pth")
    with torch.no_grad():
        expected = network(picture(options.get("channels", (3, 3))[0]))
    check_imported(tmp_path / "latest_net_G.pth", expected, home)


@pytest.mark.parametrize(("counted", "tensors"), [(False, 94), (True, 117)])
def test_stale_running_statistics_are_dropped(
    counted: bool, tensors: int, tmp_path: Path, home: Path
) -> None:
    state = published(norm="instance stale").state_dict()
    if not counted:  # versions before 0.4.1 kept no count
        state = OrderedDict((k, v) for k, v in state.items() if not k.endswith("tracked"))
    assert len(state) == tensors
    torch.save(state, tmp_path / "net.pth")
    plain = published()
    plain.load_state_dict({key: state[key] for key in plain.state_dict()})
    with torch.no_grad():
        expected = plain(picture())
    check_imported(tmp_path / "net.pth", expected, home)


@pytest.mark.parametrize("wrapped", ["module", "state_dict", "metadata"])
def test_wrapped_weights_are_found(wrapped: str, tmp_path: Path, home: Path) -> None:
    network = published(blocks=3)
    state: Any = network.state_dict()
    if wrapped == "module":
        state = OrderedDict((f"module.{key}", tensor) for key, tensor in state.items())
    elif wrapped == "state_dict":
        state = {"state_dict": dict(state), "epoch": 3}
    torch.save(state, tmp_path / "net.pth")
    with torch.no_grad():
        expected = network(picture())
    check_imported(tmp_path / "net.pth", expected, home)


@pytest.mark.parametrize(
    ("blocks", "count"), [(9, 11_378_179), (6, 7_837_699)], ids=["ResNet-9", "ResNet-6"]
)
def test_full_size_networks_have_the_published_parameter_counts(blocks: int, count: int) -> None:
    with torch.device("meta"):
        state = Published((64, 128, 256), blocks).state_dict()
    assert sum(tensor.numel() for tensor in state.values()) == count
    imported, _ = recognise(the_host(), state, Path("net.pth"))
    assert sum(tensor.numel() for tensor in imported.weights.values()) == count
    assert imported.options["widths"] == (64, 128, 256)
    assert imported.options["blocks"] == blocks


UNSUPPORTED: dict[str, tuple[dict[str, Any], str]] = {
    "zero padding": ({"padding": "zero"}, r"not padded by reflection \(conv_block.0\)"),
    "zero padding, dropout": ({"padding": "zero", "dropout": True}, "not padded by reflection"),
    "affine": ({"norm": "instance affine"}, "instance norm with weights of its own"),
    "affine, tracked": ({"norm": "instance affine stale"}, "norm with weights of its own"),
    "no norm": ({"norm": "none"}, "no normalisation"),
    "3 to 1 channels": ({"channels": (3, 1)}, "makes 1 channels of 3"),
}


@pytest.mark.parametrize("variant", UNSUPPORTED)
def test_what_our_network_cannot_be_is_refused_with_the_reason(
    variant: str, tmp_path: Path
) -> None:
    options, reason = UNSUPPORTED[variant]
    torch.save(published(blocks=3, **options).state_dict(), tmp_path / "net.pth")
    with pytest.raises(UsageError, match=reason):
        import_checkpoint(tmp_path / "net.pth", "mine")


def cut_state() -> dict[str, Tensor]:
    """Return the keys of CUT's anti-aliased generator: blur kernels shift every number."""
    state = {f"model.{n}.filt": torch.ones(4, 1, 3, 3) for n in (7, 11, 21, 25)}
    state |= {f"model.{n}.weight": torch.ones(4, 4, 3, 3) for n in (4, 8, 22, 26)}
    state |= {f"model.{n}.weight": torch.ones(4, 3, 7, 7) for n in (1, 30)}
    for block in range(12, 21):
        for place in (1, 5):
            state[f"model.{block}.conv_block.{place}.weight"] = torch.ones(4, 4, 3, 3)
    return state


def unet_state() -> dict[str, Tensor]:
    down = {"model.model.0.weight": torch.ones(4, 3, 4, 4)}
    return down | {"model.model.1.model.1.weight": torch.ones(8, 4, 4, 4)}


OTHERS: dict[str, Callable[[], dict[str, Tensor]]] = {
    "CUT": cut_state,
    "U-Net": unet_state,
    "PatchGAN": lambda: {f"model.{n}.weight": torch.ones(4, 4, 4, 4) for n in (0, 2, 5, 8, 11)},
    "half a generator": lambda: {
        key: tensor for key, tensor in published().state_dict().items() if "model.2" not in key
    },
}


@pytest.mark.parametrize("other", OTHERS)
def test_other_networks_are_not_recognised_and_the_message_says_what_is_looked_for(
    other: str, tmp_path: Path
) -> None:
    torch.save(OTHERS[other](), tmp_path / "net.pth")
    with pytest.raises(UsageError, match=r"(?s)no importer .*conv_block.*conv_block") as caught:
        import_checkpoint(tmp_path / "net.pth", "mine")
    assert "failed" not in str(caught.value)


def test_a_surplus_tensor_is_named(tmp_path: Path) -> None:
    state = published(blocks=3).state_dict() | {"model.99.weight": torch.ones(1)}
    torch.save(state, tmp_path / "net.pth")
    result = CliRunner().invoke(cli, ["import", str(tmp_path / "net.pth"), "--name", "mine"])
    assert result.exit_code == 1
    assert "has surplus model.99.weight" in result.stderr


def test_the_published_horse2zebra_generator_runs(tmp_path: Path, home: Path) -> None:
    folder = os.environ.get("TRANSLATE_TEST_DATA")
    if not folder:
        pytest.skip("TRANSLATE_TEST_DATA does not name the folder with the test data")
    file = Path(folder, "checkpoints", "gan_compression_horse2zebra.pth")
    state = torch.load(file, weights_only=True)
    inners = (64,) * 3 + (128,) * 6
    network = Published((16, 32, 128), inners=inners, dropout=True).eval()
    network.load_state_dict(state)
    assert sum(tensor.numel() for tensor in state.values()) == 356_867
    with torch.no_grad():
        check_imported(file, network(picture()), home)

    horse = sorted(Path(folder, "horse2zebra", "testA").iterdir())[0]
    with Image.open(horse) as image:
        pixels = torch.tensor(list(image.convert("RGB").resize((128, 128)).tobytes()))
    x = pixels.reshape(1, 128, 128, 3).permute(0, 3, 1, 2) / 127.5 - 1
    out = load_model("mine")(Batch({"image": x}, torch.tensor([0])))
    assert 0.05 < float((out - x).abs().mean()) < 0.8  # changed, but still the same picture
