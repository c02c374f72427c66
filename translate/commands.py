"""The click group that plugins add their commands to."""

from __future__ import annotations

import click

from translate.registry import Contribution


class GuardedGroup(click.Group):
    """Collects one plugin's commands; none replaces another, which click's own group allows."""

    def __init__(self, brought: Contribution) -> None:
        super().__init__("translate")
        self._brought = brought

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Take in ``cmd``, unless its name is taken."""
        self._brought.register_command(name or cmd.name or "", cmd)
        super().add_command(cmd, name)
