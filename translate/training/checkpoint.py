"""Checkpoints: the whole state of a run in one file, written whole or not at all."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from translate.atomic import replacing
from translate.errors import TranslateError


def save(path: Path, state: dict[str, Any]) -> None:
    """Write ``state``.

    Raises:
        TranslateError: if it cannot be written; the file that was there is untouched.
    """
    with replacing(path) as file:
        torch.save(state, file)


def load(path: Path) -> dict[str, Any]:
    """Return the state in ``path``, on the CPU.

    Raises:
        TranslateError: if it cannot be read.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # whose text tells how to run code in the file
        raise TranslateError(f"{path}: not a readable checkpoint") from None
    except Exception as error:  # a damaged file fails in whatever part of torch meets the damage
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TranslateError(f"{path}: not a readable checkpoint ({reason})") from None
    if not isinstance(state, dict):
        raise TranslateError(f"{path}: not a checkpoint of a run")
    return state
