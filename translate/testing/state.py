"""What a method remembers, wherever it keeps it, and the first thing in which two differ."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from translate.method import Fixed
from translate.options import Settings

_OF_TORCH = vars(nn.Module()).keys()


def difference(one: Any, two: Any, name: str = "") -> str:
    """Return where two values differ first, or nothing: tensors bit for bit."""
    return next(_differences(one, two, name, set()), "")


def memory_difference(one: nn.Module, two: nn.Module) -> str:
    """Return the first plain attribute (no parameter, no buffer) in which two modules differ."""
    for (path, mine), (_, other) in zip(one.named_modules(), two.named_modules(), strict=True):
        prefix = f"{path}." if path else ""
        both = [
            {name: value for name, value in vars(module).items() if name not in _OF_TORCH}
            for module in (mine, other)
        ]
        for name in {**both[0], **both[1]}:
            found = difference(both[0].get(name), both[1].get(name), prefix + name)
            if found:
                return found
    return ""


def _differences(one: Any, two: Any, name: str, seen: set[int]) -> Iterator[str]:
    if id(one) in seen or isinstance(one, nn.Module | Settings | type | Callable):
        return
    if isinstance(one, Fixed) and isinstance(two, Fixed):
        one, two = one.network.state_dict(), two.network.state_dict()
    if type(one) is not type(two):
        yield f"{name} ({_short(one)} and {_short(two)})"
    elif isinstance(one, Tensor | np.ndarray):
        if one.shape != two.shape:
            yield f"{name} ({_short(one)} and {_short(two)})"
        elif not _equal(one, two):
            yield f"{name} ({_short(one)} and {_short(two)})" if one.ndim == 0 else name
    elif isinstance(one, str | bytes | int | float | bool | None):
        if one != two:
            yield f"{name} ({_short(one)} and {_short(two)})"
    else:
        seen.add(id(one))
        yield from _inside(one, two, name, seen)


def _inside(one: Any, two: Any, name: str, seen: set[int]) -> Iterator[str]:
    if isinstance(one, Mapping):
        for key in {**one, **two}:
            yield from _differences(one.get(key), two.get(key), f"{name}.{key}".strip("."), seen)
    elif isinstance(one, torch.Generator):
        yield from _differences(one.get_state(), two.get_state(), name, seen)
    elif isinstance(one, random.Random):
        if one.getstate() != two.getstate():
            yield name
    elif isinstance(one, np.random.Generator):
        yield from _inside(one.bit_generator.state, two.bit_generator.state, name, seen)
    elif isinstance(one, Sequence):
        if len(one) != len(two):
            yield f"{name} ({len(one)} and {len(two)} things)"
        for place, (mine, other) in enumerate(zip(one, two, strict=False)):
            yield from _differences(mine, other, f"{name}[{place}]", seen)
    elif hasattr(one, "__dict__"):
        yield from _inside(vars(one), vars(two), name, seen)


def _equal(one: Any, two: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, two)
    return bool(np.array_equal(one, two))


def _short(value: Any) -> str:
    if isinstance(value, Tensor | np.ndarray):
        return "×".join(map(str, value.shape)) + " numbers" if value.ndim else f"{value.item():.6g}"
    return repr(value)[:60]
