"""What is installed: our packages, under our names, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from this working tree without the network."""
    pytest.importorskip("hatchling", reason="hatchling builds the wheel; install the test extra")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_every_top_level_name_is_ours(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert "translate" in tops
    assert all(top.startswith(("translate", "image_translate")) for top in tops), tops


def test_types_and_licence_are_in_it(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert "translate/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_every_plugin_that_is_declared_is_in_it(wheel: zipfile.ZipFile) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = wheel.namelist()
    for module in project["entry-points"]["translate"].values():
        assert f"{module}/__init__.py" in names


def test_every_plugin_in_the_tree_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    folders = [*ROOT.glob("plugins/translate_*/"), *ROOT.glob("datasets/translate_*/")]
    declared = set(project["entry-points"]["translate"].values())
    assert {folder.name for folder in folders} == declared


def test_every_file_of_ours_is_in_it(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    for root in (ROOT, ROOT / "plugins", ROOT / "datasets"):
        for package in root.glob("translate*"):
            files = [path for path in package.rglob("*.py") if "__pycache__" not in path.parts]
            assert files
            assert {str(path.relative_to(root)) for path in files} <= names


def test_the_templates_of_new_plugins_are_in_it(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    templates = [path for path in (ROOT / "translate" / "templates").rglob("*") if path.is_file()]
    assert any(".github" in path.parts for path in templates)  # hidden folders are easily lost
    assert {str(path.relative_to(ROOT)) for path in templates} <= names
