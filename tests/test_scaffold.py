"""A new plugin installs, passes its own tests and trains as it was written."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import translate
from packages import install
from translate import scaffold
from translate.cli.group import cli
from translate.errors import TranslateError, UsageError
from translate.host import Host

FakePlugin = Callable[..., str]

FILES = {
    ".github/workflows/test.yml",
    ".gitignore",
    "README.md",
    "pyproject.toml",
    "tests/test_night_owl.py",
    "translate_night_owl/__init__.py",
    "translate_night_owl/method.py",
}


def test_the_template_is_these_files() -> None:
    files = scaffold.package_files("night-owl")
    assert set(files) == FILES
    for path, text in files.items():
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path
        assert "NAME" not in path


def test_the_command_writes_them_and_says_what_is_next(tmp_path: Path) -> None:
    folder = tmp_path / "some" / "where"
    result = CliRunner().invoke(cli, ["plugins", "new", "night-owl", "--folder", str(folder)])
    assert result.exit_code == 0
    project = folder / "translate-night-owl"
    assert result.stdout == f"{project}\n"
    for said in ('pip install -e ".[test]"', "pytest", "translate train night-owl"):
        assert said in result.stderr
    assert [path.name for path in folder.iterdir()] == [project.name]
    written = {str(p.relative_to(project)): p for p in project.rglob("*") if p.is_file()}
    assert set(written) == FILES
    files = scaffold.package_files("night-owl")
    assert {place: path.read_text() for place, path in written.items()} == files


@pytest.mark.parametrize("name", ["x", "night-owl", "a" * 20, "-".join(["ab"] * 10), "batch"])
def test_new_packages_are_in_order(name: str, tmp_path: Path) -> None:
    project = scaffold.new_plugin(name, tmp_path)
    about = tomllib.loads((project / "pyproject.toml").read_text())
    module = f"translate_{name.replace('-', '_')}"
    assert about["project"]["entry-points"]["translate"] == {name: module}
    assert f"image-translate>={translate.__version__}" in about["project"]["dependencies"]
    ruff = pytest.importorskip("ruff", reason="ruff lints; install the test extra")
    rules = ("--select", "E,F,I,B,UP,SIM,RUF,C4,PIE,PT,RET")
    for words in (["check", *rules], ["format", "--check"]):
        command = [ruff.find_ruff_bin(), *words, "--no-cache", str(project)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_class_names_hide_nothing_that_the_templates_use() -> None:
    used: set[str] = set()
    for path, text in scaffold.package_files("owl").items():
        if path.endswith(".py") and "Owl" in text and "__init__" not in path:
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    used |= {alias.asname or alias.name for alias in node.names}
    own = {"Owl"}
    assert {name for name in used - own if name[0].isupper()} <= scaffold._TAKEN_CLASSES
    for name in ("batch", "none", "method", "true"):
        method = scaffold.package_files(name)[f"translate_{name}/method.py"]
        assert f"class {name.capitalize()}Method(Method[" in method
        ast.parse(method)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "lower-case words"),
        ("Owl", "lower-case words"),
        ("3d", "lower-case words"),
        ("night_owl", "lower-case words"),
        ("night--owl", "lower-case words"),
        ("../owl", "lower-case words"),
        ("owl\n", "lower-case words"),
        ("a" * 41, "at most"),
        ("translate-owl", "leave out 'translate-'"),
        ("cyclegan", "a plugin of that name is installed (image-translate)"),
        ("datasets", "a plugin of that name is installed"),
    ],
)
def test_bad_and_taken_names_are_refused(name: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        scaffold.new_plugin(name, tmp_path)
    assert says in str(error.value)
    assert list(tmp_path.glob("translate-[!h]*")) == []


def test_names_of_other_plugins_are_refused(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin(
        "@hookimpl\ndef register_methods(register):\n"
        "    register(name='owl', summary='s', source='image', data='d', factory='a:B')\n"
        "    raise ValueError",  # a broken plugin keeps its names, too: it may be mended
        name="birds",
    )
    with pytest.raises(UsageError, match="owl: plugin birds has a method of that name"):
        scaffold.new_plugin("owl", tmp_path)
    with pytest.raises(UsageError, match="birds: a plugin of that name"):
        scaffold.new_plugin("birds", tmp_path)
    (tmp_path / "site" / "translate_heron").mkdir()
    with pytest.raises(UsageError, match="there is a package translate_heron already"):
        scaffold.new_plugin("heron", tmp_path)


def test_what_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "translate-owl").mkdir()
    (tmp_path / "translate-crow").symlink_to(tmp_path / "nowhere")
    for name in ("owl", "crow"):
        with pytest.raises(UsageError, match="exists already"):
            scaffold.new_plugin(name, tmp_path)
    assert list((tmp_path / "translate-owl").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TranslateError, match="translate-owl: ") as error:
        scaffold.new_plugin("owl", tmp_path / "file" / "deeper")
    assert "\n" not in str(error.value)


def test_a_new_plugin_is_found_and_passes_its_own_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tests check the contract, train some images from the command line, and run the model."""
    project = scaffold.new_plugin("night-owl", tmp_path)
    site = tmp_path / "site"
    install(project, site)
    monkeypatch.syspath_prepend(project)
    monkeypatch.syspath_prepend(site)
    status = Host().plugins["night-owl"]
    assert (status.state, status.reason) == ("ok", "")
    assert status.brings == ("method night-owl",)

    before = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join(filter(None, [str(project), str(site), before]))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "2 passed" in done.stdout
