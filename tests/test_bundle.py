"""Bundles come back as they were written, and what is wrong with one is said in one line."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from torch import Tensor

from translate.bundle import half, load_bundle, load_model, rebuild, save_bundle
from translate.cli.group import cli
from translate.errors import BundleError, TranslateError
from translate.files import part_of
from translate.method import Batch
from translate.model import Card, Header, read_header
from translate.networks import ResnetGenerator

FakePlugin = Callable[..., str]

OPTIONS = {"widths": [4, 6, 8], "blocks": 3}
HEADER = Header(
    method="cyclegan",
    options=OPTIONS,
    export="b2a",
    working_size=64,
    card=Card(summary="a test", licence="CC0", training={"images": 3}),
)


@pytest.fixture
def network() -> ResnetGenerator:
    torch.manual_seed(0)
    return ResnetGenerator(widths=(4, 6, 8), blocks=3).eval()


@pytest.fixture
def path(tmp_path: Path, network: ResnetGenerator) -> Path:
    path = tmp_path / "model.safetensors"
    save_bundle(path, HEADER, network.state_dict())
    return path


def source() -> Batch:
    images = torch.rand(2, 3, 16, 20, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return Batch({"image": images}, torch.arange(2))


@torch.no_grad()
def test_a_bundle_comes_back_as_it_was_written(path: Path, network: ResnetGenerator) -> None:
    assert read_header(path) == HEADER
    model = load_bundle(path)
    assert model.header == HEADER
    assert torch.equal(model(source()), network(source()["image"]))
    assert not model.network.training
    assert not any(parameter.requires_grad for parameter in model.network.parameters())
    assert model.fit.multiple_of == 4
    assert load_model(str(path)).header == HEADER


@torch.no_grad()
def test_fp16_halves_the_file_and_runs_in_fp32(path: Path, network: ResnetGenerator) -> None:
    small = path.with_name("half.safetensors")
    save_bundle(small, HEADER, half(network.state_dict()))
    assert {tensor.dtype for tensor in load_file(small).values()} == {torch.float16}
    out = load_bundle(small)(source())
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, network(source()["image"]), atol=2e-2, rtol=0)


def test_half_leaves_counts_alone() -> None:
    count = torch.tensor(3)
    assert half({"n": count})["n"] is count


def test_half_keeps_what_is_too_large_finite() -> None:
    large = half({"w": torch.tensor([1e6, -1e6, 1.0])})["w"]
    assert large.tolist() == [65504.0, -65504.0, 1.0]


def test_nothing_but_the_export_takes_memory(path: Path) -> None:
    method = load_bundle(path).method
    assert all(parameter.is_meta for parameter in method.get_submodule("a2b").parameters())
    assert not any(parameter.is_meta for parameter in method.get_submodule("b2a").parameters())


def test_a_header_alone_rebuilds_the_network() -> None:
    _, export = rebuild(HEADER, where="here")
    assert len(export.network.state_dict()) == 24


def rewrite(path: Path, **fields: Any) -> None:
    """Change fields of a bundle's header; a None takes the field away."""
    header = json.loads(HEADER.model_dump_json()) | fields
    kept = {name: value for name, value in header.items() if value is not None}
    save_file(load_file(path), path, {"translate": json.dumps(kept)})


def reweigh(path: Path, weights: Mapping[str, Tensor]) -> None:
    save_bundle(path, HEADER, weights)


def without(path: Path, *names: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in load_file(path).items() if name not in names}


STEM = "stages.stem.1.weight"
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "newer": (lambda p: rewrite(p, format=2), "format 2, .* upgrade"),
    "no format": (lambda p: rewrite(p, format=None), "not readable"),
    "format 0": (lambda p: rewrite(p, format=0), "bundle format 0"),
    "odd format": (lambda p: rewrite(p, format="1"), "bundle format 1"),
    "unknown method": (lambda p: rewrite(p, method="pix9"), "the method 'pix9', which no plugin"),
    "no method": (lambda p: rewrite(p, method=None), "wrong at method"),
    "unknown field": (lambda p: rewrite(p, colour=1), "wrong at colour"),
    "unknown export": (lambda p: rewrite(p, export="c2d"), "no export 'c2d'"),
    "unknown option": (lambda p: rewrite(p, options={"depth": 3}), "no option depth"),
    "odd option": (lambda p: rewrite(p, options={"blocks": -3}), "blocks: .*greater than"),
    "no channels": (lambda p: rewrite(p, facts={"channels": 0}), "wrong at facts.channels"),
    "other options": (lambda p: rewrite(p, options=OPTIONS | {"blocks": 4}), "lacks stages.*more"),
    "missing": (lambda p: reweigh(p, without(p, STEM)), f"the file lacks {STEM}$"),
    "surplus": (lambda p: reweigh(p, load_file(p) | {"x": torch.ones(1)}), "has surplus x$"),
    "shape": (lambda p: reweigh(p, load_file(p) | {STEM: torch.ones(4)}), f"shape for {STEM}$"),
    "type": (
        lambda p: reweigh(p, load_file(p) | {STEM: torch.ones(4, 3, 7, 7, dtype=torch.int64)}),
        f"type for {STEM}$",
    ),
    "truncated": (lambda p: p.write_bytes(p.read_bytes()[:-10]), r"truncated \([\d,]+ of [\d,]+ b"),
    "longer": (lambda p: p.write_bytes(p.read_bytes() + b"x"), "truncated|of .* bytes"),
    "cut early": (lambda p: p.write_bytes(p.read_bytes()[:50]), r"cut short \(50 bytes\)"),
    "empty": (lambda p: p.write_bytes(b""), r"not a safetensors file, or cut short \(0 bytes\)"),
    "text": (lambda p: p.write_text("hello\n" * 9), "not a safetensors file"),
    "folder": (lambda p: p.rename(p.parent / "old").parent.joinpath(p.name).mkdir(), "directory"),
    "no bundle": (lambda p: save_file({"a": torch.ones(1)}, p), "not a model of translate"),
    "garbage header": (lambda p: p.write_bytes(raw(b"{nonsense")), "not a safetensors file"),
    "list header": (lambda p: p.write_bytes(raw(b"[1, 2]")), "not a safetensors file"),
    "deep header": (lambda p: p.write_bytes(raw(b"[" * 10**6)), "not a safetensors file"),
    "odd metadata": (lambda p: p.write_bytes(raw(b'{"__metadata__":[]}')), "not a model"),
    "garbage description": (
        lambda p: save_file({"a": torch.ones(1)}, p, {"translate": "{oops"}),
        "description is not readable",
    ),
    "list description": (
        lambda p: save_file({"a": torch.ones(1)}, p, {"translate": "[]"}),
        "description is not readable",
    ),
}


def raw(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_bundle_is_one_clear_line(path: Path, damage: str) -> None:
    spoil, reason = DAMAGES[damage]
    spoil(path)
    with pytest.raises(BundleError, match=reason) as caught:
        load_bundle(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_bundle_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="No such file"):
        load_bundle(tmp_path / "none.safetensors")


def test_the_command_line_shows_no_traceback_either(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])
    result = CliRunner().invoke(cli, ["info", str(path)])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "truncated" in result.stderr


METHOD = """
import torch
from torch import nn
from translate import Export, Method

class Filter(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))
        self.register_buffer("kernel", torch.ones(3), persistent=PERSISTENT)

class Blur(Method):
    def __init__(self, options, facts):
        super().__init__(options, facts)
        self.net = Filter()

    def phases(self):
        return []

    def exports(self):
        return {"x": Export(self.net, {"image": "a"})}

    def translate(self, network, source):
        return network.gain * source["image"]
"""
HOOKS = """
@hookimpl
def register_methods(register):
    net = __name__ + "_net:Blur"
    register(name="blur", summary="s", source="image", data="unpaired", factory=net)
"""


@pytest.mark.parametrize("persistent", [True, False])
def test_a_buffer_that_no_file_fills_is_refused(
    fake_plugin: FakePlugin, tmp_path: Path, persistent: bool
) -> None:
    fake_plugin(HOOKS, net=METHOD.replace("PERSISTENT", str(persistent)))
    path = tmp_path / "blur.safetensors"
    weights = {"gain": torch.ones(1)} | ({"kernel": torch.ones(3)} if persistent else {})
    save_bundle(path, Header(method="blur", export="x"), weights)
    if persistent:
        assert load_bundle(path)(source()).shape == (2, 3, 16, 20)
    else:
        with pytest.raises(BundleError, match="nothing in the file gives kernel its values"):
            load_bundle(path)


def test_a_bundle_that_cannot_be_written_leaves_the_one_before(
    path: Path, network: ResnetGenerator
) -> None:
    before = path.read_bytes()
    part_of(path).mkdir()  # stands where the new file would grow
    with pytest.raises(TranslateError, match="cannot be written"):
        save_bundle(path, HEADER, half(network.state_dict()))
    assert path.read_bytes() == before
