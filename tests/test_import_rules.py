"""Imports point inwards: plugins know the host, the host knows no plugin, nothing knows the CLI."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = [
    ROOT / "translate",
    *sorted(path for path in (ROOT / "plugins").glob("translate_*")),
    *sorted(path for path in (ROOT / "datasets").glob("translate_*")),
]
FILES = {
    ".".join(path.relative_to(package.parent).with_suffix("").parts): path
    for package in PACKAGES
    for path in package.rglob("*.py")
}


def imports(source: str, module: str, *, package: bool = False) -> Iterator[str]:
    """Yield the full names of what a module imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level + package or None] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imports_of(module: str) -> set[str]:
    path = FILES[module]
    return set(imports(path.read_text(), module.removesuffix(".__init__")))


def below(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def test_imports_are_found_wherever_they_are() -> None:
    source = "import a.b\ndef f():\n    from c import d\nif 1:\n    from . import e\n"
    assert set(imports(source, "p.q")) == {"a.b", "c.d", "p.e"}


def test_there_is_something_to_check() -> None:
    assert {"translate.host", "translate.cli.group"} <= FILES.keys()
    assert any(below(name, "translate_datasets") for name in FILES)


@pytest.mark.parametrize("module", FILES)
def test_modules_import_inwards(module: str) -> None:
    for name in imports_of(module):
        if below(module, "translate"):
            root = name.partition(".")[0]
            assert not root.startswith("translate_"), f"{module} knows the plugin {root}"
        if not below(module, "translate.cli", "translate.__main__"):
            assert not below(name, "translate.cli"), f"{module} knows the command line"


@pytest.mark.parametrize(
    "module", [name for name in FILES if below(name, "translate.networks", "translate.losses")]
)
def test_networks_and_losses_stand_on_torch_alone(module: str) -> None:
    allowed = ["torch", "translate.networks", "translate.losses", "translate.errors"]
    allowed.append("translate.runtime")  # which stands on torch alone, too
    for name in imports_of(module):
        if name.partition(".")[0] not in sys.stdlib_module_names:
            assert below(name, *allowed), f"{module} imports {name}"


def test_our_plugins_hooks_import_nothing_heavy() -> None:
    ours = importlib.metadata.distribution("image-translate").entry_points
    modules = [point.module for point in ours if point.group == "translate"]
    assert modules
    code = f"import sys, {', '.join(modules)}\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})
