"""Fixtures: a home of its own for every test, and third-party plugins that need no installer."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from translate.host import the_host

FakePlugin = Callable[..., str]

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the test an empty folder for the user's own models, and a host of its own."""
    folder = tmp_path / "translate-home"
    monkeypatch.setenv("TRANSLATE_HOME", str(folder))
    for name in ("TRANSLATE_DISABLE", "TRANSLATE_DEBUG", "TRANSLATE_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    the_host.cache_clear()
    yield folder
    the_host.cache_clear()


@pytest.fixture
def fake_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePlugin:
    """Return ``install(code, name="other", **modules)``, which installs a third-party plugin.

    A module and a dist-info folder on the path are all that an installed distribution is. The
    module's name is new each time, since Python keeps imported modules; it is returned.
    """
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)

    def install(code: str, name: str = "other", **modules: str) -> str:
        module = f"fake_plugin_{next(_numbers)}"
        (site / f"{module}.py").write_text(f"from translate import hookimpl\n{code}")
        for suffix, text in modules.items():
            (site / f"{module}_{suffix}.py").write_text(text)
        info = site / f"{module}-1.5.dist-info"
        info.mkdir()
        info.joinpath("METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.5\n"
        )
        info.joinpath("entry_points.txt").write_text(f"[translate]\n{name} = {module}\n")
        monkeypatch.syspath_prepend(site)  # so that the new files are seen
        the_host.cache_clear()
        return module

    return install
