"""The public names: each is stated with its arguments, and plugins use no other."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from signatures import arguments
from test_plugin_docs import page_files
from translate import scaffold

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "api.md").read_text()
SURFACE = {
    name: set(importlib.import_module(name).__all__)
    for name in (
        "translate",
        "translate.hookspecs",
        "translate.losses",
        "translate.networks",
        "translate.pipeline",
        "translate.testing",
    )
}
# What is of somebody else's making, or has no arguments that could be named.
_BARE = {"hookimpl", "TranslateError", "UsageError", "ImageError"}


def stated(module: str) -> list[str]:
    """Return the names that the page lists for a module, with their arguments."""
    _, _, after = PAGE.partition(f"\n## `{module}`\n")
    return re.findall(r"^\| `([^`]+)` \|", after.partition("\n## ")[0], re.M)


def as_stated(module: str, name: str) -> str:
    thing: Any = getattr(importlib.import_module(module), name)
    if name.startswith("Register"):
        thing = thing.__call__
    bare = name in _BARE or not (inspect.isclass(thing) or inspect.isroutine(thing))
    return name if bare else name + arguments(thing)


@pytest.mark.parametrize("module", SURFACE)
def test_the_page_states_the_surface_as_it_is(module: str) -> None:
    assert sorted(stated(module)) == sorted(as_stated(module, n) for n in SURFACE[module])


def test_the_page_states_no_other_modules() -> None:
    assert re.findall(r"^## `([^`]+)`$", PAGE, re.M)[0] == "translate"
    assert set(re.findall(r"^## `([^`]+)`$", PAGE, re.M)) == set(SURFACE)


@pytest.mark.parametrize("module", SURFACE)
def test_everything_public_is_there_and_says_what_it_is(module: str) -> None:
    for name in SURFACE[module]:
        thing = getattr(importlib.import_module(module), name)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            assert inspect.getdoc(thing) or name.startswith("Register"), f"{module}.{name}"


def foreign(source: str) -> Iterator[str]:
    """Yield what a source imports of translate beyond the surface."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("translate.") and alias.name not in SURFACE:
                    yield alias.name
        elif isinstance(node, ast.ImportFrom) and not node.level:
            module = node.module or ""
            if module.partition(".")[0] != "translate":
                continue
            for alias in node.names:
                known = f"{module}.{alias.name}" in SURFACE or alias.name in SURFACE.get(module, ())
                if not known:
                    yield f"{module}.{alias.name}"


def test_imports_beyond_the_surface_are_noticed() -> None:
    for source in (
        "import translate.bundle",
        "from translate.bundle import load_model",
        "from translate import bundle",
        "from translate import host as h",
        "def f():\n    from translate.networks.resnet import ResnetGenerator",
        "from translate.losses import *",
    ):
        assert list(foreign(source)), source
    for source in (
        "import translate\nimport translate.losses",
        "from translate import Method, networks",
        "from translate_other import thing\nfrom . import method",
    ):
        assert not list(foreign(source)), source


PLUGINS = [
    path
    for pattern in ("plugins/translate_*", "datasets/translate_*", "examples/translate-*")
    for folder in ROOT.glob(pattern)
    for path in sorted(folder.rglob("*.py"))
]


def test_there_are_plugins_to_look_at() -> None:
    assert {"plugins", "datasets"} <= {path.relative_to(ROOT).parts[0] for path in PLUGINS}


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: str(path.relative_to(ROOT)))
def test_plugins_stand_on_the_surface_alone(path: Path) -> None:
    assert list(foreign(path.read_text())) == []


@pytest.mark.parametrize("files", [scaffold.package_files("owl"), page_files()])
def test_new_plugins_and_the_tutorial_stand_on_it_too(files: dict[str, str]) -> None:
    sources = {place: text for place, text in files.items() if place.endswith(".py")}
    assert len(sources) >= 3
    for place, text in sources.items():
        assert list(foreign(text)) == [], place
