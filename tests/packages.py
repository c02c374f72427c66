"""Installing a package without an installer."""

from __future__ import annotations

import tomllib
from pathlib import Path


def install(project: Path, site: Path) -> None:
    """Do what ``pip install -e`` does: a dist-info folder and the package, both on the path."""
    about = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    info = site / f"{about['name'].replace('-', '_')}-{about['version']}.dist-info"
    info.mkdir(parents=True)
    lines = [f"{name} = {module}" for name, module in about["entry-points"]["translate"].items()]
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n"
    )
    (info / "entry_points.txt").write_text("\n".join(["[translate]", *lines, ""]))
