"""Parameters of commands: types that complete in the shell, and seeds."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

import click
from click.shell_completion import CompletionItem
from click.types import StringParamType

from translate.host import the_host
from translate.registry import DatasetEntry, MeasureEntry, MethodEntry, ModelEntry

_SEEDS = 1_000_000  # to draw from: short enough to be typed


def chosen_seed(given: int | None) -> int:
    """Return the seed given, or a random one."""
    return secrets.randbelow(_SEEDS) if given is None else given


class ModelName(StringParamType):
    """The name of a model, or the path of a bundle; passed on as it was typed."""

    name = "model"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the models that begin with ``incomplete``, or else ask for files."""
        found = _beginning_with(incomplete, the_host().models)
        return found or [CompletionItem(incomplete, type="file")]


class MethodName(StringParamType):
    """The name of a method."""

    name = "method"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the methods that begin with ``incomplete``."""
        return _beginning_with(incomplete, the_host().methods)


class DatasetName(StringParamType):
    """The name of a reader of training data, or a kind of data."""

    name = "dataset"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the readers that begin with ``incomplete``."""
        return _beginning_with(incomplete, the_host().datasets)


class MeasureName(StringParamType):
    """The name of a measure."""

    name = "measure"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the measures that begin with ``incomplete``."""
        return _beginning_with(incomplete, the_host().measures)


class PluginName(StringParamType):
    """The name of a plugin."""

    name = "plugin"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the plugins that begin with ``incomplete``."""
        return [
            CompletionItem(name, help=", ".join(status.brings))
            for name, status in the_host().plugins.items()
            if name.startswith(incomplete)
        ]


def _beginning_with(
    incomplete: str,
    entries: Mapping[str, ModelEntry | MethodEntry | DatasetEntry | MeasureEntry],
) -> list[CompletionItem]:
    return [
        CompletionItem(name, help=entry.summary)
        for name, entry in entries.items()
        if name.startswith(incomplete)
    ]
