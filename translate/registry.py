"""What plugins bring: plain data, checked as it comes in, that names where the heavy code lives."""

from __future__ import annotations

import importlib
import operator
import re
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from translate.errors import TranslateError
from translate.home import downloads_folder, models_folder
from translate.model import SUFFIX
from translate.zoo.catalogue import Published, read_catalogue

if TYPE_CHECKING:
    import click

    from translate.dataset import Dataset
    from translate.evaluation.measure import Measure
    from translate.method import Method

# Words that no model and no plugin's command may take: the built-in commands, and a few that may
# become one.
BUILT_IN = (
    *("run", "walk", "mix", "train", "evaluate", "report"),
    *("models", "methods", "datasets", "measures", "plugins"),
    *("info", "download", "export", "import", "remove"),
)
RESERVED = frozenset([*BUILT_IN, "benchmark", "help", "new", "version"])
SOURCES = ("image", "text", "class", "noise")
COMPARES = ("pairs", "sets", "classes", "captions")

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_FACTORY = re.compile(r"\w+(\.\w+)*:\w+(\.\w+)*")


class PluginError(TranslateError):
    """A plugin cannot be used; the text says why, in one line."""


@dataclass(frozen=True)
class MethodEntry:
    """A way to train and run generators."""

    name: str
    summary: str
    source: str
    data: str
    factory: str
    plugin: str

    def load(self) -> type[Method[Any]]:
        """Return the method's class; this imports torch."""
        from translate.method import Method

        method: type[Method[Any]] = _load_class(self.factory, Method, plugin=self.plugin)
        return method


@dataclass(frozen=True)
class ModelEntry:
    """A trained model: a bundle that a plugin brought, or the user's own (``plugin`` is None).

    Of one that a plugin's catalogue lists, ``path`` is where the download is, or will be.
    """

    name: str
    method: str
    summary: str
    path: Path
    plugin: str | None = None
    problem: str = ""  # why its file cannot be read
    published: Published | None = None  # what its catalogue says

    @property
    def kind(self) -> Literal["bundled", "own", "downloaded", "available", "file"]:
        """Say where it is: with a plugin, in a folder of the user's, not here yet, or elsewhere."""
        if self.published is not None:
            return "downloaded" if self.path.is_file() else "available"
        if self.plugin is not None:
            return "bundled"
        folders: dict[Path, Literal["own", "downloaded"]] = {
            models_folder(): "own",
            downloads_folder(): "downloaded",
        }
        return folders.get(self.path.parent, "file")


@dataclass(frozen=True)
class DatasetEntry:
    """A reader of training data of one kind."""

    name: str
    kind: str
    summary: str
    factory: str
    plugin: str

    def load(self) -> type[Dataset[Any]]:
        """Return the reader's class; this imports torch."""
        from translate.dataset import Dataset

        reader: type[Dataset[Any]] = _load_class(self.factory, Dataset, plugin=self.plugin)
        return reader


@dataclass(frozen=True)
class ImporterEntry:
    """A reader of another project's checkpoints."""

    name: str
    looks_for: str
    factory: str
    plugin: str

    def load(self) -> Any:
        """Return the importer's function; this imports torch."""
        return load_object(self.factory, plugin=self.plugin)


@dataclass(frozen=True)
class MeasureEntry:
    """A measure of how good a model is."""

    name: str
    summary: str
    compares: str
    factory: str
    plugin: str

    def load(self) -> type[Measure[Any]]:
        """Return the measure's class; this imports numpy, and what the measure needs."""
        from translate.evaluation.measure import Measure

        measure: type[Measure[Any]] = _load_class(self.factory, Measure, plugin=self.plugin)
        return measure


@dataclass(frozen=True)
class CommandEntry:
    """A command that a plugin adds."""

    name: str
    command: click.Command
    plugin: str


Entry = MethodEntry | ModelEntry | DatasetEntry | ImporterEntry | MeasureEntry | CommandEntry


@dataclass(frozen=True)
class PluginStatus:
    """What became of one plugin.

    Attributes:
        hooks: the hooks it implements.
        brings: what it registered, such as "model horse2zebra"; known in part if it is broken.
    """

    name: str
    distribution: str
    version: str
    state: Literal["ok", "broken", "disabled"] = "ok"
    reason: str = ""
    hooks: tuple[str, ...] = ()
    brings: tuple[str, ...] = ()


@dataclass
class Contribution:
    """What one plugin brings, kept apart until all of it is known to be sound."""

    plugin: str
    folder: Path | None = None  # of the plugin's module; bundles are relative to it
    methods: dict[str, MethodEntry] = field(default_factory=dict)
    models: dict[str, ModelEntry] = field(default_factory=dict)
    datasets: dict[str, DatasetEntry] = field(default_factory=dict)
    importers: dict[str, ImporterEntry] = field(default_factory=dict)
    measures: dict[str, MeasureEntry] = field(default_factory=dict)
    commands: dict[str, CommandEntry] = field(default_factory=dict)

    def register_method(
        self, *, name: str, summary: str, source: str, data: str, factory: str
    ) -> None:
        """Take in a method: the callback of ``register_methods``."""
        _check_texts(f"method {name!r}", summary=summary, data=data)
        _check_factory(f"method {name!r}", factory)
        if source not in SOURCES:
            raise PluginError(f"method {name!r}: source is {source!r}, not one of {SOURCES}")
        entry = MethodEntry(name, summary, source, data, factory, self.plugin)
        self._add("method", self.methods, entry)

    def register_model(self, *, name: str, method: str, summary: str, file: str) -> None:
        """Take in a model: the callback of ``register_models``."""
        _check_texts(f"model {name!r}", method=method, summary=summary, file=file)
        if self.folder is None:
            raise PluginError(f"model {name!r}: the plugin's module has no folder to look in")
        entry = ModelEntry(name, method, summary, self.folder / file, self.plugin)
        self._add("model", self.models, entry)

    def register_catalogue(self, *, file: str) -> None:
        """Take in the models that a file lists: the callback of ``register_catalogues``."""
        _check_texts("a catalogue", file=file)
        if self.folder is None:
            raise PluginError(f"catalogue {file}: the plugin's module has no folder to look in")
        try:
            for name, model in read_catalogue(self.folder / file).items():
                path = downloads_folder() / f"{name}{SUFFIX}"
                facts = (name, model.method, model.summary, path, self.plugin)
                self._add("model", self.models, ModelEntry(*facts, published=model))
        except TranslateError as error:
            raise PluginError(f"catalogue {file}: {error}") from None

    def register_dataset(self, *, name: str, kind: str, summary: str, factory: str) -> None:
        """Take in a data set reader: the callback of ``register_datasets``."""
        _check_texts(f"dataset {name!r}", kind=kind, summary=summary)
        _check_factory(f"dataset {name!r}", factory)
        self._add("dataset", self.datasets, DatasetEntry(name, kind, summary, factory, self.plugin))

    def register_importer(self, *, name: str, looks_for: str, factory: str) -> None:
        """Take in a reader of checkpoints: the callback of ``register_importers``."""
        _check_texts(f"importer {name!r}", looks_for=looks_for)
        _check_factory(f"importer {name!r}", factory)
        self._add("importer", self.importers, ImporterEntry(name, looks_for, factory, self.plugin))

    def register_measure(self, *, name: str, summary: str, compares: str, factory: str) -> None:
        """Take in a measure: the callback of ``register_measures``."""
        _check_texts(f"measure {name!r}", summary=summary)
        _check_factory(f"measure {name!r}", factory)
        if compares not in COMPARES:
            raise PluginError(f"measure {name!r}: compares is {compares!r}, not one of {COMPARES}")
        entry = MeasureEntry(name, summary, compares, factory, self.plugin)
        self._add("measure", self.measures, entry)

    def register_command(self, name: str, command: click.Command) -> None:
        """Take in a command: what ``cli.add_command`` comes to."""
        self._add("command", self.commands, CommandEntry(name, command, self.plugin))

    def names(self) -> tuple[str, ...]:
        """Return what it brings, such as "model horse2zebra"."""
        return tuple(f"{kind} {name}" for kind, shelf in shelves(self) for name in shelf)

    def _add(self, kind: str, shelf: dict[str, Any], entry: Entry) -> None:
        check_name(kind, entry.name)
        if kind in ("model", "command") and entry.name in RESERVED:
            raise PluginError(f"{kind} {entry.name!r}: the name is reserved for a built-in command")
        if entry.name in shelf:
            raise PluginError(f"{kind} {entry.name!r} is registered twice")
        shelf[entry.name] = entry


def shelves(holder: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return a contribution's (or the host's) entries by name, kind by kind."""
    kinds = ("method", "model", "dataset", "importer", "measure", "command")
    return [(kind, getattr(holder, f"{kind}s")) for kind in kinds]


def check_name(kind: str, name: object) -> None:
    """Refuse a name that could not be typed as one word.

    Raises:
        PluginError: saying what a name may consist of.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PluginError(
            f"{kind} {name!r}: a name is one word of letters, digits, '-', '_' and '.', "
            "beginning with a letter, a digit or '_'"
        )


def _check_texts(what: str, **values: object) -> None:
    for field_name, value in values.items():
        if not isinstance(value, str) or not value.strip() or "\n" in value:
            raise PluginError(f"{what}: {field_name} is {value!r}, not a line of text")


def _check_factory(what: str, factory: object) -> None:
    if not isinstance(factory, str) or not _FACTORY.fullmatch(factory):
        raise PluginError(f"{what}: factory is {factory!r}, not 'package.module:Name'")


def load_object(factory: str, *, plugin: str) -> Any:
    """Return what ``factory`` ("package.module:Name") names, importing its module.

    Raises:
        PluginError: naming the plugin, if the module cannot be imported or lacks the name.
    """
    module_name, _, name = factory.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        reason = one_line(error)
        raise PluginError(f"plugin {plugin}: cannot import {module_name}: {reason}") from error
    try:
        return operator.attrgetter(name)(module)
    except AttributeError:
        raise PluginError(f"plugin {plugin}: {module_name} has no {name}") from None


def _load_class(factory: str, base: type, *, plugin: str) -> Any:
    found = load_object(factory, plugin=plugin)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise PluginError(f"plugin {plugin}: {factory} is no subclass of translate.{base.__name__}")
    return found


def one_line(error: BaseException) -> str:
    """Return what went wrong in somebody else's code and where, in one line."""
    if isinstance(error, TranslateError):
        return str(error)
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({error.filename}:{error.lineno})"
    text = " ".join(str(error).split())
    if isinstance(error, SystemExit):
        text = f"tried to end the program ({text})" if text else "tried to end the program"
    reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return reason + _where(error)


def _where(error: BaseException) -> str:
    # Our own frames and the import machinery's lead nowhere.
    ours = ("<", *(str(Path(path).parent) for path in (__file__, importlib.__file__)))
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(ours)]
    return f" ({theirs[-1].filename}:{theirs[-1].lineno})" if theirs else ""
