"""What a run is: method, options, data and settings, resolved, checked and stored."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translate.errors import TranslateError, UsageError
from translate.model import Card
from translate.options import build, merge

# A run may go on with these changed: they do not touch what was learned so far.
_MAY_CHANGE = {
    "training.images", "training.log_every", "training.sample_every", "training.save_every",
    "training.store",
}
_GROUPS = ("options", "data", "training", "card")


@dataclass(frozen=True)
class RunPlan:
    """What the user asked for, before anything heavy is built."""

    method: str
    folders: tuple[str, ...]
    dataset: str | None
    options: Mapping[str, Any]
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    card: Card

    def as_dict(self) -> dict[str, Any]:
        return {
            "method": self.method, "folders": list(self.folders), "dataset": self.dataset,
            "options": dict(self.options), "data": dict(self.data),
            "training": dict(self.training), "card": self.card.model_dump(),
        }


def read_recipe(path: Path) -> dict[str, Any]:
    """Return a recipe's tables.

    Raises:
        UsageError: if it cannot be read or has a table that recipes do not have.
    """
    try:
        recipe = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"--recipe {path}: {error}") from None
    surplus = recipe.keys() - {"method", *_GROUPS}
    if surplus:
        raise UsageError(f"--recipe {path}: no table {min(surplus)}; there are {', '.join(_GROUPS)}")
    return recipe


def split_assignments(values: Mapping[str, Any]) -> dict[str, Any]:
    """Sort ``--set`` values: ``data.`` and ``training.`` are the host's, the rest the method's."""
    own = {name: value for name, value in values.items() if name not in _GROUPS}
    groups = {name: value for name, value in values.items() if name in _GROUPS}
    return merge(groups, {"options": own}) if own else groups


def make_plan(
    method: str, folders: Sequence[str], dataset: str | None, recipe: Mapping[str, Any],
    given: Mapping[str, Any],
) -> RunPlan:
    """Return the plan: defaults under the recipe under what was given.

    Raises:
        UsageError: if the recipe is another method's.
    """
    if recipe.get("method", method) != method:
        raise UsageError(f"the recipe is for {recipe['method']}, not for {method}")
    values = merge({group: recipe.get(group, {}) for group in _GROUPS}, given)
    card = build(Card, values["card"], what="card")
    return RunPlan(
        method, tuple(folders), dataset, values["options"], values["data"], values["training"], card
    )


def store(path: Path, plan: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(plan, indent=2) + "\n")


def stored(path: Path) -> dict[str, Any]:
    """Return a run's stored plan.

    Raises:
        TranslateError: if there is none.
    """
    try:
        plan: dict[str, Any] = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise TranslateError(f"{path}: not a run to go on with ({error})") from None
    return plan


def refuse_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Check that a run goes on as it began.

    Raises:
        UsageError: naming every key that differs and may not.
    """
    old, new = _flat(before), _flat(now)
    changed = [
        f"{key} (was {old.get(key)!r}, now {new.get(key)!r})"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and key not in _MAY_CHANGE and not key.startswith("card.")
    ]
    if changed:
        raise UsageError("--resume: the run began with other options: " + "; ".join(changed))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
