"""What a model is tried on, and by which measures: those asked for, or all that apply."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from translate.bundle import Model
from translate.dataset import Dataset
from translate.errors import UsageError
from translate.evaluation.data import EvaluationSet
from translate.evaluation.measure import Measure
from translate.host import the_host
from translate.inference.requests import starts_from
from translate.options import Settings, build, merge

Makers = Mapping[str, Callable[[], Measure[Any]]]


def evaluation_set(
    model: Model,
    folders: Sequence[Path],
    *,
    side: Literal["A", "B"] | None = None,
    compare: Literal["pairs", "sets"] | None = None,
    data: Mapping[str, Any] | None = None,
) -> EvaluationSet:
    """Return what the folders hold for a model, as the reader of its training data sees them.

    Args:
        side: the one to translate; None: the one that the model reads.
        data: the reader's options where they are not those of the training.

    Raises:
        UsageError: if the model reads no pictures, or the folders do not hold what it needs.
    """
    source = starts_from(model.header)
    if source not in ("image", "class", "text", "noise"):
        raise UsageError(
            f"the method {model.header.method!r} starts from {source}, not from a picture alone; "
            "that cannot be evaluated yet"
        )
    if source != "image" and (side or compare):
        raise UsageError(
            f"the method {model.header.method!r} reads no picture, so there are no sides"
        )
    host, training = the_host(), model.header.card.training
    name = training.get("dataset") or host.method(model.header.method).data
    known = any(name in (entry.name, entry.kind) for entry in host.datasets.values())
    reader: type[Dataset[Any]] = host.load_dataset(name) if known else Dataset
    options = build(reader.Options, merge(_trained(reader, training), data or {}), what="data")
    needs = type(model.method).data(model.method.options)
    tried = reader.evaluation(folders, options, needs, model.export, compare, side)
    if source == "text" and tried.compares != "captions":
        raise UsageError(
            f"the method {model.header.method!r} starts from text, not from a picture, and {name} "
            "data has no captions"
        )
    return tried


def _trained(reader: type[Dataset[Any]], training: Mapping[str, Any]) -> dict[str, Any]:
    """Return the reader's options that a model was trained with; none of one that was imported."""
    values = training.get("data")
    if not isinstance(values, Mapping):
        return {}
    # A model of an older version may have some that there are no more.
    return {key: value for key, value in values.items() if key in reader.Options.model_fields}


def split(given: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Return what ``--set`` says of measures and ``data``, by name, and of the model's run."""
    measures = {
        name: dict(values)
        for name, values in given.items()
        if (name in the_host().measures or name == "data") and isinstance(values, Mapping)
    }
    return measures, {name: value for name, value in given.items() if name not in measures}


def choose(
    names: Sequence[str],
    compares: str,
    given: Mapping[str, Mapping[str, Any]],
    shared: Mapping[str, Any],
    device: torch.device,
) -> tuple[Makers, list[str]]:
    """Return how to make each measure that is taken, by name, and notes on those that are not.

    Args:
        names: those asked for; none: all that apply and need nothing that was not given.
        compares: what there is, "pairs", "sets", "classes" or "captions"; all are two sets as well.
        given: options of measures, by name.
        shared: options for every measure that has them.

    Raises:
        UsageError: if a measure cannot be taken that was asked for, or none is left.
    """
    host = the_host()
    makers: dict[str, Callable[[], Measure[Any]]] = {}
    needs: dict[str, list[str]] = {}  # what is not given -> the measures that need it
    for name in dict.fromkeys(names) or host.measures:
        entry = host.measure(name)
        if entry.compares != compares and entry.compares != "sets":
            if names:
                why = "no names match here" if entry.compares == "pairs" else "there are none here"
                raise UsageError(f"measure {name}: compares {entry.compares}, and {why}")
            continue
        kind = entry.load()
        fields = kind.Options.model_fields
        values = {key: value for key, value in shared.items() if key in fields}
        values |= given.get(name, {})
        lacking = [key for key, one in fields.items() if one.is_required() and key not in values]
        if lacking:
            needs.setdefault(f"{lacking[0]}: {fields[lacking[0]].description}", []).append(name)
            continue
        options = build(kind.Options, values, what=f"measure {name}")
        makers[name] = _maker(kind, options, device)
    notes = [f"not measured: {', '.join(some)} (need {what})" for what, some in needs.items()]
    if notes and (names or not makers):
        raise UsageError(notes[0])
    if not makers:
        raise UsageError(f"no measure here compares {compares}")
    return makers, notes


def _maker(
    kind: type[Measure[Any]], options: Settings, device: torch.device
) -> Callable[[], Measure[Any]]:
    return lambda: kind(options, device)
