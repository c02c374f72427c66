"""Curves, alarms and sample grids for TensorBoard, in RUN/tensorboard.

Installing tensorboard switches it on; without that, nothing here does anything.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from translate.hookspecs import hookimpl

if TYPE_CHECKING:
    from translate_tensorboard.board import Boards


@functools.cache
def boards() -> Boards | None:
    """Return the boards of the runs in this process, or None where there is no tensorboard."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from translate_tensorboard.board import Boards  # tensorboard is slow to load

    return Boards()


@hookimpl
def training_started(run: Path, images: int) -> None:
    if open_boards := boards():
        open_boards.open(run, images)


@hookimpl
def training_logged(run: Path, images: int, scalars: Mapping[str, float]) -> None:
    if open_boards := boards():
        open_boards.scalars(run, images, scalars)


@hookimpl
def training_alarmed(run: Path, images: int, alarm: str, text: str) -> None:
    if open_boards := boards():
        open_boards.alarm(run, images, alarm, text)


@hookimpl
def samples_saved(run: Path, path: Path, images: int) -> None:
    if open_boards := boards():
        open_boards.grid(run, images, path)


@hookimpl
def training_ended(run: Path) -> None:
    if open_boards := boards():
        open_boards.close(run)
