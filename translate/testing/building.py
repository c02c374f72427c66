"""Checks of what a method says of itself: hooks, options, networks, exports, training data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import torch
from torch import Tensor, nn

from translate.bundle import fill
from translate.errors import BundleError, UsageError
from translate.loading import discover
from translate.options import Settings, build
from translate.testing.report import Broken, Problem, Skip, check, doing, names
from translate.testing.subject import Subject, is_picture

_HEAVY = ("torch", "torchvision", "kornia", "albumentations", "cv2")
_TRIPWIRE = """
import importlib, os, sys, traceback
heavy, module = sys.argv[1].split(","), sys.argv[2]
class Tripwire:
    def find_spec(self, name, path=None, target=None):
        if name in heavy:
            own = [f for f in traceback.extract_stack() if not f.filename.startswith("<")]
            where = f"{own[-1].filename}:{own[-1].lineno}" if own else module
            print(f"{where} imports {name}", flush=True)
            os._exit(3)
sys.meta_path.insert(0, Tripwire())
importlib.import_module(module)
"""
CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}


@check()
def hooks(subject: Subject) -> Iterator[Problem]:
    """The plugin's hooks module imports nothing heavy."""
    if subject.entry is None:
        raise Skip("no plugin registers it")
    culprit = imports_heavy(subject.entry.plugin)
    if culprit:
        text = f"'translate --help' imports the hooks module, and {culprit}"
        yield Problem(f"{text}; import it where it is used", sys.modules[_module(subject)])


def _module(subject: Subject) -> str:
    plugin = subject.entry.plugin if subject.entry else ""
    return next(point.module for point in discover() if point.name == plugin)


def imports_heavy(plugin: str) -> str:
    """Return which line of a plugin's hooks imports what, or nothing; it runs in a new Python."""
    modules = [point.module for point in discover() if point.name == plugin]
    if not modules:
        return ""
    done = subprocess.run(
        [sys.executable, "-c", _TRIPWIRE, ",".join(_HEAVY), modules[0]],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines() if done.returncode == 3 else []
    return lines[-1] if lines else ""


@check()
def options(subject: Subject) -> Iterator[Problem]:
    """Options are described, bounded, survive JSON, and refuse what they should."""
    for role in ("Options", "RunOptions"):
        kind = getattr(subject.kind, role)
        if not (isinstance(kind, type) and issubclass(kind, Settings)):
            raise Broken(f"{role} is no subclass of translate.Settings")
        try:
            values = subject.options if role == "Options" else kind()
        except (UsageError, ValueError) as error:
            raise Broken(f"{role}: {error}", kind) from None
        yield from _declarations(kind)
        yield from _round_trip(values)
        yield from _refusals(values)


def _declarations(kind: type[Settings]) -> Iterator[Problem]:
    for name, field in kind.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Settings):
            yield from _declarations(inner)
            continue
        if not field.description:
            text = f"option {name} has no description, so that nobody knows what it does"
            yield Problem(f"{text}; Field(..., description=...)", kind)
        numeric = {inner, *get_args(inner)} & {int, float} and not get_args(inner)[2:]
        if numeric and not _limits(field.metadata):
            yield Problem(f"option {name} is a number without bounds; Field(..., ge=0)", kind)


def _limits(metadata: list[Any]) -> list[tuple[str, Any]]:
    signs = ("ge", "gt", "le", "lt", "multiple_of")
    return [(sign, getattr(m, sign)) for m in metadata for sign in signs if hasattr(m, sign)]


def _round_trip(values: Settings) -> Iterator[Problem]:
    kind = type(values)
    with doing("its options do not survive the JSON of a bundle", kind):
        back = build(kind, json.loads(values.model_dump_json()), what="options")
    for name in kind.model_fields:
        before, after = getattr(values, name), getattr(back, name)
        if before != after:
            text = f"option {name} is {before!r}, but {after!r} after a way through JSON"
            yield Problem(text, kind)


def _refusals(values: Settings) -> Iterator[Problem]:
    kind, plain = type(values), values.model_dump(mode="json")
    if kind.model_config.get("frozen") is not True:
        yield Problem("options can be changed; keep frozen=True in model_config", kind)
    if _accepts(kind, {**plain, "no_such_option": 1}):
        text = "an unknown option is taken without a word; keep extra='forbid' in model_config"
        yield Problem(text, kind)
    for name, field in kind.model_fields.items():
        for sign, limit in _limits(field.metadata):
            beyond = {"ge": -1, "le": 1}.get(sign, 0)
            if sign != "multiple_of" and _accepts(kind, {**plain, name: limit + beyond}):
                text = f"option {name} takes {limit + beyond}, although {sign}={limit}"
                yield Problem(text, kind)


def _accepts(kind: type[Settings], values: Mapping[str, Any]) -> bool:
    try:
        build(kind, values, what="options")
    except Exception:
        return False
    return True


@check(options)
def builds(subject: Subject) -> Iterator[Problem]:
    """The constructor works, and the seed decides the weights."""
    with doing("it cannot be built", "__init__"):
        one, two = subject.new().state_dict(), subject.new().state_dict()
    for name, tensor in one.items():
        if isinstance(tensor, Tensor) and not torch.equal(tensor, two[name]):
            text = f"{name} differs between two methods built under the same seed"
            yield Problem(f"{text}: draw it from torch's generator", "__init__")
            break


@check(builds)
def exports(subject: Subject) -> Iterator[Problem]:
    """There are exports, of the method's own networks, always the same."""
    method = subject.new()
    with doing("exports() fails before training", "exports"):
        found, again = method.exports(), method.exports()
        fits = {name: method.fit(name) for name in found}
    if not found:
        yield Problem("exports() is empty, so that nothing can be run", "exports")
    own = set(method.modules())
    for name, export in found.items():
        if not isinstance(export.network, nn.Module) or export.network not in own:
            yield Problem(f"{name}: its network is none of the method's attributes", "exports")
        elif again[name].network is not export.network:
            yield Problem(f"{name}: exports() gives another network each time", "exports")
        for mode in set(export.mode) - CHANNELS.keys():
            text = f"{name}: mode {mode!r} is none of {names(CHANNELS)}"
            yield Problem(text, "exports")
        fit = fits[name]
        if min(fit.multiple_of, fit.minimum, fit.scale) < 1 or (fit.halo or 0) < 0:
            yield Problem(f"{name}: {fit} has a number that is too small", "fit")


@check(exports)
def meta(subject: Subject) -> Iterator[Problem]:
    """Built without memory, an export takes its weights from a bundle and lacks nothing."""
    weights = {name: e.network.state_dict() for name, e in subject.new().exports().items()}
    with doing("it cannot be built without memory, on the meta device", "__init__"):
        loaded = subject.new(device="meta").exports()
    for name, export in loaded.items():
        network = export.network
        surplus = [n for n, value in weights[name].items() if not isinstance(value, Tensor)]
        if surplus:
            text = f"{name}: {surplus[0]} in its state dict is no tensor, as all in a bundle is"
            yield Problem(f"{text}; use a buffer", type(network))
            continue
        try:
            fill(network, weights[name], where=name)
        except BundleError as error:
            text = f"{error}; a buffer needs persistent=True, or to be computed in forward()"
            yield Problem(text, type(network))
            continue
        for path, module in network.named_modules():
            for attribute, value in vars(module).items():
                if isinstance(value, Tensor) and value.is_meta:
                    text = f"{name}: {path + '.' if path else ''}{attribute} is a tensor that no "
                    yield Problem(f"{text}bundle holds; use register_buffer", type(module))


@check(exports)
def data(subject: Subject) -> Iterator[Problem]:
    """There are training batches, with the fields that exports read."""
    with doing("data() fails", "data"):
        subject.kind.data(subject.options)
    with doing("no training batch can be made", "data"):
        batch = subject.batch()
    fields = [*batch.tensors, *batch.texts]
    for name, export in subject.exports.items():
        of_noise = subject.entry is not None and subject.entry.source == "noise"
        if not export.reads and not of_noise:
            text = f"{name}: reads is empty, which is for methods whose source is 'noise'"
            yield Problem(text, "exports")
        for wanted in export.reads.values():
            if wanted not in fields:
                text = f"{name}: there is no training field {wanted!r}, only {names(fields)}"
                yield Problem(text, "exports")
        for ours, theirs in export.reads.items():
            if is_picture(batch, theirs) and export.mode[0] in CHANNELS:
                told, real = CHANNELS[export.mode[0]], batch[theirs].shape[1]
                if told != real:
                    text = f"{name}: reads {ours!r} as {export.mode[0]}, but {theirs!r} in training"
                    yield Problem(f"{text} has {real} channels", "exports")


CHECKS = (hooks, options, builds, exports, meta, data)
