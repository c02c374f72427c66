"""Curves made fit to be looked at: thinned, smoothed, and sorted by what they tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from translate.reporting.folder import Curve

_BUCKETS = 300  # of a thinned curve, each with its lowest and highest point
_FEWEST = 12  # points worth smoothing


@dataclass(frozen=True)
class Group:
    """Curves of one meaning: how they are called, what to look for, and how to draw them."""

    title: str
    note: str
    range: tuple[float, float] | None = None
    guides: tuple[float, ...] = ()
    scale: Literal["linear", "auto"] = "linear"  # auto: logarithmic where values span decades
    smooth: bool = True


_LUMINANCE = Group(
    "Light and dark",
    "Correlation of a picture's lightness with its output's, and, in the data, with that of what "
    "the output should resemble; well below 0 where colours are inverted.",
    range=(-1, 1),
    guides=(0.0,),
)
_BY_SUFFIX = {
    "above": Group(
        "Discriminators",
        "Share of scores in which a real picture is above a fake one: 0.5 is confused, "
        "1 for long is too strong.",
        range=(0, 1),
        guides=(0.5,),
    ),
    "spread": Group(
        "Variety of the outputs",
        "How different the outputs are; a fall towards 0 is mode collapse.",
    ),
    "luminance": _LUMINANCE,
    "data_luminance": _LUMINANCE,
    "gradient": Group(
        "Gradients", "Norm of each player's gradient, before clipping.", scale="auto"
    ),
    "rate": Group("Learning rates", "", smooth=False),
}
_SPEED = Group("Speed", "Images a second, and the share of time spent waiting for data.")
_SPEED_KEYS = ("images_per_second", "waiting")
_OTHER = Group("Other", "", scale="auto")


def group_of(key: str) -> Group:
    """Return the group of the curve called ``key`` in the log."""
    phase, slash, last = key.rpartition("/")
    if key in _SPEED_KEYS:
        return _SPEED
    if not slash:
        return _OTHER
    return _BY_SUFFIX.get(last) or Group(f"Losses: {phase}", "", scale="auto")


def title_of(key: str) -> str:
    """Return what a curve is called within its group."""
    place, _, last = key.rpartition("/")
    if place == "" or last not in _BY_SUFFIX:
        return last or key
    return f"{place}, in the data" if last.startswith("data_") else place


def grouped(keys: Iterable[str]) -> dict[Group, list[str]]:
    """Return the keys by their groups: losses first, as they are logged, then what they mean."""
    groups: dict[Group, list[str]] = {}
    for key in keys:
        groups.setdefault(group_of(key), []).append(key)
    order = [*_BY_SUFFIX.values(), _SPEED, _OTHER]
    return dict(sorted(groups.items(), key=lambda pair: _place(pair[0], order)))


def _place(group: Group, order: Sequence[Group]) -> int:
    return order.index(group) if group in order else -1


def thin(curve: Curve, buckets: int = _BUCKETS) -> Curve:
    """Return at most about twice ``buckets`` points: the lowest and the highest of each bucket.

    The first and the last point stay too, so that no peak and no end is lost.
    """
    count = len(curve.values)
    if count <= 2 * buckets:
        return curve
    kept = {0, count - 1}
    for bucket in range(buckets):
        places = range(bucket * count // buckets, (bucket + 1) * count // buckets)
        kept |= {min(places, key=curve.values.__getitem__)}
        kept |= {max(places, key=curve.values.__getitem__)}
    return _at(curve, sorted(kept))


def smooth(curve: Curve, buckets: int = _BUCKETS) -> Curve | None:
    """Return the curve's moving average at about ``buckets`` places, or None where it is short.

    It is the mean of an average that goes forwards and one that goes backwards, so that it does
    not lag behind the curve.
    """
    count = len(curve.values)
    if count < _FEWEST:
        return None
    forwards = _moving_average(curve.values)
    backwards = _moving_average(curve.values[::-1])[::-1]
    means = [(one + other) / 2 for one, other in zip(forwards, backwards, strict=True)]
    places = sorted({*range(0, count, max(count // buckets, 1)), count - 1})
    return _at(Curve(curve.images, means), places)


def _moving_average(values: Sequence[float]) -> list[float]:
    """Return an exponential average that forgets half in a fortieth of the values.

    It is corrected for its beginning at zero as Adam's averages are (Kingma and Ba 2014,
    arXiv:1412.6980, section 3).
    """
    keep = 0.5 ** (1 / max(len(values) / 40, 1))
    mean, means = 0.0, []
    for number, value in enumerate(values, start=1):
        mean = keep * mean + (1 - keep) * value
        means.append(mean / (1 - keep**number))
    return means


def _at(curve: Curve, places: Sequence[int]) -> Curve:
    return Curve([curve.images[i] for i in places], [curve.values[i] for i in places])
