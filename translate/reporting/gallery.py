"""Sample grids over time, and snapshots side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from translate.files import show
from translate.reporting.axis import figures
from translate.reporting.curves import grouped
from translate.reporting.folder import Curve, RunFolder
from translate.reporting.markup import Html, tag
from translate.reporting.pictures import embed, evenly

_MOST_GRIDS = 24
_GRID_PIXELS = 600_000
_MOST_SNAPSHOTS = 8
_SNAPSHOT_PIXELS = 160_000
_LINES = 5  # of the log around a snapshot, whose median is shown


def grids(run: RunFolder) -> Html | None:
    """Return the run's sample grids as a strip, which the page's script lets scrub through."""
    figures = []
    for images, path in evenly(run.grids, _MOST_GRIDS).items():
        picture = embed(path, pixels=_GRID_PIXELS, description=f"samples at {images:,} images")
        if picture is not None:
            figures.append(tag("figure", picture, tag("figcaption", f"{images:,}")))
    if not figures:
        return None
    shown = "" if len(figures) == len(run.grids) else f" ({len(figures)} of {len(run.grids)})"
    note = f"The same samples as training goes on, at so many images{shown}."
    return tag("div", tag("p", note, class_="note"), tag("div", *figures, class_="strip"))


def snapshots(run: RunFolder) -> Html | None:
    """Return the run's snapshots as the columns of a table: grid, numbers, and models."""
    chosen = evenly(run.snapshots, _MOST_SNAPSHOTS)
    if not chosen:
        return None
    head = [tag("th", f"{images:,} images", scope="col") for images in chosen]
    rows = [
        tag("tr", tag("th"), *head),
        _row("samples", [_grid_of(run, images) for images in chosen]),
        *(_row(key, cells) for key, cells in _numbers(run.curves, list(chosen))),
        _row("models", [_models(run, images) for images in chosen]),
    ]
    note = f"Numbers are medians of the {_LINES} lines of the log around each snapshot."
    return tag("div", tag("p", note, class_="note"), tag("div", tag("table", *rows), class_="wide"))


def _row(name: str, cells: Sequence[str]) -> Html:
    return tag("tr", tag("th", name, scope="row"), *(tag("td", cell) for cell in cells))


def _grid_of(run: RunFolder, images: int) -> str:
    """Return the sample grid nearest to a snapshot."""
    if not run.grids:
        return ""
    nearest = min(run.grids, key=lambda number: abs(number - images))
    text = f"samples at {nearest:,} images"
    picture = embed(run.grids[nearest], pixels=_SNAPSHOT_PIXELS, description=text)
    if picture is None or nearest == images:
        return picture or ""
    return tag("div", picture, tag("div", f"at {nearest:,}", class_="note"))


def _numbers(
    curves: Mapping[str, Curve], snapshots: Sequence[int]
) -> Iterator[tuple[str, list[str]]]:
    for keys in grouped(curves).values():
        for key in keys:
            yield key, [figures(_around(curves[key], images)) for images in snapshots]


def _around(curve: Curve, images: int) -> float:
    nearest = sorted(range(len(curve.images)), key=lambda i: abs(curve.images[i] - images))
    return median(curve.values[i] for i in nearest[:_LINES])


def _models(run: RunFolder, images: int) -> str:
    try:
        found = sorted(path.name for path in run.snapshots[images].glob("*.safetensors"))
    except OSError:
        return ""
    return ", ".join(map(show, found))
