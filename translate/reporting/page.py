"""The page: one file with everything in it, to be opened, kept and sent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from string import Template

from translate import __version__
from translate.atomic import write_atomic
from translate.reporting import gallery, settings
from translate.reporting.chart import COLOURS, chart
from translate.reporting.curves import Group, grouped, title_of
from translate.reporting.folder import RunFolder, read_run
from translate.reporting.markup import Html, join, tag
from translate.reporting.overview import overview

_TEMPLATES = Path(__file__).parent.parent / "templates" / "report"


def write_report(folders: Sequence[Path], output: Path) -> None:
    """Write the page on these runs, whole or not at all.

    Raises:
        UsageError: if one of them is no run.
        TranslateError: if the page cannot be written.
    """
    text = page([read_run(folder) for folder in folders])
    # A name or text may hold what no encoding has: half of a surrogate pair.
    write_atomic(output, text.encode(errors="replace"))


def page(runs: Sequence[RunFolder]) -> str:
    """Return the page on these runs: alarms and figures, curves, pictures, options."""
    parts = [
        *overview(runs),
        *_section("Curves", [_curves(runs)]),
        *_each("Samples", runs, [gallery.grids(run) for run in runs]),
        *_each("Snapshots", runs, [gallery.snapshots(run) for run in runs]),
        *_section("Options", [settings.options(runs)]),
        *_section("Environment", [settings.environment(runs)]),
        *_each("Recipe", runs, [tag("pre", run.recipe) if run.recipe else None for run in runs]),
        tag("footer", f"translate {__version__}, {time.strftime('%Y-%m-%d %H:%M')}"),
    ]
    template = Template((_TEMPLATES / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=join([" and ".join(run.name for run in runs)]),
        style=(_TEMPLATES / "style.css").read_text(encoding="utf-8"),
        script=(_TEMPLATES / "script.js").read_text(encoding="utf-8"),
        body=Html("\n".join(parts)),
    )


def _curves(runs: Sequence[RunFolder]) -> Html:
    keys = dict.fromkeys(key for run in runs for key in run.curves)
    if not keys:
        return tag("p", "The log has no lines yet.", class_="note")
    images = max(curve.images[-1] for run in runs for curve in run.curves.values())
    alarms = [alarm.images for run in runs for alarm in run.alarms]
    groups = [
        _group(runs, group, members, images, alarms) for group, members in grouped(keys).items()
    ]
    return tag("div", *groups, class_="groups")


def _group(
    runs: Sequence[RunFolder], group: Group, keys: Sequence[str], images: int, alarms: list[int]
) -> Html:
    charts = []
    for key in keys:
        curves = {n: run.curves[key] for n, run in enumerate(runs) if key in run.curves}
        charts.append(chart(title_of(key), curves, group, images, alarms))
    return tag(
        "div",
        tag("h3", group.title),
        tag("p", group.note, class_="note"),
        tag("div", *charts, class_="charts"),
        style=f"--charts: {len(charts)}",
    )


def _section(title: str, parts: Sequence[Html | None]) -> list[Html]:
    """Return a section, or nothing where none of its parts is there."""
    there = [part for part in parts if part is not None]
    return [tag("section", tag("h2", title), *there)] if there else []


def _each(title: str, runs: Sequence[RunFolder], parts: Sequence[Html | None]) -> list[Html]:
    """Return a section with a part for each run that has one, under the run's name."""
    if len(runs) > 1:
        parts = [
            part and tag("div", tag("h3", run.name, class_=f"run{number % COLOURS}"), part)
            for number, (run, part) in enumerate(zip(runs, parts, strict=True))
        ]
    return _section(title, parts)
