"""Published U-Nets become ours and give the same pictures.

The network here is nested block by block as its project nests it, from what is published of its
layout, so that the keys are theirs and the forward pass is independent of ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from translate.bundle import load_model
from translate.cli.group import cli
from translate.errors import UsageError
from translate.host import the_host
from translate.importing import import_checkpoint, recognise
from translate.method import Batch
from translate.options import Facts
from translate_pix2pix.method import Pix2PixRunOptions


class Block(nn.Module):
    """One depth, with the next deeper one inside."""

    def __init__(self, layers: list[nn.Module], *, outermost: bool) -> None:
        super().__init__()
        self.model, self.outermost = nn.Sequential(*layers), outermost

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.model(x)
        return out if self.outermost else torch.cat([x, out], 1)


class Published(nn.Module):
    """A U-Net generator of pytorch-CycleGAN-and-pix2pix."""

    def __init__(
        self,
        halvings: int = 8,
        width: int = 4,
        *,
        channels: tuple[int, int] = (3, 3),
        norm: str = "batch",
        widest: int = 8,
    ) -> None:
        super().__init__()
        widths = [width * min(2**level, widest) for level in range(halvings)]

        def normed(channels: int) -> nn.Module:
            if norm == "batch":
                return nn.BatchNorm2d(channels)
            if norm == "none":
                return nn.Identity()
            options = {"affine": "affine" in norm, "track_running_stats": "stale" in norm}
            return nn.InstanceNorm2d(channels, **options)

        biased = norm.startswith("instance")
        block: Block | None = None
        for level in reversed(range(halvings)):
            outer = widths[level - 1] if level else channels[0]
            inner, up = widths[level], widths[level] * (1 if block is None else 2)
            halve = nn.Conv2d(outer, inner, 4, 2, 1, bias=biased)
            back = channels[1] if not level else outer
            double = nn.ConvTranspose2d(up, back, 4, 2, 1, bias=biased or not level)
            down: list[nn.Module] = [halve]
            if level:
                down.insert(0, nn.LeakyReLU(0.2))
            if level and block is not None:
                down.append(normed(inner))
            ups = [nn.ReLU(), double, normed(back) if level else nn.Tanh()]
            middle = [] if block is None else [block]
            block = Block([*down, *middle, *ups], outermost=not level)
        assert block is not None
        self.model = block

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


def picture(channels: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(1, channels, *shape, generator=generator) * 2 - 1


VARIANTS: dict[str, tuple[dict[str, Any], int, list[int]]] = {
    "U-Net-256": ({}, 82, [1, 2, 3]),
    "U-Net-128": ({"halvings": 7}, 70, [1, 2]),
    "instance norm": ({"norm": "instance"}, 32, [1, 2, 3]),
    "other depth": ({"halvings": 5}, 46, []),
    "other widths": ({"halvings": 5, "width": 5, "widest": 4}, 46, []),
    "1 to 3 channels": ({"halvings": 5, "channels": (1, 3)}, 46, []),
}


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_stored_variants_give_the_same_pictures(variant: str, tmp_path: Path, home: Path) -> None:
    options, tensors, dropout_at = VARIANTS[variant]
    network = published(**options)
    state = network.state_dict()
    assert len(state) == tensors
    torch.save(state, tmp_path / "latest_net_G.pth")
    import_checkpoint(tmp_path / "latest_net_G.pth", "mine")
    model, side = load_model("mine"), 2 ** options.get("halvings", 8)
    x = picture(options.get("channels", (3, 3))[0], side, 2 * side)
    calm = Batch({"image": x}, torch.tensor([0]), settings=Pix2PixRunOptions(deterministic=True))
    torch.testing.assert_close(model(calm), network(x), atol=1e-4, rtol=0)
    assert model.header.options["dropout_at"] == dropout_at
    assert model.header.working_size == side


@torch.no_grad()
def test_they_run_as_published_with_dropout_and_the_pictures_own_statistics(
    tmp_path: Path, home: Path
) -> None:
    network = published()
    torch.save(network.state_dict(), tmp_path / "net.pth")
    import_checkpoint(tmp_path / "net.pth", "mine")
    model = load_model("mine")
    assert "dropout leaves no trace" in model.header.card.notes
    assert not model.fit.independent
    batch = Batch({"image": picture(3, 256, 256)}, torch.tensor([0]))
    assert not torch.equal(model(batch), model(batch))
    ours = model.network
    for up in ours.ups:  # type: ignore[union-attr]
        up.dropout = 0.0
    network.train()
    torch.testing.assert_close(model(batch), network(batch["image"]), atol=1e-4, rtol=0)


def test_full_size_networks_have_the_published_parameter_counts() -> None:
    for halvings, count in ((8, 54_413_955), (7, 41_828_995)):
        with torch.device("meta"):
            network = Published(halvings, 64)
        assert sum(p.numel() for p in network.parameters()) == count
        imported, entry = recognise(the_host(), network.state_dict(), Path("net.pth"))
        assert entry.name == "pytorch-CycleGAN-and-pix2pix-unet"
        assert (imported.options["width"], imported.options["halvings"]) == (64, halvings)
        assert len(imported.weights) == {8: 82, 7: 70}[halvings]


def test_stale_running_statistics_are_dropped(tmp_path: Path, home: Path) -> None:
    state = published(halvings=5, norm="instance stale").state_dict()
    assert len(state) > 20
    torch.save(state, tmp_path / "net.pth")
    import_checkpoint(tmp_path / "net.pth", "mine")
    assert load_model("mine").header.options["norm"] == "instance"


def test_channels_are_told_apart() -> None:
    state = published(halvings=4, channels=(1, 3)).state_dict()
    imported, _ = recognise(the_host(), state, Path("net.pth"))
    assert imported.facts == Facts(channels=1, channels_out=3)


UNSUPPORTED: dict[str, tuple[dict[str, Any], str]] = {
    "affine": ({"norm": "instance affine"}, "instance norm with weights of its own"),
    "no norm": ({"norm": "none"}, "no normalisation"),
    "2 channels": ({"channels": (2, 3)}, "makes 3 channels of 2"),
}


@pytest.mark.parametrize("variant", UNSUPPORTED)
def test_what_our_network_cannot_be_is_refused_with_the_reason(
    variant: str, tmp_path: Path
) -> None:
    options, reason = UNSUPPORTED[variant]
    torch.save(published(halvings=4, **options).state_dict(), tmp_path / "net.pth")
    with pytest.raises(UsageError, match=reason):
        import_checkpoint(tmp_path / "net.pth", "mine")


def test_odd_widths_are_refused_with_the_reason(tmp_path: Path) -> None:
    state = published(halvings=4).state_dict()
    for key in list(state):
        if key.startswith("model.model.1.model.1"):
            state[key] = torch.zeros(7, 4, 4, 4)
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(UsageError, match=r"its widths are \[4, 7, 16, 32\]"):
        import_checkpoint(tmp_path / "net.pth", "mine")


@pytest.mark.parametrize("lacking", ["model.model.3.weight", "model.model.1.model.5.weight"])
def test_half_a_network_is_not_recognised(lacking: str, tmp_path: Path) -> None:
    state = {k: v for k, v in published(halvings=4).state_dict().items() if k != lacking}
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(UsageError, match="no importer knows its layout") as caught:
        import_checkpoint(tmp_path / "net.pth", "mine")
    assert "unet: failed" not in str(caught.value)


def test_a_surplus_tensor_is_named(tmp_path: Path) -> None:
    state = published(halvings=4).state_dict() | {"model.model.9.weight": torch.ones(1)}
    torch.save(state, tmp_path / "net.pth")
    result = CliRunner().invoke(cli, ["import", str(tmp_path / "net.pth"), "--name", "mine"])
    assert result.exit_code == 1
    assert "has surplus model.model.9.weight" in result.stderr
