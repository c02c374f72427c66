"""The hooks, on one page: what a plugin may bring, and the events it may watch.

A plugin is a module named by an entry point of the group ``translate``. It imports ``hookimpl``
from ``translate``, implements any of these functions, and imports nothing heavy: what it registers
is plain data, and ``factory`` ("package.module:Name") names where the heavy class lives. The host
imports that only when it is used.

Every ``register`` is a callback of the host, which checks names, refuses duplicates and remembers
which plugin brought what. A plugin that fails in any way is taken out whole.

``contract = N`` in that module says which contract the plugin was written for; without it, 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pluggy

if TYPE_CHECKING:
    import click

# Grows with every hook, argument or name that a plugin can need and an older host lacks.
CONTRACT = 1

__all__ = [
    "RegisterCatalogue",
    "RegisterDataset",
    "RegisterImporter",
    "RegisterMeasure",
    "RegisterMethod",
    "RegisterModel",
    "hookimpl",
]

GROUP = "translate"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


class RegisterMethod(Protocol):
    def __call__(self, *, name: str, summary: str, source: str, data: str, factory: str) -> None:
        """Add a method.

        Args:
            name: what the user types after ``translate train``.
            summary: one line for ``translate methods``.
            source: what its models translate from: "image", "text", "class" or "noise".
            data: the kind of dataset it trains on: "unpaired", "paired", ...
            factory: "package.module:Class", a subclass of ``translate.Method``.
        """


class RegisterModel(Protocol):
    def __call__(self, *, name: str, method: str, summary: str, file: str) -> None:
        """Add a trained model.

        Args:
            name: what the user types after ``translate``.
            method: the method its bundle names, for lists.
            summary: one line for ``translate models``.
            file: the bundle, relative to the folder of the plugin's module.
        """


class RegisterCatalogue(Protocol):
    def __call__(self, *, file: str) -> None:
        """Add the models that a catalogue lists: published elsewhere, downloaded when first used.

        Args:
            file: the catalogue, in TOML, relative to the folder of the plugin's module: a table
                for each model, with its method, summary, urls, sha256, size, licence and source.
        """


class RegisterDataset(Protocol):
    def __call__(self, *, name: str, kind: str, summary: str, factory: str) -> None:
        """Add a reader of training data.

        Args:
            name: what ``--dataset`` takes.
            kind: the kind of sample it gives; a method names the kind it trains on.
            summary: one line for ``translate datasets``.
            factory: "package.module:Class", a subclass of ``translate.Dataset``.
        """


class RegisterImporter(Protocol):
    def __call__(self, *, name: str, looks_for: str, factory: str) -> None:
        """Add a reader of another project's checkpoints.

        Args:
            name: the layout, as its own project calls it.
            looks_for: the keys and shapes it goes by, for the message when no importer matches.
            factory: "package.module:function" that takes a checkpoint's tensors by key and
                returns a ``translate.Imported``, or None when the file is not of this layout.
        """


class RegisterMeasure(Protocol):
    def __call__(self, *, name: str, summary: str, compares: str, factory: str) -> None:
        """Add a measure of how good a model is.

        Args:
            name: what ``translate evaluate --measure`` takes.
            summary: one line for ``translate measures``.
            compares: "pairs": each output with its own target; "sets": all outputs with real
                pictures that they should be like; "classes": with those of the class asked for;
                "captions": with captions, and with real pictures that have some.
            factory: "package.module:Class", a subclass of ``translate.Measure``.
        """


@hookspec
def register_methods(register: RegisterMethod) -> None:
    """Add methods: ways to train and run generators."""


@hookspec
def register_models(register: RegisterModel) -> None:
    """Add models: trained weights that come with the plugin."""


@hookspec
def register_catalogues(register: RegisterCatalogue) -> None:
    """Add catalogues: models that are published elsewhere and downloaded when first used."""


@hookspec
def register_datasets(register: RegisterDataset) -> None:
    """Add readers of training data."""


@hookspec
def register_importers(register: RegisterImporter) -> None:
    """Add readers of other projects' checkpoints."""


@hookspec
def register_measures(register: RegisterMeasure) -> None:
    """Add measures of how good a model is."""


@hookspec
def register_commands(cli: click.Group) -> None:
    """Add commands with ``cli.command`` or ``cli.add_command``; none may replace another."""


@hookspec
def training_started(run: Path, method: str, options: Mapping[str, object], images: int) -> None:
    """A training begins in the folder ``run``, or goes on after ``images`` training images."""


@hookspec
def training_logged(run: Path, images: int, scalars: Mapping[str, float]) -> None:
    """A line was logged after ``images`` training images."""


@hookspec
def training_alarmed(run: Path, images: int, alarm: str, text: str) -> None:
    """Something looks wrong: ``text`` says in one sentence what, and what usually helps."""


@hookspec
def samples_saved(run: Path, path: Path, images: int) -> None:
    """A sample grid, a PNG, is safely on disk."""


@hookspec
def training_ended(run: Path, images: int) -> None:
    """The training in the folder ``run`` is over: it is done, was stopped, or failed."""


@hookspec
def checkpoint_saved(run: Path, path: Path, images: int) -> None:
    """A checkpoint is safely on disk."""


@hookspec
def image_translated(source: str, output: str, model: str, seconds: float) -> None:
    """An output is safely on disk (or on standard output, then ``output`` is "-")."""
