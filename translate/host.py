"""The host: entry points become plugins, and a broken one never takes the others down.

Each plugin is imported, registered and asked what it brings on its own. Only if all of that went
well is what it brings taken in; otherwise it is taken out whole, and ``translate plugins`` says
why. Nothing here imports torch.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
import sys
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from translate.errors import BundleError, UsageError
from translate.loading import call_alone, discover, in_order, load_plugin, new_manager, status_of
from translate.model import SUFFIX
from translate.own_models import delete, downloaded_files, entry_of, file_of, own_files
from translate.registry import (
    RESERVED,
    CommandEntry,
    Contribution,
    DatasetEntry,
    ImporterEntry,
    MeasureEntry,
    MethodEntry,
    ModelEntry,
    PluginError,
    PluginStatus,
    check_name,
    one_line,
    shelves,
)

if TYPE_CHECKING:
    from translate.dataset import Dataset
    from translate.method import Method


class Host:
    """What the installed plugins bring, and the user's own models."""

    def __init__(self, entry_points: Iterable[EntryPoint] | None = None) -> None:
        """Load the plugins.

        Args:
            entry_points: of the plugins; None: of all installed ones, less those that
                ``TRANSLATE_DISABLE`` names, separated by commas.
        """
        self._manager = new_manager()
        self._lock = threading.RLock()
        self._taken = Contribution("the host")  # what all sound plugins bring together
        self._plugins: dict[str, PluginStatus] = {}
        disabled = set(re.split(r"[,\s]+", os.environ.get("TRANSLATE_DISABLE", "")))
        for point in in_order(discover() if entry_points is None else entry_points):
            self._load(point, disabled)

    def _load(self, point: EntryPoint, disabled: Collection[str]) -> None:
        status = status_of(point)
        name, taken = point.name, point.name in self._plugins
        if taken:
            name = f"{point.name} ({status.distribution or point.value})"
        brought = Contribution(name)
        try:
            if point.name in disabled:
                status = replace(status, state="disabled", reason="named in TRANSLATE_DISABLE")
            elif taken:
                other = self._plugins[point.name].distribution
                raise PluginError(f"{other} already brings a plugin named {point.name}")
            else:
                status = replace(status, hooks=load_plugin(self._manager, point, brought))
                self._take_in(brought)
        except (Exception, SystemExit) as error:
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            status = replace(status, state="broken", reason=one_line(error))
        self._plugins[name] = replace(status, brings=brought.names())

    def _take_in(self, brought: Contribution) -> None:
        """Merge what a plugin brings, unless any of its names is taken."""
        for (kind, mine), (_, shelf) in zip(shelves(brought), shelves(self._taken), strict=True):
            for name in mine:
                if name in shelf:
                    other = shelf[name].plugin
                    raise PluginError(f"{kind} {name!r} is already brought by plugin {other}")
        # A model and a command are typed at the same place.
        for mine, theirs, kind in (
            (brought.models, {**self._taken.commands, **brought.commands}, "command"),
            (brought.commands, self._taken.models, "model"),
        ):
            for name in set(mine) & set(theirs):
                raise PluginError(f"{name!r} is already the {kind} of plugin {theirs[name].plugin}")
        for (_, mine), (_, shelf) in zip(shelves(brought), shelves(self._taken), strict=True):
            shelf.update(mine)

    @property
    def plugins(self) -> Mapping[str, PluginStatus]:
        """Return every plugin found, sound or not, the built-in ones first."""
        return MappingProxyType(self._plugins)

    @property
    def methods(self) -> Mapping[str, MethodEntry]:
        """Return the methods by name."""
        return MappingProxyType(self._taken.methods)

    @property
    def datasets(self) -> Mapping[str, DatasetEntry]:
        """Return the readers of training data by name."""
        return MappingProxyType(self._taken.datasets)

    @property
    def importers(self) -> Mapping[str, ImporterEntry]:
        """Return the readers of other projects' checkpoints by name."""
        return MappingProxyType(self._taken.importers)

    @property
    def measures(self) -> Mapping[str, MeasureEntry]:
        """Return the measures by name."""
        return MappingProxyType(self._taken.measures)

    @property
    def commands(self) -> Mapping[str, CommandEntry]:
        """Return the commands that plugins add, by name."""
        return MappingProxyType(self._taken.commands)

    @property
    def models(self) -> Mapping[str, ModelEntry]:
        """Return the models by name, downloaded or not; the user's own as they are on disk now.

        Where a name is both, the user's own model is meant: installing a plugin must not change
        what a command of yesterday does.
        """
        taken = self._taken.models
        own = {name: entry_of(path) for name, path in own_files().items()}
        left = {n: entry_of(path) for n, path in downloaded_files().items() if n not in taken}
        return MappingProxyType({**left, **taken, **own})

    def model_names(self) -> list[str]:
        """Return the names of the models, without opening any file."""
        return sorted({*self._taken.models, *own_files(), *downloaded_files()})

    def method(self, name: str) -> MethodEntry:
        """Return the method called ``name``.

        Raises:
            UsageError: if there is none.
        """
        if name in self.methods:
            return self.methods[name]
        raise self.unknown("method", name, self.methods)

    def load_method(self, name: str) -> type[Method[Any]]:
        """Return the class of the method called ``name``; this imports torch.

        Raises:
            UsageError: if there is none.
            PluginError: if its plugin fails to give one.
        """
        return self.method(name).load()

    def load_dataset(self, name: str) -> type[Dataset[Any]]:
        """Return the class of the reader called ``name`` (or of that kind); this imports torch.

        Raises:
            UsageError: if there is none.
            PluginError: if its plugin fails to give one.
        """
        return self.dataset(name).load()

    def dataset(self, name: str) -> DatasetEntry:
        """Return the reader called ``name``, or else the first one of that kind.

        Raises:
            UsageError: if there is none.
        """
        if name in self.datasets:
            return self.datasets[name]
        # Built-in plugins come first, so that installing another does not change what is read.
        for entry in self.datasets.values():
            if entry.kind == name:
                return entry
        kinds = {entry.kind for entry in self.datasets.values()}
        raise self.unknown("dataset", name, {*self.datasets, *kinds})

    def measure(self, name: str) -> MeasureEntry:
        """Return the measure called ``name``.

        Raises:
            UsageError: if there is none.
        """
        if name in self.measures:
            return self.measures[name]
        raise self.unknown("measure", name, self.measures)

    def model(self, name: str) -> ModelEntry:
        """Return the model of that name, or the one in the file of that path.

        Raises:
            UsageError: if there is none, or it is not downloaded.
            BundleError: if its file cannot be read.
        """
        found = self.known_model(name)
        if found.kind == "available":
            raise UsageError(
                f"model {name} is not downloaded; 'translate download {name}' does that"
            )
        return found

    def known_model(self, name: str) -> ModelEntry:
        """Return the same, or a model that is not downloaded: then its file is not there yet.

        Raises:
            UsageError: if there is none.
            BundleError: if its file cannot be read.
        """
        found = self._find_model(name)
        if found is None:
            if name.endswith(SUFFIX) or "/" in name or os.sep in name:
                raise UsageError(f"{name}: no such model file")
            raise self.unknown("model", name, self.model_names())
        if found.published is None and not found.path.is_file():
            raise BundleError(
                f"model {name}: {found.path} is missing; reinstall "
                f"{self._plugins[found.plugin].distribution if found.plugin else 'it'}"
            )
        if found.problem:
            raise BundleError(found.problem)
        return found

    def has_model(self, name: str) -> bool:
        """Say whether ``name`` is a model's name or an existing file."""
        return self._find_model(name) is not None

    def _find_model(self, name: str) -> ModelEntry | None:
        # Not Path.is_file, which raises where a name is too long or a folder is closed to us.
        if Path(name).name == name and os.path.isfile(file_of(name)):
            return entry_of(file_of(name))
        if name in self._taken.models:
            return self._taken.models[name]
        if name in (downloaded := downloaded_files()):
            return entry_of(downloaded[name])
        return entry_of(Path(name)) if os.path.isfile(name) else None

    def own_path(self, name: str, *, overwrite: bool = False) -> Path:
        """Return where a new model of the user's own called ``name`` belongs.

        Raises:
            UsageError: if a model may not be called that, or the name is taken.
        """
        try:
            check_name("model", name)
        except PluginError as error:
            raise UsageError(str(error)) from None
        if name in RESERVED or name in self.commands:
            raise UsageError(f"model {name!r}: the name is that of a command; choose another")
        taken = self._taken.models.get(name)
        # One in a catalogue may be what is installed here, from a file that came another way.
        if taken is not None and taken.published is None:
            raise UsageError(
                f"model {name!r} comes with plugin {taken.plugin}; choose another name"
            )
        path = file_of(name)
        if os.path.exists(path) and not overwrite:
            raise UsageError(f"model {name!r} exists ({path}); --overwrite replaces it")
        return path

    def remove(self, name: str) -> Path:
        """Delete the user's own or downloaded model called ``name`` and return where it was.

        Raises:
            UsageError: if there is none.
        """
        own = {**downloaded_files(), **own_files()}
        if name in own:
            return delete(own[name])
        taken = self._taken.models.get(name)
        if taken is not None and taken.published is not None:
            raise UsageError(f"model {name!r} is not downloaded")
        if taken is not None:
            raise UsageError(
                f"model {name!r} comes with plugin {taken.plugin}; uninstall that instead"
            )
        raise self.unknown("model", name, own)

    def unknown(self, what: str, name: str, known: Iterable[str]) -> UsageError:
        """Return the error that says that no ``what`` is called ``name``, and what was meant."""
        message = f"no {what} is named {name!r}"
        for status in self._plugins.values():
            brought = {text.partition(" ")[2] for text in status.brings}
            if status.state == "broken" and name in brought:
                return UsageError(
                    f"{message}: plugin {status.name}, which brings it, is broken "
                    f"({status.reason}); see 'translate plugins'"
                )
        close = difflib.get_close_matches(name, known, n=3)
        if close:
            message += f"; did you mean {' or '.join(close)}?"
        else:
            message += f"; 'translate {what.split()[0]}s' lists them"
        absent = [status.name for status in self._plugins.values() if status.state != "ok"]
        if absent:
            message += f" (not loaded: {', '.join(absent)}; 'translate plugins' says why)"
        return UsageError(message)

    def notify(self, event: str, **facts: object) -> None:
        """Tell the plugins that something happened; none can stop the work.

        Plugins hear of one event at a time, whichever threads the events come from. One that
        fails is reported on standard error, once, and hears of nothing more.
        """
        caller = getattr(self._manager.hook, event)
        missing = set(caller.spec.argnames) ^ set(facts)
        if missing:  # ours to mend, not the plugins' fault
            raise TypeError(f"{event}: wrong facts: {', '.join(sorted(missing))}")
        with self._lock:
            for plugin in [impl.plugin for impl in caller.get_hookimpls()]:
                try:
                    call_alone(self._manager, event, plugin, **facts)
                except (Exception, SystemExit) as error:
                    name = self._manager.get_name(plugin)
                    self._manager.unregister(plugin)
                    note = f"plugin {name}: {event} failed: {one_line(error)}; going on without it"
                    print(note, file=sys.stderr, flush=True)


@functools.cache
def the_host() -> Host:
    """Return the host of this process, loading the plugins the first time."""
    return Host()
