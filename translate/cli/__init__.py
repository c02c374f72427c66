"""The command line. It holds no logic of its own, and nothing else imports it."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the ``translate`` command and end the program with its exit code."""
    try:
        from translate.cli.group import cli

        cli.main(prog_name="translate")
    except KeyboardInterrupt:
        sys.exit(130)
