"""``translate plugins``: what is installed, and the commands for those who write plugins."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import asdict

import click

from translate.cli.tables import print_json, print_table
from translate.host import the_host

# Where each subcommand is, below translate.cli, and what the help says of it.
COMMANDS = {
    "check": ("plugins_check:check", "Check what plugins bring against the contract."),
    "new": (
        "plugins_new:new",
        "Write a new plugin with a method called NAME: the package translate-NAME.",
    ),
}


class PluginCommands(click.Group):
    """Imports a subcommand's module when it is used, so that the list stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the subcommands whose modules are there."""
        return [name for name, (where, _) in COMMANDS.items() if _is_there(where)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the subcommand of that name, importing its module."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(f"translate.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the subcommands into the help without importing them."""
        rows = [(name, COMMANDS[name][1]) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def _is_there(where: str) -> bool:
    return importlib.util.find_spec(f"translate.cli.{where.partition(':')[0]}") is not None


@click.group(cls=PluginCommands, invoke_without_command=True, subcommand_metavar="[COMMAND ...]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
@click.option("--check", is_flag=True, help="Exit with 1 if any plugin is broken.")
@click.pass_context
def plugins(ctx: click.Context, as_json: bool, check: bool) -> None:
    """List the plugins, and why one does not work."""
    if ctx.invoked_subcommand:
        return
    entries = the_host().plugins.values()
    if as_json:
        print_json([asdict(entry) for entry in entries])
    else:
        print_table(
            ("PLUGIN", "DISTRIBUTION", "STATE", "BRINGS"),
            [
                (e.name, f"{e.distribution} {e.version}", e.state, e.reason or ", ".join(e.brings))
                for e in entries
            ],
        )
    if check and any(entry.state == "broken" for entry in entries):
        ctx.exit(1)
