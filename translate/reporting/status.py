"""How far a run is and how fast it goes, from its log alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from translate.reporting.folder import Curve, RunFolder

_RECENT = 20  # lines that say how fast it goes now


@dataclass(frozen=True)
class Status:
    """How far and how fast; None where the log does not say.

    Attributes:
        images, planned: training images seen and to be seen.
        seconds: spent on training, without the pauses of a run that went on.
        speed: images a second, lately.
        waiting: share of the time spent waiting for data, 0 to 1.
        left: seconds to the end at that speed.
    """

    images: int
    planned: int | None
    seconds: float | None
    speed: float | None
    waiting: float | None
    left: float | None


def status_of(run: RunFolder) -> Status:
    """Return how far a run is."""
    images = max((curve.images[-1] for curve in run.curves.values()), default=0)
    training = run.plan.get("training")
    planned = training.get("images") if isinstance(training, dict) else None
    planned = planned if isinstance(planned, int) else None
    speeds = run.curves.get("images_per_second", Curve())
    spans = dict(_spans(speeds))  # by the images at their ends
    seconds = sum(spans.values())
    waits = run.curves.get("waiting", Curve())
    shares = dict(zip(waits.images, waits.values, strict=True))
    weight = sum(spans[n] for n in spans if n in shares)
    recent = [value for value in speeds.values[-_RECENT:] if value > 0]
    speed = median(recent) if recent else None
    return Status(
        images=images,
        planned=planned,
        seconds=seconds if spans else None,
        speed=speed,
        waiting=sum(spans[n] * shares.get(n, 0) for n in spans) / weight if weight else None,
        left=max(planned - images, 0) / speed if planned and speed else None,
    )


def _spans(speeds: Curve) -> Iterator[tuple[int, float]]:
    """Yield how long each line of the log took."""
    before = 0
    for images, speed in zip(speeds.images, speeds.values, strict=True):
        if speed > 0 and images > before:
            yield images, (images - before) / speed
        before = images
