"""The top of the page: what each run is, how far it is, and what alarmed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from translate.files import show
from translate.reporting.axis import figures
from translate.reporting.chart import COLOURS
from translate.reporting.folder import RunFolder
from translate.reporting.markup import Html, tag
from translate.reporting.status import Status, status_of


def overview(runs: Sequence[RunFolder]) -> list[Html]:
    """Return each run's title, alarms and figures."""
    return [_run(number, run, alone=len(runs) == 1) for number, run in enumerate(runs)]


def _run(number: int, run: RunFolder, *, alone: bool) -> Html:
    colour = None if alone else f"run{number % COLOURS}"
    return tag(
        "section",
        tag("h1", run.name, class_=colour),
        tag("p", what(run), class_="note"),
        *_alarms(run),
        tag("dl", *_tiles(run, status_of(run)), class_="tiles"),
    )


def what(run: RunFolder) -> str:
    """Return the run's method and data in one line."""
    folders = run.plan.get("folders")
    names = [show(Path(str(f)).name) for f in folders] if isinstance(folders, list) else []
    card = run.plan.get("card")
    summary = card.get("summary") if isinstance(card, Mapping) else None
    parts = [
        f"{run.plan.get('method', 'unknown method')} on {', '.join(names) or 'unknown data'}",
        str(run.plan.get("found") or ""),
        str(summary or ""),
    ]
    return " · ".join(part for part in parts if part)


def _alarms(run: RunFolder) -> list[Html]:
    items = [
        tag("li", tag("b", alarm.name), f" at {alarm.images:,} images: {alarm.text}")
        for alarm in run.alarms
    ]
    return [tag("ul", *items, class_="alarms", role="alert")] if items else []


def _tiles(run: RunFolder, status: Status) -> list[Html]:
    facts = {"images seen": _progress(status)}
    if status.seconds is not None:
        facts["time"] = duration(status.seconds)
    if status.speed is not None:
        facts["images a second"] = figures(status.speed)
    if status.waiting is not None:
        facts["waiting for data"] = f"{status.waiting:.1%}"
    if status.left:
        facts["left, at this speed"] = duration(status.left)
    if run.logged is not None:
        facts["last line of the log"] = _since(run.logged)
    facts["alarms"] = str(len(run.alarms) or "none")
    if run.unread:
        facts["damaged lines of the log"] = f"{run.unread:,}"
    return [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts.items()]


def _progress(status: Status) -> str:
    if not status.planned:
        return f"{status.images:,}"
    share = min(status.images / status.planned, 1)
    end = ", the end" if status.images >= status.planned else f" ({share:.0%})"
    return f"{status.images:,} of {status.planned:,}{end}"


def duration(seconds: float) -> str:
    """Return a time in its two largest units.

    >>> [duration(s) for s in (3.4, 75, 3700, 200_000)]
    ['3 s', '1 min 15 s', '1 h 1 min', '2 d 7 h']
    """
    rest = int(seconds)
    parts: list[str] = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if rest >= size or (parts and len(parts) < 2):
            parts.append(f"{rest // size} {unit}")
            rest %= size
    return " ".join(parts[:2]) or "0 s"


def _since(moment: float) -> str:
    """Return when it was; whether a run still goes on, its folder does not say."""
    age = max(time.time() - moment, 0)
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))
    return f"{duration(age)} ago ({at})" if age < 86400 else at
