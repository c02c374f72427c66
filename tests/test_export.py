"""Exported models: bundles to pass on, and ONNX that gives what PyTorch gives."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

import translate
from latents import CLASSES, save_latent
from translate import Facts
from translate.bundle import load_model, save_bundle
from translate.cli.group import cli
from translate.host import the_host
from translate.model import Card, Header, read_header
from translate.options import build

FakePlugin = Callable[..., str]

torch.set_num_threads(1)

MISSING = [m for m in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(m) is None]
needs_onnx = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

Options = dict[str, Any]
PIX2PIX: Options = {"width": 4, "halvings": 3}
COMPACT: Options = {"network": "compact", "width": 4, "blocks": 1, "scale": 2, "base": "bicubic"}
# A model of each kind, as small as they go.
KINDS: dict[str, tuple[str, Options, Options]] = {
    "instance norm": ("cyclegan", {"width": 4, "blocks": 3}, {}),
    "batch norm": ("pix2pix", PIX2PIX, {"channels": 1, "channels_out": 3}),
    "Lab": ("colorize", {"width": 4, "halvings": 2, "fold": 2, "spacing": 60}, {}),
    "bicubic base": ("srgan", COMPACT, {}),
}
SETTINGS: dict[str, Options] = {"pix2pix": {"deterministic": True}}


def save_model(path: Path, method: str, options: Options | None = None, **facts: Any) -> Path:
    """Write a model with random weights that make pictures of some contrast."""
    kind = the_host().load_method(method)
    torch.manual_seed(0)
    made = kind(build(kind.Options, options or {}, what=method), Facts(**facts))
    name, export = next(iter(made.exports().items()))
    with torch.no_grad():
        for weight in export.network.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 2 / weight[0].numel() ** 0.5)
    header = Header(
        method=method,
        options=made.options.model_dump(mode="json"),
        facts=made.facts,
        export=name,
        reads=tuple(export.reads),
        mode=export.mode,
        working_size=32,
        card=Card(summary="a small one", licence="CC0", source="a test"),
    )
    save_bundle(path, header, export.network.state_dict())
    return path


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["export", *map(str, words)])


def exported(model: Path, *more: str) -> Path:
    file = model.with_suffix(".onnx")
    result = run(model, file, *more)
    assert result.exit_code == 0, result.output
    return file


def outputs(file: Path, **inputs: Any) -> torch.Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    [made] = session.run(["output"], {name: x.numpy() for name, x in inputs.items()})
    return torch.from_numpy(made)


@needs_onnx
@pytest.mark.parametrize("kind", KINDS)
def test_onnx_gives_what_the_model_gives(kind: str, tmp_path: Path) -> None:
    method, options, facts = KINDS[kind]
    model = save_model(tmp_path / "m.safetensors", method, options, **facts)
    settings = SETTINGS.get(method, {})
    said = [f"--set={name}={json.dumps(value)}" for name, value in settings.items()]
    file = exported(model, *said)
    translated = translate.load(model, settings=settings, precision="fp32", size="native")
    for count, height, width in ((2, 45, 38), (1, 5, 70), (3, 64, 64)):
        image = torch.rand(count, facts.get("channels", 3), height, width)
        wanted = (translated(image * 2 - 1) + 1) / 2
        assert wanted.std() > 0.05  # else anything would do
        made = outputs(file, image=image)
        assert made.shape == wanted.shape
        assert (made - wanted).abs().max() < 1e-4
    check_what_it_says(file, model)


def check_what_it_says(file: Path, model: Path) -> None:
    """Hold an exported file to what its model says, and to saying nothing of this machine."""
    import onnx

    data = file.read_bytes()
    proto = onnx.load_from_string(data)
    onnx.checker.check_model(proto, full_check=True)
    said = {entry.key: entry.value for entry in proto.metadata_props}
    header = read_header(model)
    assert Header.model_validate_json(said["translate"]) == header
    assert said["name"] == "m"
    assert (said["summary"], said["licence"], said["source"]) == ("a small one", "CC0", "a test")
    assert said["working_size"] == "32"
    [taken, given] = [said["image"], said["output"]]
    if header.method == "srgan":
        assert said["scale"] == "2"
        assert taken == "(batch, 3, height, width) float32, RGB in [0, 1]"
        assert given == "(batch, 3, 2*height, 2*width) float32, RGB in [0, 1]"
    if header.method == "pix2pix":
        assert taken == "(batch, 1, height, width) float32, L in [0, 1]"
        assert given == "(batch, 3, height, width) float32, RGB in [0, 1]"
        assert json.loads(said["settings"]) == {"deterministic": True}
    for place in (file.parent, Path(translate.__file__).parent, Path(torch.__file__).parent):
        assert str(place).encode() not in data
    assert b".py" not in data


@needs_onnx
@pytest.mark.parametrize("method", ["cgan", "gan"])
def test_codes_and_classes_are_inputs(method: str, tmp_path: Path) -> None:
    import onnxruntime

    path = save_latent(tmp_path / "m.safetensors", method)
    file = exported(path)
    model = translate.Generator(load_model(str(path)), device="cpu")
    classes = torch.tensor([2, 0, 1, 2] if method == "cgan" else [0] * 4)
    requests = [
        model.request(CLASSES[number] if method == "cgan" else None, seed)
        for seed, number in enumerate(classes.tolist())
    ]
    codes, conditions = model.encode(model.batch(requests))
    given = {"codes": codes} | ({"class": classes} if method == "cgan" else {})
    session = onnxruntime.InferenceSession(file.read_bytes())
    assert [one.name for one in session.get_inputs()] == list(given)
    wanted = (model.decode(codes, conditions) + 1) / 2
    assert (outputs(file, **given) - wanted).abs().max() < 1e-4


@needs_onnx
def test_what_depends_on_chance_is_refused(tmp_path: Path) -> None:
    model = save_model(tmp_path / "m.safetensors", "pix2pix", PIX2PIX)
    result = run(model, tmp_path / "m.onnx")
    assert result.exit_code == 2
    assert "chance" in result.stderr
    assert "translate methods pix2pix" in result.stderr
    assert not (tmp_path / "m.onnx").exists()


ODD = """
@hookimpl
def register_methods(register):
    net = __name__ + "_net:Odd"
    register(name="odd", summary="s", source="image", data="unpaired", factory=net)
"""
ODD_NET = """
import torch
from torch import nn
from translate import Export, Method

class Odd(Method):
    def __init__(self, options, facts):
        super().__init__(options, facts)
        self.net = nn.Conv2d(3, 3, 1)

    def phases(self):
        return []

    def exports(self):
        return {"forth": Export(self.net, {FIELD: "a"})}

    def translate(self, network, source):
        x = source["image"]
        BODY
"""


def odd_model(fake_plugin: FakePlugin, path: Path, body: str, field: str = "image") -> Path:
    """Install a method that translates by ``body``, and write a model of it."""
    fake_plugin(ODD, net=ODD_NET.replace("BODY", body).replace("FIELD", repr(field)))
    return save_model(path, "odd")


@needs_onnx
def test_a_graph_that_gives_other_pictures_is_not_written(
    fake_plugin: FakePlugin, tmp_path: Path
) -> None:
    body = "return network(x) / 8 + 0.01 * torch.compiler.is_exporting()"
    model = odd_model(fake_plugin, tmp_path / "m.safetensors", body)
    file = tmp_path / "m.onnx"
    result = run(model, file)
    assert result.exit_code == 1
    assert "differ from PyTorch's by 5.0e-03" in result.stderr
    assert sorted(tmp_path.glob("m.*")) == [model]
    file.write_text("what was there before")
    assert run(model, file, "--overwrite").exit_code == 1
    assert file.read_text() == "what was there before"


@needs_onnx
@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ("return network(x) if x.mean() > 5 else network(x)", "image", "cannot be exported"),
        ("return network(x)", "text", "starts from text"),
    ],
)
def test_what_no_graph_can_do_is_said_in_one_line(
    body: str, field: str, reason: str, fake_plugin: FakePlugin, tmp_path: Path
) -> None:
    model = odd_model(fake_plugin, tmp_path / "m.safetensors", body, field)
    result = run(model, tmp_path / "m.onnx")
    assert result.exit_code in (1, 2)
    assert reason in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert len(result.stderr) < 500
    assert not (tmp_path / "m.onnx").exists()


def test_without_the_extra_its_name_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    model = save_latent(tmp_path / "m.safetensors", "gan")
    result = run(model, tmp_path / "m.onnx")
    assert result.exit_code == 2
    assert "onnxruntime; pip install 'image-translate[onnx]'" in result.stderr


def test_a_bundle_is_copied_whole_and_its_terms_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("horse2zebra")
    assert result.exit_code == 0, result.output
    original = the_host().model("horse2zebra").path
    assert Path("horse2zebra.safetensors").read_bytes() == original.read_bytes()
    assert read_header(original).card.licence in result.stderr
    assert not list(tmp_path.glob(".*"))


def test_what_is_there_is_replaced_only_when_told(tmp_path: Path) -> None:
    model = save_latent(tmp_path / "m.safetensors", "gan")
    file = tmp_path / "deeper" / "copy.safetensors"
    assert run(model, file).exit_code == 0
    file.write_text("mine")
    result = run(model, file)
    assert result.exit_code == 2
    assert "--overwrite" in result.stderr
    assert file.read_text() == "mine"
    assert run(model, file, "--overwrite").exit_code == 0
    assert file.read_bytes() == model.read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("copy.zip",), ".safetensors or .onnx"),
        (("copy.onnx", "--to", "bundle"), ".safetensors"),
        (("copy.safetensors", "--to", "onnx"), ".onnx"),
        (("copy.safetensors", "--set", "a=1"), "--set"),
        (("folder.onnx",), "is a folder"),
    ],
)
def test_contradictions_are_refused(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.onnx").mkdir()
    model = save_latent(tmp_path / "m.safetensors", "gan")
    result = run(model, *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.onnx", "m.safetensors"]


def test_a_damaged_bundle_is_not_passed_on(tmp_path: Path) -> None:
    model = save_latent(tmp_path / "m.safetensors", "gan")
    model.write_bytes(model.read_bytes()[:-1])
    result = run(model, tmp_path / "copy.safetensors")
    assert result.exit_code == 1
    assert "truncated" in result.stderr
    assert not (tmp_path / "copy.safetensors").exists()
