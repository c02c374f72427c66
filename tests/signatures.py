"""How functions and classes are written in the docs: names and defaults, without types."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from torch import nn

_STARS: dict[Any, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}


def arguments(thing: Any) -> str:
    """Return a callable's arguments as the docs have them: ``(a, *, b=1, **c)``."""
    factories = _factories(thing)
    parts, starred = [], False
    for name, parameter in inspect.signature(thing).parameters.items():
        if name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
        starred |= parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        stars = _STARS.get(parameter.kind, "")
        text = f"{stars}{name}"
        if name in factories:
            text += f"={_written(factories[name])}"
        elif parameter.default is not parameter.empty:
            text += f"={_written(parameter.default)}"
        parts.append(text)
    return f"({', '.join(parts)})"


def _factories(thing: Any) -> dict[str, Any]:
    """Return the defaults that are made anew each time."""
    if dataclasses.is_dataclass(thing):
        return {
            field.name: field.default_factory()
            for field in dataclasses.fields(thing)
            if field.default_factory is not dataclasses.MISSING
        }
    if isinstance(thing, type) and issubclass(thing, BaseModel):
        return {
            name: field.get_default(call_default_factory=True, validated_data={})
            for name, field in thing.model_fields.items()
            if field.default_factory is not None or field.default is not PydanticUndefined
        }
    return {}


def _written(default: Any) -> str:
    if isinstance(default, BaseModel) or dataclasses.is_dataclass(default):
        return f"{type(default).__name__}()"
    if isinstance(default, Mapping):
        return "{}"
    return repr(default).replace("'", '"')


def members(kind: type) -> list[str]:
    """Return what a class of ours has that is public, as the docs have it: ``name(arguments)``."""
    found: dict[str, str] = {}
    for name in {**vars(kind), **vars(kind).get("__annotations__", {})}:
        value = inspect.getattr_static(kind, name, None)
        if (name.startswith("_") and name != "__len__") or name.startswith("model_"):
            continue
        if issubclass(kind, nn.Module) and hasattr(nn.Module, name):
            continue  # torch's, and described there
        if isinstance(value, classmethod):
            found[name] = name + arguments(getattr(kind, name))
        elif inspect.isfunction(value):
            found[name] = name + arguments(value)
        else:
            found[name] = name
    if "__init__" in vars(kind) and not dataclasses.is_dataclass(kind):
        found |= {name: name for name in inspect.signature(kind).parameters}
    if dataclasses.is_dataclass(kind):
        found.pop("__len__", None)
    return list(found.values())
