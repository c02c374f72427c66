"""Beginning a run from weights that exist: fine-tuning, or a second stage."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from translate.bundle import load_bundle
from translate.errors import UsageError
from translate.host import the_host
from translate.method import Method
from translate.training import checkpoint
from translate.training.saving import LAST

Weights = Mapping[str, Tensor]


def begin_from(method: Method[Any], source: str) -> str:
    """Give a new method's networks the weights of a model, a bundle, a run or a checkpoint.

    Of a run, the exported networks begin as its models are (averaged), the others as they were
    last. Networks that the source does not have begin anew. Optimizers, memory and counters always
    do.

    Returns:
        What was taken over, for the user.

    Raises:
        UsageError: if there is no such source, or none of its networks fits one that is exported.
        TranslateError: if it cannot be read.
    """
    checkpoint_of = Path(source) / LAST if os.path.isdir(source) else Path(source)
    if os.path.isdir(source) or checkpoint_of.suffix == ".pt":
        if not checkpoint_of.exists():
            raise UsageError(f"--init {source}: no checkpoint in it")
        given = _of_checkpoint(method, checkpoint.load(checkpoint_of))
    else:
        given = _of_bundle(method, source)
    return _take_over(method, given, source)


def _of_bundle(method: Method[Any], source: str) -> dict[str, Weights]:
    model = load_bundle(the_host().model(source).path)
    exports, name = method.exports(), model.header.export
    if name not in exports:
        if len(exports) > 1:
            raise UsageError(
                f"--init {source}: is a {name!r}; this method has {', '.join(exports)}"
            )
        name = next(iter(exports))
    return {_name_of(method, exports[name].network): model.network.state_dict()}


def _of_checkpoint(method: Method[Any], state: Mapping[str, Any]) -> dict[str, Weights]:
    """Return the weights of each network, by its name in the method."""
    given: dict[str, Weights] = {
        name: {
            key.removeprefix(f"{name}."): value
            for key, value in state["method"].items()
            if key.startswith(f"{name}.") and isinstance(value, Tensor)
        }
        for name, _ in method.named_children()
    }
    for export, weights in state["averages"].items():
        if export in method.exports():
            given[_name_of(method, method.exports()[export].network)] = weights
    return given


def _take_over(method: Method[Any], given: Mapping[str, Weights], source: str) -> str:
    modules = dict(method.named_modules())
    taken, anew = [], []
    exported = {_name_of(method, export.network) for export in method.exports().values()}
    for name in dict.fromkeys([*exported, *dict(method.named_children())]):
        network, weights = modules[name], given.get(name, {})
        if not any(True for _ in network.parameters()) or _inside(name, exported):
            continue
        problem = _misfit(network, weights)
        if not problem:
            network.load_state_dict(dict(weights), strict=False)
            taken.append(name)
        elif name in exported and weights:
            raise UsageError(f"--init {source}: {name} is another network there: {problem}")
        else:
            anew.append(name)
    if not exported & set(taken):
        raise UsageError(f"--init {source}: has nothing for {', '.join(sorted(exported))}")
    return f"{', '.join(taken)} from {source}" + (f"; {', '.join(anew)} anew" if anew else "")


def _misfit(network: nn.Module, weights: Weights) -> str:
    """Return why the weights are not this network's; nothing if they are."""
    wanted = {k: v for k, v in network.state_dict().items() if isinstance(v, Tensor)}
    for key, tensor in wanted.items():
        if key not in weights:
            return f"it lacks {key}"
        if weights[key].shape != tensor.shape:
            there, here = (list(t.shape) for t in (weights[key], tensor))
            return f"{key} is {there} there and {here} here; set the options that it was made with"
    surplus = sorted(weights.keys() - wanted.keys())
    return f"it has {surplus[0]} besides" if surplus else ""


def _inside(name: str, others: set[str]) -> bool:
    """Say whether a network is a part of one of others, or has one of them as a part."""
    return any(
        name != other and (name.startswith(f"{other}.") or other.startswith(f"{name}."))
        for other in others
    )


def _name_of(method: Method[Any], network: nn.Module) -> str:
    names: dict[nn.Module, str] = {module: name for name, module in method.named_modules()}
    return names[network]
