"""Help, lists and completion answer at once, because they load nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = (
    *("torch", "torchvision", "kornia", "albumentations", "cv2", "numpy", "PIL", "rich"),
    *("pooch", "requests"),
)


def _loads(code: str, **environment: str) -> str:
    """Run code in a fresh Python and return which heavy modules it loaded."""
    after = f"\nimport sys\nprint(*sorted({set(HEAVY)} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code + after],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr.strip()


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["models"],
        ["methods"],
        ["datasets"],
        ["measures"],
        ["plugins"],
        ["evaluate", "-h"],
        ["models", "-h"],
        ["download", "-h"],
        ["walk", "-h"],
        ["export", "-h"],
        ["mix", "-h"],
    ],
    ids=" ".join,
)
def test_help_and_lists_load_nothing_heavy(words: list[str]) -> None:
    code = (
        "from translate.cli.group import cli\n"
        f"try: cli.main({words}, prog_name='translate')\n"
        "except SystemExit as end: assert not end.code, end.code"
    )
    assert _loads(code) == ""


def test_loading_the_plugins_loads_nothing_heavy() -> None:
    assert _loads("from translate.host import Host; host = Host(); list(host.models)") == ""


@pytest.mark.parametrize(
    ("words", "current"),
    [("translate ", 1), ("translate info ", 2), ("translate some-model ", 2)],
)
def test_completion_loads_nothing_heavy(words: str, current: int) -> None:
    code = (
        "from translate.cli.group import cli\n"
        "try: cli.main([], prog_name='translate')\n"
        "except SystemExit as end: assert not end.code, end.code"
    )
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(current)}
    assert _loads(code, _TRANSLATE_COMPLETE="bash_complete", **asked) == ""
