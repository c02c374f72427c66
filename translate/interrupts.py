"""Ctrl-C and SIGTERM, acted on only where nothing can break by it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

_ONE_PRESS_S = 1.0  # launchers pass a Ctrl-C on that the terminal has sent to everybody


class Interrupts:
    """While it is entered, remembers that somebody asked to stop.

    An exception in the middle of an import or of a bookkeeping step could leave anything behind.
    So the first request only calls ``then`` (and does so late if it is set late); another one, a
    second later, is a KeyboardInterrupt on the spot.
    """

    def __init__(self) -> None:
        self._asked: float | None = None
        self._then: Callable[[], None] | None = None
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return self._asked is not None

    def then(self, call: Callable[[], None]) -> None:
        """Set what a request to stop calls; it may raise."""
        self._then = call
        if self:
            call()

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._asked is None:
            self._asked = now
            if self._then:
                self._then()
        elif now - self._asked > _ONE_PRESS_S:
            raise KeyboardInterrupt
