"""Options: frozen pydantic models whose fields become ``--set key=value``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from translate.errors import UsageError


class Settings(BaseModel):
    """A set of options: immutable, every field bounded and described, unknown names refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, coerce_numbers_to_str=True
    )


class Facts(Settings):
    """What a data set says of itself; stored in the bundle with the options."""

    channels: int = Field(default=3, ge=1, le=4, description="of its pictures")
    channels_out: int | None = Field(
        default=None, ge=1, le=4, description="of the pictures they become, where not as many"
    )
    classes: tuple[str, ...] = Field(default=(), description="their names, by number")


S = TypeVar("S", bound=Settings)


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """Return nested values from ``a.b=1`` texts; a value is read as JSON where it is JSON.

    Raises:
        UsageError: if a text has no ``=`` or a name is both a value and a group.
    """
    values: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {text}: expected NAME=VALUE")
        *groups, name = key.strip().split(".")
        place = values
        for group in groups:
            place = place.setdefault(group, {})
            if not isinstance(place, dict):
                raise UsageError(f"--set {text}: {group} is a value, not a group")
        if isinstance(place.get(name), dict):
            raise UsageError(f"--set {text}: {name} is a group of options; set {name}.NAME")
        place[name] = _value(value)
    return values


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``over`` laid on it, group by group."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def build(kind: type[S], values: Mapping[str, Any], *, what: str) -> S:
    """Return ``kind(**values)``.

    Raises:
        UsageError: in one line, naming every option that is unknown or out of bounds.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise UsageError(f"{what}: {_explain(kind, error)}") from None


def _explain(kind: type[Settings], error: ValidationError) -> str:
    reasons = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        reason = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            near = get_close_matches(name, kind.model_fields, n=3)
            known = ", ".join(near or kind.model_fields) or "none"
            reasons.append(f"no option {name} ({'did you mean' if near else 'there are'} {known})")
        else:
            reasons.append(f"{name}: {reason}" if name else reason)
    return "; ".join(reasons)
