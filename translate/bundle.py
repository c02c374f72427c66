"""Bundles with their weights: written whole, read with every tensor accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from translate.atomic import replacing
from translate.errors import BundleError
from translate.host import the_host
from translate.method import Batch, Export, Fit, Method
from translate.model import Header, metadata, read_header
from translate.options import Settings, build
from translate.registry import one_line
from translate.zoo.download import local_model


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded bundle: a network, and the method that knows how to run it."""

    header: Header
    method: Method[Settings]
    export: Export

    @property
    def network(self) -> nn.Module:
        return self.export.network

    @property
    def fit(self) -> Fit:
        return self.method.fit(self.header.export)

    def __call__(self, source: Batch) -> Tensor:
        """Return (N, C, sH, sW) in [-1, 1] for a batch of sources."""
        return self.method.translate(self.network, source)


def save_bundle(path: Path, header: Header, weights: Mapping[str, Tensor]) -> None:
    """Write a bundle whole or not at all.

    Raises:
        TranslateError: if it cannot be written; what stood at ``path`` is untouched.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    with replacing(path) as file:
        file.write(safetensors.torch.save(tensors, metadata(header)))


def load_model(name: str) -> Model:
    """Return the model called ``name``, or the one in the file of that path.

    One that is published elsewhere is downloaded first, unless ``TRANSLATE_OFFLINE`` is set.

    Raises:
        UsageError: if there is none; BundleError: if it cannot be loaded.
    """
    return load_bundle(local_model(name).path)


def load_bundle(path: Path) -> Model:
    """Return the model in the bundle at ``path``, on the CPU in fp32, ready to run.

    Raises:
        BundleError: if the file is not whole, its method is unknown, or its tensors do not fit.
    """
    header = read_header(path)
    method, export = rebuild(header, where=str(path))
    try:
        weights = safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise BundleError(f"{path}: {error}") from None
    fill(export.network, weights, where=str(path))
    export.network.eval().requires_grad_(False)
    return Model(header, method, export)


def rebuild(header: Header, *, where: str) -> tuple[Method[Settings], Export]:
    """Return a header's method and export, without memory for any weight yet.

    Raises:
        BundleError: if this installation has no such method, option or export.
    """
    if header.method not in the_host().methods:
        raise BundleError(
            f"{where}: needs the method {header.method!r}, which no plugin here brings; "
            "see: translate plugins"
        )
    kind = the_host().load_method(header.method)
    try:
        options = build(kind.Options, header.options, what=header.method)
        with torch.device("meta"):
            method: Method[Settings] = kind(options, header.facts)
        exports = method.exports()
    except Exception as error:  # a method's own code, given options that it may not foresee
        raise BundleError(f"{where}: cannot be rebuilt: {one_line(error)}") from error
    if header.export not in exports:
        raise BundleError(f"{where}: the method {header.method!r} has no export {header.export!r}")
    return method, exports[header.export]


def fill(network: nn.Module, weights: Mapping[str, Tensor], *, where: str) -> None:
    """Give a network built without memory its weights, in fp32.

    Raises:
        BundleError: naming a tensor that is missing, surplus or of another shape.
    """
    wanted = network.state_dict()
    full = {name: t.float() if t.is_floating_point() else t for name, t in weights.items()}
    both = wanted.keys() & full.keys()
    for problem, names in (
        ("lacks", wanted.keys() - full.keys()),
        ("has surplus", full.keys() - wanted.keys()),
        ("has the wrong shape for", {n for n in both if full[n].shape != wanted[n].shape}),
        ("has the wrong type for", {n for n in both if full[n].dtype != wanted[n].dtype}),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise BundleError(f"{where}: the file {problem} {min(names)}{more}")
    network.load_state_dict(full, assign=True)
    # A buffer that is in no state dict has no weights to come from, and a CPU kernel would read
    # garbage from it without a word.
    left = [n for n, t in [*network.named_parameters(), *network.named_buffers()] if t.is_meta]
    if left:
        raise BundleError(f"{where}: nothing in the file gives {left[0]} its values")


def half(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights with their floats in fp16; what is too large for it is its largest."""
    most = torch.finfo(torch.float16).max
    return {
        n: t.clamp(-most, most).half() if t.is_floating_point() else t for n, t in weights.items()
    }
