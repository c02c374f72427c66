"""Loading one plugin: find it, import it, check its hooks, ask what it brings."""

from __future__ import annotations

import ast
import contextlib
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pluggy

from translate import hookspecs
from translate.registry import Contribution, PluginError, PluginStatus, one_line

_OURS = "image-translate"  # the distribution of the built-in plugins


def new_manager() -> pluggy.PluginManager:
    """Return a plugin manager that knows our hooks and no plugin."""
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


def discover() -> tuple[EntryPoint, ...]:
    """Return the entry points of all installed plugins."""
    return tuple(importlib.metadata.entry_points(group=hookspecs.GROUP))


def in_order(points: Iterable[EntryPoint]) -> list[EntryPoint]:
    """Return the built-in plugins first, so that theirs are the names in dispute, then by name."""
    statuses = [(status_of(point), point) for point in points]
    statuses.sort(key=lambda pair: (pair[0].distribution != _OURS, *_names(pair[0])))
    return [point for _, point in statuses]


def _names(status: PluginStatus) -> tuple[str, str]:
    return status.name, status.distribution


def status_of(point: EntryPoint) -> PluginStatus:
    """Return who brings the entry point."""
    distribution = version = ""
    # A damaged installation may not even know its own name.
    with contextlib.suppress(Exception):
        if point.dist is not None:
            distribution = point.dist.metadata["Name"] or ""
            version = point.dist.version or ""
    return PluginStatus(point.name, distribution, version)


def load_plugin(
    manager: pluggy.PluginManager, point: EntryPoint, brought: Contribution
) -> tuple[str, ...]:
    """Import a plugin, register it under ``brought.plugin`` and fill ``brought``.

    Returns:
        The names of the hooks it implements.

    Raises:
        PluginError: with the reason in one line. The plugin may be left registered.
    """
    # What a plugin prints is not our output, which another program may be reading.
    with contextlib.redirect_stdout(sys.stderr):
        plugin = _import(point)
        _check_contract(getattr(plugin, "contract", 1))
        brought.folder = _folder(point)
        hooks = _register(manager, plugin, brought.plugin)
        _collect(manager, plugin, hooks, brought)
    return hooks


def _import(point: EntryPoint) -> Any:
    try:
        plugin = point.load()
    except (Exception, SystemExit) as error:
        # It may have asked for what only a newer host has.
        _check_contract(_stated_contract(point.module))
        raise PluginError(f"cannot import {point.value}: {one_line(error)}") from error
    if plugin is None:
        raise PluginError(f"the entry point {point.value} is None")
    return plugin


def _check_contract(wanted: object) -> None:
    """Refuse a plugin that was written for a newer contract than ours."""
    if type(wanted) is not int or wanted < 1:
        raise PluginError(f"contract is {wanted!r}, not a whole number from 1")
    ours = hookspecs.CONTRACT
    if wanted > ours:
        raise PluginError(
            f"needs contract {wanted}, this translate has {ours}; upgrade image-translate"
        )


def _stated_contract(module: str) -> object:
    """Return the ``contract`` in the source of a module that cannot be imported, or 1."""
    with contextlib.suppress(Exception, SystemExit):
        spec = importlib.util.find_spec(module)
        source = Path(spec.origin).read_bytes() if spec and spec.origin else b""
        for node in ast.parse(source).body:
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            if any(isinstance(name, ast.Name) and name.id == "contract" for name in targets):
                return ast.literal_eval(node.value)  # type: ignore[attr-defined]
    return 1


def _folder(point: EntryPoint) -> Path | None:
    file = getattr(sys.modules.get(point.module), "__file__", None)
    return Path(file).resolve().parent if file else None


def _register(manager: pluggy.PluginManager, plugin: Any, name: str) -> tuple[str, ...]:
    """Register the plugin's hooks, after checking them against ours."""
    other = manager.get_name(plugin)
    if other is not None:
        raise PluginError(f"its module is already loaded as plugin {other}")
    _refuse_unmarked(plugin)
    try:
        manager.register(plugin, name)
    except pluggy.PluginValidationError as error:
        raise PluginError(" ".join(str(error).split())) from error
    callers = manager.get_hookcallers(plugin) or []
    # pluggy itself says nothing of a hook that it does not know.
    unknown = [
        caller.name
        for caller in callers
        if not caller.has_spec()
        and any(impl.plugin is plugin and not impl.optionalhook for impl in caller.get_hookimpls())
    ]
    if unknown:
        raise PluginError(f"there is no hook named {unknown[0]}")
    return tuple(sorted(caller.name for caller in callers))


def _refuse_unmarked(plugin: Any) -> None:
    """Refuse a module that defines a function named like a hook but forgot ``@hookimpl``."""
    for name, thing in list(getattr(plugin, "__dict__", {}).items()):
        spec = getattr(hookspecs, name, None)
        is_hook = getattr(spec, f"{hookspecs.GROUP}_spec", None) is not None
        own = inspect.isfunction(thing) and thing.__module__ == getattr(plugin, "__name__", None)
        if is_hook and own and not hasattr(thing, f"{hookspecs.GROUP}_impl"):
            raise PluginError(f"{name} is not marked with @hookimpl, so it would never be called")


def _collect(
    manager: pluggy.PluginManager, plugin: Any, hooks: Iterable[str], brought: Contribution
) -> None:
    for hook in hooks:
        if not hook.startswith("register_"):
            continue
        try:
            call_alone(manager, hook, plugin, **_arguments(hook, brought))
        except PluginError:
            raise
        except (Exception, SystemExit) as error:
            raise PluginError(f"{hook} failed: {one_line(error)}") from error


def _arguments(hook: str, brought: Contribution) -> dict[str, Any]:
    if hook == "register_commands":
        from translate.commands import GuardedGroup  # click, which a library's user need not load

        return {"cli": GuardedGroup(brought)}
    registers: dict[str, Callable[..., None]] = {
        "register_methods": brought.register_method,
        "register_models": brought.register_model,
        "register_catalogues": brought.register_catalogue,
        "register_datasets": brought.register_dataset,
        "register_importers": brought.register_importer,
        "register_measures": brought.register_measure,
    }
    return {"register": registers[hook]}


def call_alone(manager: pluggy.PluginManager, hook: str, plugin: Any, **arguments: object) -> None:
    """Call one plugin's implementation of a hook, with those arguments that it takes."""
    others = [other for other in manager.get_plugins() if other is not plugin]
    manager.subset_hook_caller(hook, others)(**arguments)
