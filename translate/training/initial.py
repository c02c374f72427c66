"""Beginning a run from weights that exist: fine-tuning, or a second stage."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from translate.bundle import load_model
from translate.errors import TranslateError, UsageError
from translate.host import the_host
from translate.method import Method
from translate.training import checkpoint
from translate.training.saving import LAST

Weights = Mapping[str, Tensor]


def begin_from(method: Method[Any], source: str) -> str:
    """Give a new method's networks the weights of a model, a bundle, a run or a checkpoint.

    Of a run, the exported networks begin as its models are (averaged), the others as they were
    last. Networks that the source does not have begin anew. So do optimizers, counters and what is
    remembered outside of networks, always.

    Returns:
        What was taken over, for the user.

    Raises:
        UsageError: if there is no such source, it has nothing for any exported network, or one of
            them is another network there; nothing is changed then.
        TranslateError: if it cannot be read.
    """
    is_run = os.path.isdir(source) and source not in the_host().model_names()
    path = Path(source) / LAST if is_run else Path(source)
    if is_run and not path.exists():
        raise UsageError(f"--init {source}: no checkpoint in it")
    if path.suffix == ".pt" and path.exists():
        given = _of_checkpoint(method, checkpoint.load(path), source)
    else:
        given = _of_bundle(method, source)
    return _take_over(method, given, source)


def _of_bundle(method: Method[Any], source: str) -> dict[str, Weights]:
    model = load_model(source)
    exports, name = method.exports(), model.header.export
    if name not in exports:
        if len(exports) > 1:
            raise UsageError(
                f"--init {source}: is a {name!r}; this method has {', '.join(exports)}"
            )
        name = next(iter(exports))
    weights = method.begin(name, model.network.state_dict())
    return {_name_of(method, exports[name].network): weights}


def _of_checkpoint(
    method: Method[Any], state: Mapping[str, Any], source: str
) -> dict[str, Weights]:
    """Return the weights of each network, by its name in the method."""
    exported = {name: _name_of(method, export.network) for name, export in method.exports().items()}
    try:
        every = {str(key): x for key, x in state["method"].items() if isinstance(x, Tensor)}
        averages: Mapping[str, Weights] = {key: dict(x) for key, x in state["averages"].items()}
    except (LookupError, TypeError, ValueError, AttributeError):
        raise TranslateError(
            f"--init {source}: not a checkpoint of a run; translate import reads other projects'"
        ) from None
    given: dict[str, Weights] = {
        name: {
            key.removeprefix(f"{name}."): x
            for key, x in every.items()
            if key.startswith(f"{name}.")
        }
        for name in [*dict(method.named_children()), *exported.values()]
    }
    for name, network in exported.items():
        given[network] = method.begin(name, averages.get(name) or given[network])
    return given


def _take_over(method: Method[Any], given: Mapping[str, Weights], source: str) -> str:
    modules = dict(method.named_modules())
    exported = list(dict.fromkeys(_name_of(method, e.network) for e in method.exports().values()))
    for name in exported:
        problem = _misfit(modules[name], given[name]) if given.get(name) else ""
        if problem:
            raise UsageError(
                f"--init {source}: {name} is another network there: {problem}; "
                "set the options that it was made with"
            )
    first = [name for name in exported if given.get(name)]
    if not first:
        raise UsageError(f"--init {source}: has nothing for {', '.join(exported)}")
    taken, anew = [], [name for name in exported if name not in first]
    covered = {p for name in exported for p in modules[name].parameters()}
    for name, network in method.named_children():
        if all(p in covered for p in network.parameters()):  # or has none: memory
            continue
        if _misfit(network, given.get(name, {})):
            anew.append(name)
        else:
            network.load_state_dict(dict(given[name]), strict=False)
            taken.append(name)
    # Last, over whatever shares weights with them or has them as parts.
    for name in first:
        modules[name].load_state_dict(dict(given[name]), strict=False)
    return f"{', '.join(first + taken)} from {source}" + (
        f"; {', '.join(anew)} anew" if anew else ""
    )


def _misfit(network: nn.Module, weights: Weights) -> str:
    """Return why the weights are not this network's; nothing if they are."""
    wanted = {k: v for k, v in network.state_dict().items() if isinstance(v, Tensor)}
    for key, tensor in wanted.items():
        if key not in weights:
            return f"it lacks {key}"
        if weights[key].shape != tensor.shape:
            there, here = (list(t.shape) for t in (weights[key], tensor))
            return f"{key} is {there} there and {here} here"
    surplus = sorted(weights.keys() - wanted.keys())
    return f"it has {surplus[0]} besides" if surplus else ""


def _name_of(method: Method[Any], network: nn.Module) -> str:
    names: dict[nn.Module, str] = {module: name for name, module in method.named_modules()}
    return names[network]
