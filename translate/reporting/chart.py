"""One chart as inline SVG: a curve of each run, its axes, and marks where alarms were raised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from translate.reporting.axis import Axis, count, figures, fit
from translate.reporting.curves import Group, smooth, thin
from translate.reporting.folder import Curve
from translate.reporting.markup import Html, join, tag

COLOURS = 6  # that the page's style has; further runs begin again
_WIDTH, _HEIGHT = 360, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 344, 8, 168  # the plot within that, with room for ticks


@dataclass(frozen=True)
class Plot:
    """The two axes of a chart."""

    x: Axis
    y: Axis

    def across(self, images: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * self.x.place(images), 1)

    def up(self, value: float) -> float:
        return round(_BOTTOM - (_BOTTOM - _TOP) * self.y.place(value), 1)


def chart(
    title: str, curves: Mapping[int, Curve], group: Group, images: int, alarms: Sequence[int] = ()
) -> Html:
    """Return a figure with the curves.

    Args:
        curves: by the number of the run, which is their colour; none of them empty.
        images: where the horizontal axis ends, the same in all charts.
        alarms: the training images after which an alarm was raised.
    """
    values = [value for curve in curves.values() for value in (*curve.values, *group.guides)]
    low, high = group.range or (values[0], values[0])
    fits = group.range and low <= min(values) and max(values) <= high
    y = Axis(low, high) if fits else fit(values, may_be_logarithmic=group.scale == "auto")
    plot = Plot(Axis(0, max(images, 1)), y)
    drawing = tag(
        "svg",
        *_grid(plot),
        *(_mark(plot, at) for at in alarms if at <= images),
        *(_guide(plot, value) for value in group.guides),
        *(line for run, curve in curves.items() for line in _lines(plot, run, curve, group)),
        tag("line", class_="cursor", y1=_TOP, y2=_BOTTOM),
        class_="chart",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=title,
        data_plot=f"{_LEFT} {_RIGHT} {_TOP} {_BOTTOM}",
        data_x=f"{plot.x.low} {plot.x.high}",
        data_y=f"{y.low} {y.high}",
        data_log=int(y.logarithmic),
    )
    return tag("figure", tag("figcaption", tag("b", title), _last(curves)), drawing)


def _last(curves: Mapping[int, Curve]) -> Html:
    """Return the last values, which the page's script replaces by those under the pointer."""
    values = [
        tag("span", figures(curve.values[-1]), class_=_colour(run)) for run, curve in curves.items()
    ]
    [first, *_] = curves.values()
    about = f"{figures(min(first.values))} to {figures(max(first.values))}"
    return tag("span", *values, class_="values", title=about if len(curves) == 1 else None)


def _grid(plot: Plot) -> list[Html]:
    parts = []
    for value in plot.y.ticks():
        y = plot.up(value)
        parts.append(tag("line", class_="grid", x1=_LEFT, x2=_RIGHT, y1=y, y2=y))
        parts.append(tag("text", figures(value), class_="tick y", x=_LEFT - 5, y=y + 3))
    for images in plot.x.ticks():
        x = plot.across(images)
        parts.append(tag("line", class_="grid", x1=x, x2=x, y1=_TOP, y2=_BOTTOM))
        parts.append(tag("text", count(images), class_="tick x", x=x, y=_BOTTOM + 14))
    return parts


def _mark(plot: Plot, images: int) -> Html:
    x = plot.across(images)
    return tag("line", class_="alarm", x1=x, x2=x, y1=_TOP, y2=_BOTTOM)


def _guide(plot: Plot, value: float) -> Html:
    y = plot.up(value)
    return tag("line", class_="guide", x1=_LEFT, x2=_RIGHT, y1=y, y2=y)


def _lines(plot: Plot, run: int, curve: Curve, group: Group) -> list[Html]:
    """Return the curve as it is, faint, under its average; or alone, where it needs none."""
    calm = smooth(curve) if group.smooth else None
    raw = thin(curve)
    if calm is None:
        return [_line(plot, raw, f"line {_colour(run)}")]
    return [
        _line(plot, raw, f"raw {_colour(run)}"),
        _line(plot, calm, f"line {_colour(run)}"),
    ]


def _line(plot: Plot, curve: Curve, kind: str) -> Html:
    pairs = list(zip(curve.images, curve.values, strict=True))
    places = " ".join(f"{plot.across(n)},{plot.up(value)}" for n, value in pairs)
    if len(pairs) == 1:  # a line of one point is invisible
        x, y = places.split(",")
        dot = tag("circle", class_=kind, cx=x, cy=y, r=2.5)
        return join([dot, tag("polyline", class_=kind, points=places)])
    return tag("polyline", class_=kind, points=places)


def _colour(run: int) -> str:
    return f"run{run % COLOURS}"
