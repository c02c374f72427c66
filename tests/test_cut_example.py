"""The example of a third party's plugin: listed, trained, run, and fed published checkpoints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner, Result
from PIL import Image
from torch import Tensor

import tiny
from translate.bundle import load_bundle
from translate.cli.group import cli
from translate.errors import TranslateError
from translate.host import the_host
from translate.model import Imported, read_header
from translate.testing.state import difference
from translate_cut import importers

EXAMPLE = Path(__file__).parent.parent / "examples" / "translate-cut"
SMALL: dict[str, Any] = {
    **tiny.NETWORK,
    "patches": 16,
    "features": 8,
    "downsample": "blur",
}


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the example as pip would, but for copying it."""
    site = tmp_path / "site"
    info = site / "translate_cut-0.1.0.dist-info"
    info.mkdir(parents=True)
    info.joinpath("METADATA").write_text(
        "Metadata-Version: 2.1\nName: translate-cut\nVersion: 0.1.0\n"
    )
    project = (EXAMPLE / "pyproject.toml").read_text()
    points = re.search(r"\[project\.entry-points\.translate\]\n((?:\w+ = .*\n)+)", project)
    assert points is not None
    info.joinpath("entry_points.txt").write_text("[translate]\n" + points[1].replace('"', ""))
    monkeypatch.syspath_prepend(EXAMPLE)
    monkeypatch.syspath_prepend(site)
    the_host.cache_clear()
    return site


def run(*args: str) -> Result:
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == 0, result.output
    return result


def sets(**values: Any) -> list[str]:
    """Return ``--set`` for a tiny run."""
    given = SMALL | {f"data.{key}": value for key, value in tiny.DATA.items()} | values
    return [word for key, value in given.items() for word in ("--set", f"{key}={value}")]


def test_it_is_listed_like_any_other() -> None:
    listed = run("methods").stdout
    for name in ("cut", "fastcut"):
        assert re.search(rf"^{name} +unpaired +cut ", listed, re.MULTILINE)
    assert re.search(r"^cut +.*translate-cut", run("plugins").stdout, re.MULTILINE)
    assert re.search(r"^nce_weight +10\.0 ", run("methods", "fastcut").stdout, re.MULTILINE)


def test_listing_it_imports_no_torch(site: Path) -> None:
    code = (
        "import sys; from translate.host import the_host; "
        "assert 'fastcut' in the_host().methods; assert 'torch' not in sys.modules"
    )
    path = os.pathsep.join([str(site), str(EXAMPLE)])
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": path})


@pytest.mark.parametrize("method", ["cut", "fastcut"])
def test_it_trains_and_what_it_made_runs_on_a_folder(method: str, tmp_path: Path) -> None:
    data = tiny.unpaired_folder(tmp_path / "data")
    out = tmp_path / "run"
    train = ["train", method, "--data", str(data), "--out", str(out), "--name", "mine"]
    run(*train, *sets(), "--images", "6", "--device", "cpu", "--quiet")
    header = read_header(out / "a2b.safetensors")
    assert (header.method, header.export, header.working_size) == (method, "a2b", 16)

    photos = tmp_path / "photos"
    for number, size in enumerate([(20, 20), (37, 21), (9, 50)]):
        tiny.save_picture(photos / f"{number}.png", number, size)
    run("mine", str(photos), "-o", str(tmp_path / "made"), "--device", "cpu")
    made = [Image.open(tmp_path / "made" / f"{number}.png") for number in range(3)]
    assert [picture.size for picture in made] == [(20, 20), (37, 21), (9, 50)]


def test_a_run_that_was_stopped_goes_on_exactly(tmp_path: Path) -> None:
    data = tiny.unpaired_folder(tmp_path / "data")
    options = SMALL | {"training__save_every": 3}
    whole = tiny.start(tmp_path / "whole", data, method="fastcut", **options)
    tiny.finish(whole)
    part = tiny.start(tmp_path / "part", data, method="fastcut", **options, training__images=8)
    for number, (parts, _) in enumerate(part._steps(1), 1):
        if number == 1:
            part._begin()
        part.trainer.step(parts)
        if number == 3:
            part.saver.save()
            break
    resumed = tiny.start(tmp_path / "part", data, method="fastcut", resume=True, **options)
    assert resumed.trainer.images == 3
    tiny.finish(resumed)
    ours, theirs = (r.trainer.method.state_dict() for r in (resumed, whole))
    assert not difference(ours, theirs)


# What the published checkpoints look like, and what their networks compute, written out here
# from the layout and from Zhang 2019, without any of our networks.


def layout(
    *, down: bool, up: bool, batch: bool = False, blocks: int = 3, width: int = 4
) -> dict[str, Tensor]:
    """Return random weights under the published names; ``down``, ``up``: with blurs."""
    weights: dict[str, Tensor] = {}

    def layer(name: str, ins: int, outs: int, side: int, *, norm: str = "", turned: bool = False):  # type: ignore[no-untyped-def]
        shape = (ins, outs, side, side) if turned else (outs, ins, side, side)
        weights[f"{name}.weight"] = torch.randn(shape) * (ins * side * side) ** -0.5
        if not (batch and norm):
            weights[f"{name}.bias"] = torch.randn(outs) * 0.3
        elif batch:
            weights[f"{norm}.weight"] = torch.rand(outs) + 0.5
            weights[f"{norm}.bias"] = torch.randn(outs) * 0.3
            weights[f"{norm}.running_mean"] = torch.randn(outs) * 0.3
            weights[f"{norm}.running_var"] = torch.rand(outs) + 0.5
            weights[f"{norm}.num_batches_tracked"] = torch.tensor(7)

    def filt(name: str, channels: int, *taps: float) -> None:
        line = torch.tensor(taps) / 4
        weights[f"{name}.filt"] = torch.outer(line, line).repeat(channels, 1, 1, 1)

    layer("model.1", 3, width, 7, norm="model.2")
    at = 4
    for ins, outs in pairwise((width, 2 * width, 4 * width)):
        layer(f"model.{at}", ins, outs, 3, norm=f"model.{at + 1}")
        if down:
            filt(f"model.{at + 3}", outs, 1, 2, 1)
        at += 4 if down else 3
    for _ in range(blocks):
        for place in (1, 5):
            name = f"model.{at}.conv_block"
            layer(f"{name}.{place}", 4 * width, 4 * width, 3, norm=f"{name}.{place + 1}")
        at += 1
    for ins, outs in pairwise((4 * width, 2 * width, width)):
        if up:
            filt(f"model.{at}", ins, 1, 3, 3, 1)
            at += 1
        layer(f"model.{at}", ins, outs, 3, norm=f"model.{at + 1}", turned=not up)
        at += 3
    layer(f"model.{at + 1}", width, 3, 7)
    return weights


def published(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """Return what the network with these weights makes of ``x``."""
    numbers = sorted({int(key.split(".")[1]) for key in weights})
    blurs = {n: weights[f"model.{n}.filt"] for n in numbers if f"model.{n}.filt" in weights}
    last, state = numbers[-1], dict(weights)

    def norm(x: Tensor, name: str) -> Tensor:
        if f"{name}.running_mean" not in state:
            return F.instance_norm(x)
        mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        scale, shift = state[f"{name}.weight"], state[f"{name}.bias"]
        return F.batch_norm(x, mean, variance, scale, shift)

    def convolved(x: Tensor, name: str, **how: Any) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), **how)

    def reflected(x: Tensor, by: int) -> Tensor:
        return F.pad(x, (by, by, by, by), "reflect")

    for number in numbers:
        name = f"model.{number}"
        if number in blurs:
            taps, channels = blurs[number], x.shape[1]
            if taps.shape[-1] == 3:
                x = F.conv2d(reflected(x, 1), taps, stride=2, groups=channels)
            else:
                padded = F.pad(x, (1, 1, 1, 1), "replicate")
                x = F.conv_transpose2d(padded, taps, stride=2, padding=3, groups=channels)
        elif number == 1:
            x = norm(convolved(reflected(x, 3), name), "model.2").relu()
        elif number == last:
            x = convolved(reflected(x, 3), name).tanh()
        elif f"{name}.conv_block.1.weight" in state:
            y = norm(convolved(reflected(x, 1), f"{name}.conv_block.1"), f"{name}.conv_block.2")
            y = convolved(reflected(y.relu(), 1), f"{name}.conv_block.5")
            x = x + norm(y, f"{name}.conv_block.6")
        elif f"{name}.weight" in state and state[f"{name}.weight"].ndim == 4:
            before = number < min(int(k.split(".")[1]) for k in state if "conv_block" in k)
            if before:
                stride = 1 if number + 3 in blurs else 2
                x = convolved(x, name, padding=1, stride=stride)
            elif number - 1 in blurs:
                x = convolved(x, name, padding=1)
            else:
                weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
                x = F.conv_transpose2d(x, weight, bias, 2, 1, output_padding=1)
            x = norm(x, f"model.{number + 1}").relu()
    return x


def test_the_layout_written_out_here_is_the_published_one() -> None:
    weights = layout(down=True, up=True, blocks=9, width=64)
    shapes = {key: tuple(tensor.shape) for key, tensor in weights.items()}
    assert len(shapes) == 52
    filters = [key for key in shapes if key.endswith(".filt")]
    assert [shapes[key] for key in filters] == [
        (128, 1, 3, 3),
        (256, 1, 3, 3),
        (256, 1, 4, 4),
        (128, 1, 4, 4),
    ]
    assert filters == [f"model.{n}.filt" for n in (7, 11, 21, 25)]
    assert shapes["model.22.weight"] == (128, 256, 3, 3)
    assert shapes["model.26.weight"] == (64, 128, 3, 3)
    assert shapes["model.30.weight"] == (3, 64, 7, 7)
    counted = sum(t.numel() for key, t in weights.items() if not key.endswith(".filt"))
    assert counted == 11_378_179


@pytest.mark.parametrize("wrapped", ["bare", "parallel"])
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize(("down", "up"), [(True, True), (True, False), (False, True)])
def test_a_published_generator_gives_the_same_pictures(
    down: bool, up: bool, batch: bool, wrapped: str, tmp_path: Path, home: Path
) -> None:
    torch.manual_seed(1)
    weights = layout(down=down, up=up, batch=batch, blocks=4)
    prefix = "module." if wrapped == "parallel" else ""
    file = tmp_path / "latest_net_G.pth"
    torch.save({prefix + key: tensor for key, tensor in weights.items()}, file)
    said = run("import", str(file), "--name", "theirs").stderr
    assert "contrastive-unpaired-translation-resnet (plugin cut)" in said
    model = load_bundle(home / "models" / "theirs.safetensors")
    assert (model.header.method, model.header.working_size) == ("cut", 256)
    x = torch.randn(2, 3, 24, 36)
    with torch.no_grad():
        torch.testing.assert_close(model.network(x), published(weights, x), atol=1e-5, rtol=0)


def test_the_order_of_the_tensors_in_the_file_does_not_matter() -> None:
    weights = layout(down=True, up=True, batch=True, blocks=4)
    one, other = (importers.resnet(dict(sorted(weights.items(), reverse=r))) for r in (True, False))
    assert one is not None
    assert other is not None
    assert all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


def test_one_without_blurs_is_cyclegans_network_and_either_plugin_reads_it(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = layout(down=False, up=False)
    file = tmp_path / "latest_net_G.pth"
    torch.save(weights, file)
    run("import", str(file), "--name", "theirs")
    x = torch.randn(1, 3, 24, 24)
    model = load_bundle(home / "models" / "theirs.safetensors")
    assert model.header.method == "cyclegan"
    with torch.no_grad():
        torch.testing.assert_close(model.network(x), published(weights, x), atol=1e-5, rtol=0)
        monkeypatch.setenv("TRANSLATE_DISABLE", "cyclegan")
        the_host.cache_clear()
        run("import", str(file), "--name", "again")
        again = load_bundle(home / "models" / "again.safetensors")
        assert again.header.method == "cut"
        assert torch.equal(again.network(x), model.network(x))


def test_other_networks_are_left_to_other_importers() -> None:
    assert importers.resnet({"fc.weight": torch.ones(2, 2)}) is None
    weights = layout(down=True, up=True)
    zero_padded = {key.replace("block.1", "block.0"): t for key, t in weights.items()}
    assert importers.resnet(zero_padded) is None
    assert isinstance(importers.resnet(weights), Imported)


def test_a_generator_that_ours_cannot_be_is_refused_with_the_reason() -> None:
    weights = layout(down=True, up=True)
    odd = dict(weights) | {"model.7.filt": torch.ones(8, 1, 3, 3) / 9}
    with pytest.raises(TranslateError, match=r"model\.7\.filt \(8, 1, 3, 3\) is no blur"):
        importers.resnet(odd)
    with pytest.raises(TranslateError, match=r"model\.1\.gain is in no such network"):
        importers.resnet(dict(weights) | {"model.1.gain": torch.ones(1)})
    fewer = {key: tensor for key, tensor in weights.items() if key != "model.12.conv_block.1.bias"}
    with pytest.raises(TranslateError, match="it has 23 tensors where such a network has 24"):
        importers.resnet(fewer)
