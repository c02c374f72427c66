"""The run's health: it reads the log's lines and says what goes wrong, once for each fault.

What it knows depends on the log alone, so a run that goes on knows again what it knew when its
old lines are replayed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from translate.training.faults import Fault, Line, all_faults
from translate.training.observe import observe
from translate.training.settings import TrainingSettings

__all__ = ["Alarm", "Health", "observe", "patience"]


@dataclass(frozen=True)
class Alarm:
    """What was seen, what it means and what usually helps, in one sentence."""

    name: str
    text: str
    images: int


class Health:
    """Watches the log's lines for faults; knows no method, only how the log names things.

    Args:
        judges: the names of the phases that train discriminators.
        patience: images that a fault must last, and that a beginning may be chaotic for.
    """

    def __init__(self, judges: Collection[str] = (), *, patience: int = 500) -> None:
        self.patience = patience
        self._judges = frozenset(judges)
        self._faults = all_faults()
        self._rates: dict[str, float] = {}
        self._seen: dict[tuple[str, str], _Sighting] = {}
        self._told: set[str] = set()

    def line(self, images: int, scalars: Mapping[str, float]) -> list[Alarm]:
        """Take in a line of the log and return what is to be told now.

        Args:
            images: training images seen.
            scalars: what the line holds, by the log's names; unknown ones are ignored.
        """
        numbers = {name: value for name, value in scalars.items() if math.isfinite(value)}
        line = Line(images, numbers, self._judges, self._rates, warm=images > self.patience)
        for phase, rate in line.ending("rate").items():
            self._rates[phase] = max(rate, self._rates.get(phase, 0.0))
        return [alarm for fault in self._faults for alarm in self._watch(fault, line)]

    def replay(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Take in the lines of a log as they were written; no alarm in them is told again."""
        told = set(self._told)
        for line in lines:
            if "alarm" in line:
                told.add(line["alarm"])
            elif "images" in line:
                scalars = {k: v for k, v in line.items() if isinstance(v, int | float)}
                self.line(line["images"], scalars)
        self._told = told  # what was due but not written is told with the next line

    def _watch(self, fault: Fault, line: Line) -> list[Alarm]:
        signs = fault.signs(line)
        due = []
        for thing, text in signs.items():
            sighting = self._seen.setdefault((fault.name, thing), _Sighting(line.images))
            sighting.lines += 1
            lasted = line.images - sighting.since
            if sighting.lines >= fault.lines and lasted >= self.patience * fault.patience:
                due.append(Alarm(fault.name, text, line.images))
        for name, thing in list(self._seen):
            if name == fault.name and thing not in signs:
                del self._seen[name, thing]
        if not due or fault.name in self._told:
            return []
        self._told.add(fault.name)
        return due[:1]


@dataclass
class _Sighting:
    """A fault that every line since has shown."""

    since: int
    lines: int = 0


def patience(settings: TrainingSettings) -> int:
    """Return the images that a fault must last: 500 steps, or a twentieth of a short run."""
    return max(1, min(500 * settings.batch_size, settings.images // 20))
