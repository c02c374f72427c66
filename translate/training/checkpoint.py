"""Checkpoints: the whole state of a run in one file, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from translate.errors import TranslateError


def save(path: Path, state: dict[str, Any]) -> None:
    """Write ``state``; a failure leaves the file that was there as it was.

    Raises:
        TranslateError: if it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except (OSError, RuntimeError) as error:  # torch's zip writer wraps a full disk
        with contextlib.suppress(OSError):
            part.unlink()
        reason = str(error).splitlines()[0]
        raise TranslateError(f"{path}: the checkpoint cannot be written ({reason})") from None


def load(path: Path) -> dict[str, Any]:
    """Return the state in ``path``.

    Raises:
        TranslateError: if there is none or it cannot be read.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise TranslateError(f"{path}: no checkpoint to go on from") from None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TranslateError(f"{path}: not a readable checkpoint ({reason})") from None
    return state
