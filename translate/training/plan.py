"""What a run is: method, options, data and settings, resolved, checked and stored."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from translate.atomic import replacing
from translate.errors import UsageError
from translate.host import the_host
from translate.model import Card
from translate.options import build, merge

# A run may go on with these changed: they do not touch what was learned so far.
_MAY_CHANGE = {
    "training.images",
    "training.log_every",
    "training.sample_every",
    "training.save_every",
    "training.snapshot_every",
    "training.store",
}
GROUPS = ("options", "data", "training", "card")


@dataclass(frozen=True)
class RunPlan:
    """What the user asked for, before anything heavy is built."""

    method: str
    folders: tuple[str, ...]
    dataset: str | None
    options: Mapping[str, Any]
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    card: Mapping[str, Any]
    init: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the plan in plain values."""
        return asdict(self)


def read_recipe(path: Path) -> dict[str, Any]:
    """Return a recipe's tables.

    Raises:
        UsageError: if it cannot be read or has a table that recipes do not have.
    """
    try:
        recipe = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--recipe {path}: {error.strerror or error}") from None
    except ValueError as error:  # not UTF-8, or not TOML
        raise UsageError(f"--recipe {path}: {error}") from None
    surplus = recipe.keys() - {"method", *GROUPS}
    if surplus:
        tables = ", ".join(GROUPS)
        raise UsageError(f"--recipe {path}: no table {min(surplus)}; there are {tables}")
    _check_groups(recipe, f"--recipe {path}")
    return recipe


def split_assignments(values: Mapping[str, Any]) -> dict[str, Any]:
    """Sort ``--set`` values: ``data.`` and ``training.`` are the host's, the rest the method's.

    Raises:
        UsageError: if a group is set as if it were an option.
    """
    _check_groups(values, "--set")
    own = {name: value for name, value in values.items() if name not in GROUPS}
    groups = {name: value for name, value in values.items() if name in GROUPS}
    return merge(groups, {"options": own}) if own else groups


def _check_groups(values: Mapping[str, Any], where: str) -> None:
    for name in GROUPS:
        if not isinstance(values.get(name, {}), Mapping):
            raise UsageError(f"{where}: {name} is a group of options; set {name}.NAME")


def make_plan(
    method: str,
    folders: Sequence[str],
    dataset: str | None,
    recipe: Mapping[str, Any],
    given: Mapping[str, Any],
    init: str = "",
) -> RunPlan:
    """Return the plan: defaults under the recipe under what was given.

    Raises:
        UsageError: if the recipe is another method's, or the card has a field that cards have not.
    """
    if recipe.get("method", method) != method:
        raise UsageError(f"the recipe is for {recipe['method']}, not for {method}")
    values = merge({group: recipe.get(group, {}) for group in GROUPS}, given)
    card = build(Card, values["card"], what="card").model_dump(mode="json")
    return RunPlan(
        method,
        tuple(folders),
        dataset,
        values["options"],
        values["data"],
        values["training"],
        card,
        _located(init),
    )


def _located(init: str) -> str:
    """Return where a run begins from: a path as an absolute one; a model's name comes first."""
    if not os.path.exists(init) or init in the_host().model_names():
        return init
    return os.path.abspath(init)


def recipe_of(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe that a resolved plan amounts to."""
    return {"method": plan["method"]} | {group: plan[group] for group in GROUPS}


def store(path: Path, plan: Mapping[str, Any]) -> None:
    """Write a resolved plan.

    Raises:
        TranslateError: if it cannot be written.
    """
    with replacing(path) as file:
        file.write(f"{json.dumps(plan, indent=2)}\n".encode())


def stored(path: Path) -> dict[str, Any]:
    """Return a run's stored plan.

    Raises:
        UsageError: if there is none.
    """
    try:
        plan = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"{path.parent}: no run to go on with; leave out --resume") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not a run's options ({error})") from None
    if not isinstance(plan, dict):
        raise UsageError(f"{path}: not a run's options")
    return plan


def refuse_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Check that a run goes on as it began.

    Raises:
        UsageError: naming every key that differs and may not.
    """
    # What a run of an older version did not know of cannot have been otherwise.
    old, new = _flat(before), _flat(json.loads(json.dumps(now)))
    changed = [
        f"{key} (was {value!r}, now {new.get(key)!r})"
        for key, value in old.items()
        if new.get(key) != value and key not in _MAY_CHANGE and not key.startswith("card.")
    ]
    if changed:
        raise UsageError("--resume: the run began otherwise: " + "; ".join(changed))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
