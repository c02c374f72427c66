"""The page for plugin authors: its code works as it stands, and its reference is complete."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import translate
from packages import install
from signatures import arguments, members
from translate import hookspecs, scaffold
from translate.cli.group import cli
from translate.host import Host, the_host

PAGE = (Path(__file__).parent.parent / "docs" / "plugins.md").read_text()
HOOKS = {
    name: spec
    for name, spec in vars(hookspecs).items()
    if inspect.isfunction(spec) and hasattr(spec, f"{hookspecs.GROUP}_spec")
}
CLASSES = [
    *("Method", "Latent", "Phase", "Optimizer", "Export", "Fit", "Batch", "Step", "Fixed"),
    *("Discriminator", "AdversarialOptions", "PatchGANOptions"),
    *("Settings", "Facts", "Dataset", "Imported", "Card"),
    *("EvaluationSet", "Case", "Measure", "Comparison", "Result"),
]


# A line that begins with the file's name, what else belongs to that paragraph, and the block.
_BLOCK = re.compile(r"^`([\w./]+)`(.*)\n(?:\S.*\n)*\n```python\n((?:(?!```).*\n)*)```$", re.M)


def page_files() -> dict[str, str]:
    """Return the files that the tutorial makes: later blocks replace, or are in addition."""
    files: dict[str, str] = {}
    for place, how, code in _BLOCK.findall(PAGE):
        files[place] = f"{files[place]}\n\n{code}" if "in addition" in how else code
    return files


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The tutorial's package, as ``plugins new`` writes it and the page changes it, installed."""
    folder = tmp_path_factory.mktemp("tutorial")
    with pytest.MonkeyPatch.context() as patch:
        the_host.cache_clear()
        project = scaffold.new_plugin("denoise", folder)
        for place, code in page_files().items():
            assert (project / place).parent.is_dir(), place
            (project / place).write_text(code)
        install(project, folder / "site")
        patch.syspath_prepend(project)
        patch.syspath_prepend(folder / "site")
        yield project
        for name in [name for name in sys.modules if name.startswith("translate_denoise")]:
            del sys.modules[name]


def test_every_block_of_python_belongs_to_a_file() -> None:
    assert set(page_files()) == {
        "translate_denoise/__init__.py",
        "translate_denoise/method.py",
        "translate_denoise/crisp.py",
        "translate_denoise/importers.py",
        "tests/test_denoise.py",
    }
    assert len(_BLOCK.findall(PAGE)) == PAGE.count("```python")


def test_the_tutorials_plugin_is_sound(tutorial: Path) -> None:
    status = Host().plugins["denoise"]
    assert (status.state, status.reason) == ("ok", "")
    assert status.brings == (
        "method denoise",
        "method denoise-crisp",
        "importer their-denoiser",
    )


@pytest.mark.parametrize("name", ["denoise", "denoise-crisp"])
def test_the_tutorials_methods_keep_the_contract(name: str, tutorial: Path) -> None:
    testing = pytest.importorskip("translate.testing")
    testing.check_method(Host().load_method(name), options={"width": 4})


def test_the_tutorials_method_trains_and_runs_and_is_imported(
    tutorial: Path, tmp_path: Path
) -> None:
    from PIL import Image

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(2):
        Image.linear_gradient("L").resize((40, 30 + number)).save(pictures / f"{number}.png")
    run, small = tmp_path / "run", ["width=4", "noise=0.3", "data.size=32", "data.load=36"]
    words = ["train", "denoise", "--data", str(pictures), "--out", str(run), "--name", "clean"]
    words += ["--images", "2", "--device", "cpu", "-q"]
    result = CliRunner().invoke(cli, [*words, *(w for s in small for w in ("--set", s))])
    assert result.exit_code == 0, result.output

    model = translate.load("clean", device="cpu")
    assert model(Image.new("RGB", (37, 21))).size == (37, 21)

    theirs = {f"net.{name}": t for name, t in model.model.network.state_dict().items()}
    torch.save(theirs, tmp_path / "theirs.pth")
    result = CliRunner().invoke(cli, ["import", str(tmp_path / "theirs.pth"), "--name", "again"])
    assert result.exit_code == 0, result.output
    assert "their-denoiser (plugin denoise)" in result.output


def test_the_commands_of_the_tutorial_exist() -> None:
    shell = "\n".join(re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S))
    used = set(re.findall(r"^translate (\w+)", shell, re.M)) - {"clean"}
    assert used == {"plugins", "train"}
    assert "translate plugins new denoise" in shell


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_described_with_its_arguments(name: str) -> None:
    section = _section(f"`{name}{arguments(HOOKS[name])}`")
    if not name.startswith("register_") or name == "register_commands":
        return
    protocol = inspect.get_annotations(HOOKS[name], eval_str=False)["register"]
    register = getattr(hookspecs, protocol).__call__
    assert f"`register{arguments(register)}`" in " ".join(section.split())
    for argument in list(inspect.signature(register).parameters)[1:]:
        if argument == "factory" or f"| `{argument}` |" in section:
            continue
        pytest.fail(f"docs/plugins.md: {name} does not describe {argument}")


@pytest.mark.parametrize("name", CLASSES)
def test_every_member_is_described_with_its_arguments(name: str) -> None:
    kind: Any = getattr(translate, name)
    section = _section(f"`{name}{arguments(kind)}`")
    rows = "\n".join(line.split(" | ")[0] for line in section.splitlines() if line[:1] == "|")
    for member in members(kind):
        assert f"`{member}`" in rows, f"docs/plugins.md: {name} lacks {member}"
    described = re.findall(r"`([^`]+)`", rows)
    assert set(described) == set(members(kind)), "docs/plugins.md describes what is not there"


def test_no_hook_is_described_that_is_not_there() -> None:
    part = PAGE[PAGE.index("\n## Hooks") : PAGE.index("\n## Classes")]
    assert set(re.findall(r"^### `(\w+)\(", part, re.M)) == set(HOOKS)


def _section(heading: str) -> str:
    """Return what stands under a heading of the page."""
    start = PAGE.find(f"\n### {heading}\n")
    if start < 0:
        pytest.fail(f"docs/plugins.md has no heading '### {heading}'")
    text = PAGE[start + 1 :]
    end = re.search(r"^##", text[3:], re.M)
    return text[: end.start() + 3] if end else text
