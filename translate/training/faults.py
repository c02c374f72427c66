"""The faults that training can have: what in the log shows each, and what usually helps.

Every threshold is relative to the run's own early lines or has no unit, so that no method,
objective or weight has to be known. A sign alone is no alarm: it must last (see ``Health``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from translate.training.settings import EVERY


@dataclass(frozen=True)
class Line:
    """A line of the log.

    Attributes:
        images: training images seen.
        scalars: finite numbers by the log's names.
        judges: the phases that train discriminators.
        rates: the highest learning rate of each phase so far.
        warm: whether the beginning, which may be chaotic, is over.
    """

    images: int
    scalars: Mapping[str, float]
    judges: Collection[str]
    rates: Mapping[str, float]
    warm: bool

    def ending(self, last: str) -> dict[str, float]:
        """Return the values of the names ending with ``/last``, by what stands before."""
        return {
            name.removesuffix(f"/{last}"): value
            for name, value in self.scalars.items()
            if name.endswith(f"/{last}")
        }

    def terms(self, phase: str) -> dict[str, float]:
        """Return a phase's loss terms; none if it took no turn."""
        others = (f"{phase}/gradient", f"{phase}/rate")
        return {
            name: value
            for name, value in self.scalars.items()
            if name.startswith(f"{phase}/") and name not in others
        }

    @property
    def judge(self) -> str:
        """The phase whose rate changes how the discriminators learn."""
        return next((phase for phase in sorted(self.judges)), EVERY)

    def rate(self, phase: str, factor: float) -> str:
        """Return the setting that multiplies a phase's learning rate."""
        usual = max(self.rates.values(), default=0.0) or 2e-4
        rate = self.rates.get(phase, 0.0) or usual
        return f"--set training.players.{phase}.lr={rate * factor:.1g}"


class Fault(ABC):
    """One kind of fault: it remembers of earlier lines what it compares with.

    Attributes:
        name: of the alarm.
        lines: that must show it in a row.
        patience: how long these must last, in units of the run's patience.
    """

    name: ClassVar[str]
    lines: ClassVar[int] = 5
    patience: ClassVar[float] = 1.0

    @abstractmethod
    def signs(self, line: Line) -> dict[str, str]:
        """Return a sentence for each thing that shows the fault in this line."""


@dataclass
class Early:
    """A series' first lines: the run's own measure of what is much."""

    seen: dict[str, list[float]] = field(default_factory=dict)

    def of(self, name: str, value: float) -> list[float]:
        """Take in a value of the series; return the magnitudes of its first three, sorted."""
        first = self.seen.setdefault(name, [])
        if len(first) < 3:
            first.append(abs(value))
            first.sort()
        return first


class TooStrong(Fault):
    """The discriminator is always right, and its loss is next to nothing.

    The first alone is no fault: it is what a Wasserstein critic should do, and what a
    discriminator of single images mostly does. With the loss near 0 it has nothing left to say.
    """

    name = "discriminator-too-strong"

    def __init__(self) -> None:
        self._early = Early()

    def signs(self, line: Line) -> dict[str, str]:
        shares = [
            # The largest still holds the first steps, even where it wins within a hundred.
            loss / max(self._early.of(name, loss)[-1], 1e-12)
            for phase in line.judges
            for name, loss in line.terms(phase).items()
            if loss >= 0  # below 0 it is a Wasserstein critic's, which has no floor
        ]
        share = min(shares, default=1.0)
        if share > 0.02 or not line.warm:
            return {}
        return {
            judge: f"{judge} puts {above:.0%} of real above made and its loss is {share:.1g} of "
            "what it was: it is too strong for the generator to learn from it; slow it down with "
            f"{line.rate(line.judge, 0.25)}"
            for judge, above in line.ending("above").items()
            if above >= 0.98
        }


class TooWeak(Fault):
    """The discriminator does no better than guessing, and for long."""

    name = "discriminator-too-weak"
    lines = 10
    patience = 2.0

    def signs(self, line: Line) -> dict[str, str]:
        if not line.warm:
            return {}
        return {
            judge: f"{judge} puts only {above:.0%} of real above made, no better than guessing: it "
            "teaches the generator nothing; let it learn faster with "
            f"{line.rate(line.judge, 4)}, or take two turns for each of the generator's with "
            f"--set training.players.{line.judge}.updates=2"
            for judge, above in line.ending("above").items()
            # BEGAN balances its players: made pictures above real ones is its aim.
            if above <= 0.55 and f"{judge}/balance" not in line.scalars
        }


class VanishingGradient(Fault):
    """A player's gradient is gone although its loss is not: it can learn no more.

    A gradient also fades where learning succeeds, but then the loss does, too.
    """

    name = "vanishing-gradient"

    def __init__(self) -> None:
        self._early, self._losses = Early(), dict[str, float]()

    def signs(self, line: Line) -> dict[str, str]:
        signs = {}
        for phase, gradient in line.ending("gradient").items():
            if phase in line.judges:
                continue
            loss = sum(line.terms(phase).values())
            first = self._losses.setdefault(phase, loss)
            # The middle one: the first steps may be untamed, before weights are clipped.
            early = self._early.of(phase, gradient)
            share = gradient / max(early[len(early) // 2], 1e-12)
            if line.warm and share <= 0.01 and loss >= min(first, first / 2):
                signs[phase] = (
                    f"{phase}'s gradient has fallen to {share:.1g} of what it was but its loss "
                    f"has not: nothing reaches it any more; {self._advice(line, phase)}"
                )
        return signs

    def _advice(self, line: Line, phase: str) -> str:
        if not line.ending("above"):
            return f"its units are most likely dead: begin again with {line.rate(phase, 0.1)}"
        return (
            "an objective that does not saturate (--set adversarial=lsgan) or a slower "
            f"discriminator ({line.rate(line.judge, 0.25)}) gives it something to learn from"
        )


class ModeCollapse(Fault):
    """The outputs differ much less than they did, and than the training pictures do."""

    name = "mode-collapse"

    def __init__(self) -> None:
        self._best: dict[str, float] = {}
        self._before: dict[str, float] = {}

    def signs(self, line: Line) -> dict[str, str]:
        signs = {}
        for export, spread in line.ending("spread").items():
            if not line.warm:
                continue
            # Two lines in a row, since a single one may be an accident.
            lasting = min(spread, self._before.get(export, spread))
            best = self._best[export] = max(lasting, self._best.get(export, 0.0))
            self._before[export] = spread
            if spread <= min(0.25, 0.3 * best) or spread <= 0.04:
                signs[export] = (
                    f"{export}'s outputs for different inputs differ by {spread:.0%} of what "
                    f"training pictures do (at best {best:.0%}): it gives nearly one picture for "
                    "all (mode collapse); go back to an earlier checkpoint, or begin again with "
                    f"{self._advice(line)}"
                )
        return signs

    def _advice(self, line: Line) -> str:
        slower = line.rate(EVERY, 0.5)
        if not line.judges:
            return slower
        return f"{slower} or --set training.players.{line.judge}.updates=2"


class Oscillation(Fault):
    """Generator and discriminator take turns in winning instead of coming to rest."""

    name = "oscillation"
    lines = 1
    patience = 0.0
    _turns = 4  # changes of who is ahead
    _within = 40  # lines

    def __init__(self) -> None:
        self._number = 0
        self._ahead: dict[str, bool] = {}
        self._changes: dict[str, list[tuple[int, int]]] = {}

    def signs(self, line: Line) -> dict[str, str]:
        if not line.warm:
            return {}
        self._number += 1
        signs = {}
        for judge, above in line.ending("above").items():
            changes = self._changes.setdefault(judge, [])
            if above >= 0.7 or above <= 0.3:
                ahead = above >= 0.7
                if self._ahead.get(judge, ahead) != ahead:
                    changes.append((self._number, line.images))
                self._ahead[judge] = ahead
            changes[:] = [c for c in changes if self._number - c[0] < self._within]
            if len(changes) >= self._turns:
                span = line.images - changes[0][1]
                signs[judge] = (
                    f"{judge} and the generator took turns in winning, {len(changes)} times "
                    f"within {span:,} images: they chase each other and do not come to rest "
                    f"(oscillation); begin again with {line.rate(EVERY, 0.25)}"
                )
        return signs


class ColourInversion(Fault):
    """Light becomes dark; where the data are pairs, only if light stays light in them."""

    name = "colour-inversion"

    def signs(self, line: Line) -> dict[str, str]:
        data = line.ending("data_luminance")
        return {
            export: f"{export} turns light into dark (luminance of input and output correlate by "
            f"{luminance:+.2f}): it inverts colours, which longer training seldom mends; begin "
            "again with another seed (--set training.seed=1)"
            for export, luminance in line.ending("luminance").items()
            if luminance <= -0.3 and data.get(export, 1.0) >= 0.3
        }


def all_faults() -> list[Fault]:
    """Return a fresh watcher for each kind of fault."""
    return [
        TooStrong(),
        TooWeak(),
        VanishingGradient(),
        ModeCollapse(),
        Oscillation(),
        ColourInversion(),
    ]
