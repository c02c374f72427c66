"""The quick checks on what an installed plugin brings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from translate.bundle import load_bundle
from translate.errors import TranslateError
from translate.host import Host
from translate.model import read_header
from translate.registry import MethodEntry, ModelEntry, PluginError, PluginStatus, one_line
from translate.testing import examine
from translate.testing.building import imports_heavy


@dataclass(frozen=True)
class Finding:
    """What became of one thing that a plugin brings.

    Attributes:
        thing: such as "method cyclegan".
        notes: why it failed, or could not be checked; or how many checks passed.
    """

    plugin: str
    thing: str
    state: Literal["ok", "failed", "not checkable"] = "ok"
    notes: tuple[str, ...] = ()


def check_plugin(host: Host, status: PluginStatus) -> Iterator[Finding]:
    """Yield what became of the plugin itself and of everything that it brings."""
    name = status.name
    if status.state != "ok":
        state: Literal["failed", "not checkable"] = (
            "failed" if status.state == "broken" else "not checkable"
        )
        yield Finding(name, "plugin", state, (status.reason,))
        return
    culprit = imports_heavy(name)
    notes = (f"'translate --help' imports the hooks module, and {culprit}",) if culprit else ()
    yield Finding(name, "hooks", "failed" if culprit else "ok", notes)
    for method in host.methods.values():
        if method.plugin == name:
            yield _method(method)
    for kind, entries in (("dataset", host.datasets), ("importer", host.importers)):
        for entry in entries.values():
            if entry.plugin == name:
                yield _attempt(name, f"{kind} {entry.name}", entry.load)
    for model in host.models.values():
        if model.plugin == name:
            yield _attempt(name, f"model {model.name}", partial(_model, host, model))


def _method(entry: MethodEntry) -> Finding:
    thing = f"method {entry.name}"
    try:
        report = examine(entry.name, quick=True)
    except TranslateError as error:
        return Finding(entry.plugin, thing, "failed", (str(error),))
    # The hooks have a line of their own.
    failures = [failure for failure in report.failures if failure.check != "hooks"]
    if failures:
        notes = tuple(f"{f.check}: {f.text} ({f.where})" for f in failures)
        return Finding(entry.plugin, thing, "failed", notes)
    passed = f"{len(report.passed)} checks passed"
    if "data" in report.skipped:
        notes = (passed, f"the others not run: {report.skipped['data']}")
        return Finding(entry.plugin, thing, "not checkable", notes)
    return Finding(entry.plugin, thing, "ok", (passed,))


def _model(host: Host, entry: ModelEntry) -> None:
    available = entry.kind == "available"  # and then all that is known is in its catalogue
    method = entry.method if available else read_header(entry.path).method
    if method not in host.methods:
        raise PluginError(f"needs the method {method!r}, which no plugin here brings")
    importer = entry.published.importer if entry.published else None
    if importer is not None and importer not in host.importers:
        raise PluginError(f"needs the importer {importer!r}, which no plugin here brings")
    if not available:
        load_bundle(entry.path)


def _attempt(plugin: str, thing: str, load: Callable[[], object]) -> Finding:
    try:
        load()
    except (Exception, SystemExit) as error:
        return Finding(plugin, thing, "failed", (one_line(error),))
    return Finding(plugin, thing)
