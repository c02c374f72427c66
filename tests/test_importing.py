"""Other projects' checkpoints become models, and no code in them is run."""

from __future__ import annotations

import argparse
import pickle
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file
from torch import Tensor

from translate.bundle import load_bundle
from translate.cli.group import cli
from translate.importing import read_checkpoint, unwrap
from translate.model import read_header

FakePlugin = Callable[..., str]

HOOKS = """
@hookimpl
def register_methods(register):
    net = __name__ + "_net:Gain"
    register(name="gain", summary="s", source="image", data="unpaired", factory=net)

@hookimpl
def register_importers(register):
    register(name="odd", looks_for="nothing", factory=__name__ + "_net:fails")
    register(name="gains", looks_for="scale.weight (n, n, 1, 1)", factory=__name__ + "_net:read")
"""
NET = """
from torch import nn
from translate import Export, Imported, Method

class Gain(Method):
    def __init__(self, options, facts):
        super().__init__(options, facts)
        self.net = nn.Conv2d(3, 3, 1)

    def phases(self):
        return []

    def exports(self):
        return {"forth": Export(self.net, {"image": "a"}, mode=("RGB", "L"))}

    def translate(self, network, source):
        return network(source["image"])

def fails(tensors):
    raise KeyError("not mine")

def read(tensors):
    if "scale.weight" not in tensors:
        return None
    weights = {key.removeprefix("scale."): tensor for key, tensor in tensors.items()}
    return Imported("gain", {}, "forth", weights, working_size=64, notes="a guess")
"""


@pytest.fixture
def gain(fake_plugin: FakePlugin) -> dict[str, Tensor]:
    """Install a plugin with a method and its importer; return the weights of one network."""
    fake_plugin(HOOKS, net=NET)
    return {"scale.weight": torch.rand(3, 3, 1, 1), "scale.bias": torch.rand(3)}


def run(file: Path, *more: str) -> Result:
    return CliRunner().invoke(cli, ["import", str(file), "--name", "mine", *more])


def test_a_checkpoint_becomes_a_model(gain: dict[str, Tensor], tmp_path: Path, home: Path) -> None:
    torch.save({"epoch": 3, "state_dict": gain}, tmp_path / "net.pth")
    result = run(tmp_path / "net.pth", "--licence", "CC0")
    assert result.exit_code == 0, result.output
    assert "gains (plugin other)" in result.stderr
    path = home / "models" / "mine.safetensors"
    header = read_header(path)
    assert (header.method, header.export, header.working_size) == ("gain", "forth", 64)
    assert (header.reads, header.mode) == (("image",), ("RGB", "L"))
    assert (header.card.licence, header.card.notes) == ("CC0", "a guess")
    assert header.card.summary == "imported from net.pth"
    network = load_bundle(path).network
    assert torch.equal(network.state_dict()["weight"], gain["scale.weight"])


def test_safetensors_are_read_and_half_halves(
    gain: dict[str, Tensor], tmp_path: Path, home: Path
) -> None:
    save_file(gain, tmp_path / "net.safetensors")
    assert run(tmp_path / "net.safetensors", "--half").exit_code == 0
    stored = load_file(home / "models" / "mine.safetensors")
    assert stored["weight"].dtype == torch.float16


def test_half_refuses_what_16_bits_cannot_hold(gain: dict[str, Tensor], tmp_path: Path) -> None:
    gain["scale.bias"][0] = 1e6
    torch.save(gain, tmp_path / "net.pth")
    result = run(tmp_path / "net.pth", "--half")
    assert result.exit_code == 2
    assert "bias holds values beyond" in result.stderr


def test_a_bundle_from_elsewhere_is_installed(
    gain: dict[str, Tensor], tmp_path: Path, home: Path
) -> None:
    torch.save(gain, tmp_path / "net.pth")
    path = home / "models" / "mine.safetensors"
    assert run(tmp_path / "net.pth").exit_code == 0
    path.rename(tmp_path / "bundle.safetensors")
    assert run(tmp_path / "bundle.safetensors", "--summary", "a gift").exit_code == 0
    assert read_header(path).card.summary == "a gift"
    assert torch.equal(load_file(path)["weight"], gain["scale.weight"])


def test_a_taken_name_is_refused_unless_told_otherwise(
    gain: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(gain, tmp_path / "net.pth")
    assert run(tmp_path / "net.pth").exit_code == 0
    again = run(tmp_path / "net.pth")
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    assert run(tmp_path / "net.pth", "--overwrite").exit_code == 0
    for name in ("train", "two words", "-x", "../up", ""):
        result = run(tmp_path / "net.pth", f"--name={name}")
        assert result.exit_code == 2, name
        assert "Traceback" not in result.output


def test_weights_that_do_not_fit_are_refused(
    gain: dict[str, Tensor], tmp_path: Path, home: Path
) -> None:
    torch.save({**gain, "scale.extra": torch.ones(1)}, tmp_path / "net.pth")
    result = run(tmp_path / "net.pth")
    assert result.exit_code == 1
    assert "extra" in result.stderr
    assert not list((home / "models").glob("*"))


def test_an_unknown_layout_says_what_was_looked_for(
    gain: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save({"conv.weight": torch.ones(2, 5)}, tmp_path / "net.pth")
    result = run(tmp_path / "net.pth")
    assert result.exit_code == 2
    assert "conv.weight (2, 5)" in result.stderr
    assert "gains: scale.weight (n, n, 1, 1)" in result.stderr
    assert "odd: failed: KeyError: 'not mine'" in result.stderr


class Opens:
    """A pickle that would create a file when it is loaded carelessly."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return open, (str(self.path), "w")


def test_code_in_a_checkpoint_is_not_run(gain: dict[str, Tensor], tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    torch.save({"state_dict": gain, "trap": Opens(trap)}, tmp_path / "net.pth")
    result = run(tmp_path / "net.pth")
    assert result.exit_code == 1
    assert "needs code to be read" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not trap.exists()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a PyTorch checkpoint, or damaged (EOFError)"),
        (pickle.dumps({"a": 1}, protocol=4), "not a PyTorch checkpoint"),
        (b"hello", "not a PyTorch checkpoint"),
        (b"PK\x03\x04" + b"\0" * 99, "not a PyTorch checkpoint"),
    ],
)
def test_a_file_of_another_kind_is_one_line(data: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = run(tmp_path / "net.pth")
    assert result.exit_code == 1
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("key", ["state_dict", "inner"])
def test_a_checkpoint_that_holds_itself_ends(key: str, tmp_path: Path) -> None:
    loaded: dict[str, object] = {"epoch": {"a": 1}}
    loaded[key] = loaded
    torch.save(loaded, tmp_path / "net.pth")
    result = run(tmp_path / "net.pth")
    assert result.exit_code == 1
    assert "holds no tensors by key, but a dict" in result.stderr


def test_a_safetensors_file_of_nothing_says_so(tmp_path: Path) -> None:
    save_file({}, tmp_path / "net.safetensors")
    result = run(tmp_path / "net.safetensors")
    assert result.exit_code == 1
    assert "holds no tensors" in result.stderr


def test_a_truncated_safetensors_file_says_so(gain: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(gain, tmp_path / "net.safetensors")
    whole = (tmp_path / "net.safetensors").read_bytes()
    (tmp_path / "net.safetensors").write_bytes(whole[:-4])
    assert "truncated" in run(tmp_path / "net.safetensors").stderr


def test_a_named_namespace_is_what_the_refusal_names(tmp_path: Path) -> None:
    torch.save({"args": argparse.Namespace(a=1)}, tmp_path / "net.pth")
    assert "argparse.Namespace" in run(tmp_path / "net.pth").stderr


ONE = torch.ones(1)


@pytest.mark.parametrize(
    ("loaded", "keys"),
    [
        ({"a.weight": ONE, "epoch": 3}, {"a.weight"}),
        ({"params": {"b": ONE}, "params_ema": {"a": ONE}}, {"a"}),
        ({"model": {"state_dict": {"a": ONE}}, "optimizer": {"state": {0: {"s": ONE}}}}, {"a"}),
        ({"anything": OrderedDict(a=ONE)}, {"a"}),
        ({"module.a": ONE, "module.b": ONE}, {"a", "b"}),
        ({"module.a": ONE, "b": ONE}, {"module.a", "b"}),
        ({"net": {"module.model.1.weight": ONE}}, {"model.1.weight"}),
        ({"netG": {"a": ONE}, "netD": {"a": ONE}}, {"netG.a", "netD.a"}),
        ({"model": ONE}, {"model"}),
        ([ONE], set()),
        (ONE, set()),
        ({}, set()),
    ],
)
def test_wrappers_are_taken_off(loaded: object, keys: set[str]) -> None:
    assert set(unwrap(loaded)) == keys


def test_the_average_is_preferred(tmp_path: Path) -> None:
    torch.save({"params": {"a": ONE}, "params_ema": {"a": ONE * 2}}, tmp_path / "net.pth")
    assert read_checkpoint(tmp_path / "net.pth")["a"].item() == 2
