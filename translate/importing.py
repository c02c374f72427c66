"""Making a model of another project's checkpoint, without running any code in it.

The file is read as tensors by key, which plugins' importers recognise by their names and shapes.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from translate.bundle import fill, half, rebuild, save_bundle
from translate.errors import BundleError, UsageError
from translate.host import Host, the_host
from translate.model import SUFFIX, Card, Header, Imported, read_header
from translate.options import build
from translate.registry import ImporterEntry, PluginError, one_line

_DEEPEST = 32  # wrappers and groups within each other; a hostile file may hold itself
# What projects wrap a network's weights in; an average is better than the weights it is of.
WRAPPERS = ("params_ema", "params-ema", "params", "state_dict", "model_state_dict", "model", "net")


@dataclass(frozen=True)
class Converted:
    """A checkpoint as it will be stored, and what it was taken for."""

    header: Header
    weights: dict[str, Tensor]
    described: str


@dataclass(frozen=True)
class Done:
    """A model that was installed: where, and what its checkpoint was taken for."""

    path: Path
    described: str


def import_checkpoint(
    file: Path,
    name: str,
    *,
    half_precision: bool = False,
    overwrite: bool = False,
    card: Mapping[str, str] | None = None,
) -> Done:
    """Make the checkpoint in ``file`` the user's own model called ``name``.

    Args:
        file: a PyTorch checkpoint, a safetensors file, or a bundle from elsewhere.
        name: what the model will be called.
        half_precision: store the weights in fp16.
        overwrite: replace the user's own model of that name.
        card: what to say of the model, over what the file says.

    Raises:
        UsageError: if the name is taken or no importer knows the file's layout.
        BundleError: if the file cannot be read, or its weights do not fit the method.
    """
    path = the_host().own_path(name, overwrite=overwrite)
    converted = convert(file)
    header, weights = converted.header, converted.weights
    if half_precision:
        weights = _halved(weights)
    told = header.card.model_copy(update=dict(card or {}))
    save_bundle(path, header.model_copy(update={"card": told}), weights)
    return Done(path, converted.described)


def convert(file: Path, importer: str | None = None) -> Converted:
    """Return the checkpoint or bundle in ``file`` in our words, after trying whether it fits.

    Args:
        importer: the only one that is asked what the file is; None: all are.

    Raises:
        UsageError: if no importer knows the file's layout.
        BundleError: if the file cannot be read, or its weights do not fit the method.
    """
    found: Mapping[str, Tensor]
    if "translate" in (_metadata(file) or {}):
        header, found, described = read_header(file), load_file(file), "a bundle"
    else:
        imported, entry = recognise(the_host(), read_checkpoint(file), file, importer)
        header, found = _describe(imported, file), imported.weights
        described = f"{entry.name} (plugin {entry.plugin})"
    weights = {key: tensor.detach().clone() for key, tensor in found.items()}
    _, export = rebuild(header, where=str(file))
    fill(export.network, weights, where=f"{file}, read as {described}")
    fields = {"reads": tuple(export.reads), "mode": export.mode}
    return Converted(header.model_copy(update=fields), weights, described)


def read_checkpoint(file: Path) -> dict[str, Tensor]:
    """Return a checkpoint's tensors by key, on the CPU, out of whatever they were wrapped in.

    Raises:
        BundleError: if the file cannot be read, wants to run code, or holds no tensors.
    """
    loaded = _unpickled(file) if _metadata(file) is None else load_file(file)
    tensors = unwrap(loaded)
    if not tensors:
        raise BundleError(f"{file}: holds no tensors by key, but a {type(loaded).__name__}")
    return tensors


def _unpickled(file: Path) -> object:
    if file.suffix == SUFFIX:
        read_header(file)  # says what is wrong with it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd pickles: what cannot be read is said below
            loaded: object = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BundleError(f"{file}: {_why_not_unpickled(str(error))}") from error
    except Exception as error:  # a damaged file fails in whatever part of torch meets the damage
        reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")[:200]
        raise BundleError(f"{file}: not a PyTorch checkpoint, or damaged ({reason})") from error
    return loaded


def _why_not_unpickled(message: str) -> str:
    asked = re.search(r"GLOBAL ([\w.]+)", message)
    if asked is None:
        return "not a PyTorch checkpoint"
    return (
        f"needs code to be read ({asked[1]}), which could be anybody's, so it is refused; "
        "ask for a file with weights only (torch.save(network.state_dict(), ...))"
    )


def _metadata(file: Path) -> Mapping[str, str] | None:
    """Return a safetensors file's metadata; None if it is no such file."""
    try:
        with safe_open(file, framework="pt") as opened:
            return opened.metadata() or {}
    except (SafetensorError, OSError):
        return None


def unwrap(loaded: object) -> dict[str, Tensor]:
    """Return the tensors by key in what a checkpoint holds, less wrappers and other things.

    Several networks side by side stay apart by their names: ``netG.fc.weight``.
    """
    for _ in range(_DEEPEST):
        if not isinstance(loaded, Mapping):
            break
        inside = [key for key in WRAPPERS if isinstance(loaded.get(key), Mapping)]
        if not inside and len(loaded) == 1:
            inside = [key for key, value in loaded.items() if isinstance(value, Mapping)]
        if not inside:
            break
        loaded = loaded[inside[0]]
    tensors = dict(_flatten(loaded))
    # What DataParallel puts before every key, and what a whole method calls its generator.
    for prefix in ("module.", "netG.", "module."):
        if tensors and all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
    return tensors


def _flatten(loaded: object, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    if not isinstance(loaded, Mapping) or depth == _DEEPEST:
        return
    for key, value in loaded.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{key}", value.detach()
        else:
            yield from _flatten(value, f"{prefix}{key}.", depth + 1)


def recognise(
    host: Host, tensors: Mapping[str, Tensor], file: Path, importer: str | None = None
) -> tuple[Imported, ImporterEntry]:
    """Return what the first importer that knows the tensors makes of them, or the one named.

    Raises:
        UsageError: naming what each importer looks for, if none does.
    """
    reasons = []
    for entry in host.importers.values() if importer is None else [host.importers[importer]]:
        try:
            imported = entry.load()(dict(tensors))
            if isinstance(imported, Imported):
                return imported, entry
            if imported is not None:
                raise PluginError(f"returned a {type(imported).__name__}, not an Imported")
            reasons.append(f"{entry.name}: {entry.looks_for}")
        except (Exception, SystemExit) as error:
            reasons.append(f"{entry.name}: failed: {one_line(error)}")
    first = min(tensors)
    found = f"{len(tensors)} tensors such as {first} {tuple(tensors[first].shape)}"
    looked = "".join(f"\n  {reason}" for reason in reasons) or " nothing: no plugin reads any"
    raise UsageError(f"{file}: no importer knows its layout: {found}. They look for:{looked}")


def _describe(imported: Imported, file: Path) -> Header:
    """Return the header of a bundle with an imported network."""
    kind = the_host().load_method(imported.method)
    options = build(kind.Options, imported.options, what=str(file))
    summary = f"imported from {file.name}"
    return Header(
        method=imported.method,
        options=options.model_dump(mode="json"),
        facts=imported.facts,
        export=imported.export,
        working_size=imported.working_size,
        card=Card(summary=summary, notes=imported.notes),
    )


def _halved(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    most = torch.finfo(torch.float16).max
    for name, tensor in weights.items():
        if tensor.is_floating_point() and ((tensor.abs() > most) & tensor.isfinite()).any():
            raise UsageError(f"--half: {name} holds values beyond the range of 16 bits")
    return half(weights)
