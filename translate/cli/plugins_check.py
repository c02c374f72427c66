"""``translate plugins check``: the quick part of the conformance kit on what is installed."""

from __future__ import annotations

from dataclasses import asdict

import click

from translate.cli.parameters import PluginName
from translate.cli.tables import print_json
from translate.host import the_host


@click.command()
@click.argument("name", required=False, type=PluginName())
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
@click.pass_context
def check(ctx: click.Context, name: str | None, as_json: bool) -> None:
    """Check what plugins bring against the contract.

    Everything but training is tried, on the CPU and with default options. A plugin's own tests go
    further with translate.testing.check_method. The exit code is 1 if anything fails.
    """
    from translate.testing.installed import check_plugin

    host = the_host()
    if name is not None and name not in host.plugins:
        raise host.unknown("plugin", name, host.plugins)
    found = []
    for status in host.plugins.values():
        if name in (None, status.name):
            for finding in check_plugin(host, status):
                found.append(finding)
                if not as_json:
                    click.echo(f"{finding.plugin}: {finding.thing}: {finding.state}")
                    for note in finding.notes:
                        click.echo(f"    {note}")
    if as_json:
        print_json([asdict(finding) for finding in found])
    if any(finding.state == "failed" for finding in found):
        ctx.exit(1)
