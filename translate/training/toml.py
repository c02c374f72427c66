"""Plain values as TOML, which Python reads but does not write."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def as_toml(values: Mapping[str, Any]) -> str:
    r"""Return plain values as TOML; None and empty groups are left out, as TOML has no None.

    >>> as_toml({"a": 1e-5, "b": {"c": ["é", None]}, "d": None})
    'a = 1e-05\n\n[b]\nc = ["é"]\n'
    """
    return _table(values, "")


def _table(values: Mapping[str, Any], name: str) -> str:
    plain, tables = [], []
    for key, value in values.items():
        if isinstance(value, Mapping):
            inside = f"{name}.{_key(key)}" if name else _key(key)
            tables.append(_table(value, inside))
        elif value is not None:
            plain.append(f"{_key(key)} = {_value(value)}\n")
    heading = f"\n[{name}]\n" if name and plain else ""
    return heading + "".join(plain + tables)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: Any) -> str:
    match value:
        case str():
            return _text(value)
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case Mapping():
            given = {key: inner for key, inner in value.items() if inner is not None}
            return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in given.items()) + "}"
        case _:
            return "[" + ", ".join(_value(inner) for inner in value if inner is not None) + "]"


def _text(text: str) -> str:
    # JSON's escapes are TOML's, but pairs of surrogates are not, and DEL must be one.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
