"""``translate plugins``: what is installed, and the commands for those who write plugins."""

from __future__ import annotations

from dataclasses import asdict

import click

from translate.cli.lazy import LazyGroup
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


@click.group(
    cls=LazyGroup,
    places=COMMANDS,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND ...]",
)
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
