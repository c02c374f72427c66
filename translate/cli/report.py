"""What ``translate MODEL INPUT...`` says: lines or a bar on standard error, JSON on output."""

from __future__ import annotations

import json
import sys
from types import TracebackType
from typing import Any

import click

from translate.errors import UsageError
from translate.host import the_host
from translate.inference.plan import Item, Plan, show

_LISTED = 20  # failures repeated at the end


def input_of(item: Item) -> str:
    """Return an item's input for other programs: its path as it is, - for standard input, or
    the classes or prompts that were asked for."""
    source = item.source
    if source.requests:
        return ", ".join(dict.fromkeys(request.name for request in source.requests))
    return str(source.path) if source.path is not None else source.name


def output_of(item: Item) -> str:
    """Return an item's output for other programs: its path as it is, or - for standard output."""
    return "-" if item.output is None else str(item.output)


def refuse_what_does_not_fit_on_stdout(plan: Plan, *, as_json: bool) -> None:
    """Refuse a picture on standard output beside JSON, or on a terminal.

    Raises:
        UsageError: saying what to do instead.
    """
    if all(item.output is not None for item in plan.items):
        return
    if as_json:
        raise UsageError("--json and the picture would share standard output; give -o a file")
    if sys.stdout.isatty():
        raise UsageError("a picture would go to the terminal; give -o a file, or redirect it")


def print_plan(plan: Plan, *, as_json: bool) -> None:
    """Print what would be written, for ``--dry-run``."""
    for item in plan.items:
        if as_json:
            click.echo(json.dumps({**_named(item), "action": item.action}))
        else:
            click.echo(f"{item.source.name} -> {show(output_of(item))} ({item.action})")


def _named(item: Item) -> dict[str, str | int]:
    """Return an item's input and output for other programs, and where there is one, its seed."""
    seeds = [request.seed for request in item.source.requests[:1]]
    return {
        "input": input_of(item),
        **({"seed": seeds[0]} if seeds else {}),
        "output": output_of(item),
    }


class Report:
    """Says what becomes of each picture: a bar on a terminal, lines elsewhere, JSON if asked."""

    def __init__(
        self, plan: Plan, model: str, *, as_json: bool, quiet: bool, verbose: bool
    ) -> None:
        self.plan, self.model = plan, model
        self.as_json, self.quiet, self.verbose = as_json, quiet, verbose
        self.written = 0
        self.failures: list[str] = []
        self._total = len(plan.to_write)
        self._bar: Any = None

    def __enter__(self) -> Report:
        for note in self.plan.notes:
            self._note(note)
        for item in self.plan.existing:
            self._json(item, "skipped", None, 0.0)
        if self._total > 1 and not self.quiet:
            from translate.cli.progress import Counter

            self._bar = Counter(self._total)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()
        if kind is KeyboardInterrupt:
            click.echo(
                f"stopped after {self.written} of {self._total}; run the same command to go on",
                err=True,
            )

    def done(self, item: Item, error: str | None, seconds: float) -> None:
        """Say what became of one item, with the reason if it failed."""
        if error:
            self.failures.append(error)
            self._note(f"failed: {error}", always=True)
        else:
            self.written += 1
            the_host().notify(
                "image_translated",
                source=input_of(item),
                output=output_of(item),
                model=self.model,
                seconds=seconds,
            )
            if self.verbose:
                self._note(f"{item.source.name} -> {show(output_of(item))} ({seconds:.2f} s)")
        self._json(item, "failed" if error else "written", error, seconds)
        if self._bar:
            self._bar.advance(self.written, len(self.failures))

    def close(self) -> int:
        """Print the summary and return the exit code."""
        existed, failed = len(self.plan.existing), len(self.failures)
        left = self._total - self.written - failed
        parts = [f"{self.written} written"] if self.written or not existed else []
        if existed:
            parts.append(
                f"{existed} existed, perhaps made with other options (--overwrite redoes them)"
            )
        parts += [f"{failed} failed"] if failed else []
        parts += [f"{left} not begun"] if left else []
        if len(self.plan.items) > 1 or existed:
            for failure in self.failures[:_LISTED]:
                self._note(f"  {failure}")
            if failed > _LISTED:
                self._note(f"  and {failed - _LISTED} more")
            self._note(", ".join(parts))
        return 1 if failed else 0

    def _json(self, item: Item, status: str, error: str | None, seconds: float) -> None:
        if self.as_json:
            line = {
                **_named(item),
                "status": status,
                "error": error,
                "seconds": round(seconds, 3),
            }
            click.echo(json.dumps(line))

    def _note(self, text: str, *, always: bool = False) -> None:
        if not self.quiet or always:
            if self._bar:
                self._bar.print(text)
            else:
                click.echo(text, err=True)
