"""The run: every case through the model, and each output before the measures.

The model is run by the engine of ``translate MODEL``, at full depth, and before any file format.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from translate.errors import ImageError
from translate.evaluation.choosing import Makers
from translate.evaluation.data import Case, EvaluationSet, PictureSource, as_measured, read
from translate.evaluation.measure import Comparison, Measure, Pixels, Result
from translate.files import show
from translate.images import Picture
from translate.inference.engine import Engine
from translate.inference.failing import why
from translate.inference.fitting import Finished, Prepared
from translate.inference.generator import Generator

# Of each model, the name of a measure beside each of its numbers.
Results = Mapping[str, Sequence[tuple[str, Result]]]

_WAITING_BYTES = 128 << 20  # of inputs that wait for company in a batch


@dataclass(frozen=True, eq=False)
class Measured:
    """What became of one case, or of one real picture, which has no comparison.

    Attributes:
        error: why it failed, with its name; None if it did not.
        comparison: what measures were shown, if they were.
        values: of the model's output by measure, where it has one of its own.
        others: what the baselines made of the same input, by name.
    """

    name: str
    error: str | None = None
    comparison: Comparison | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    others: Mapping[str, Pixels] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Work:
    case: Case
    prepared: Prepared


class Evaluation:
    """One model and its baselines before the same measures.

    Args:
        model: what it is called in the table.
        makers: of the measures, by name; each makes one for a model.
    """

    def __init__(
        self,
        engine: Engine | Generator,
        model: str,
        tried: EvaluationSet,
        makers: Makers,
        *,
        batch_size: int,
        seed: int = 0,
    ) -> None:
        self.engine, self.model, self.tried = engine, model, tried
        self.batch_size, self.seed = max(1, batch_size), seed
        self.baselines = dict(tried.baselines)
        # A measure that cannot be made is noticed here, before any work.
        self.measures: dict[str, dict[str, Measure[Any]]] = {
            name: {key: make() for key, make in makers.items()} for name in (model, *self.baselines)
        }

    @property
    def taken(self) -> Mapping[str, Measure[Any]]:
        """The measures of the model, by name."""
        return self.measures[self.model]

    def __len__(self) -> int:
        """Return how many pictures it goes through."""
        return len(self.tried.cases) + len(self.tried.real)

    def __call__(self) -> Iterator[Measured]:
        """Yield what became of each case, and then of each real picture."""
        if isinstance(self.engine, Generator):
            yield from self._made(self.engine)
        else:
            yield from self._translated(self.engine)
        for number, source in enumerate(self.tried.real):
            yield self._show_real(source, number)

    def _made(self, generator: Generator) -> Iterator[Measured]:
        """Go through cases that have no picture."""
        for start in range(0, len(self.tried.cases), self.batch_size):
            cases = self.tried.cases[start : start + self.batch_size]
            try:
                requests = [generator.request(case.value, self.seed + case.seed) for case in cases]
                pictures = list(generator.pictures(requests))
            except Exception as error:
                yield from (self._failed(case.name, error) for case in cases)
                continue
            for case, picture in zip(cases, pictures, strict=True):
                yield self._measure(case, None, picture)

    def _translated(self, engine: Engine) -> Iterator[Measured]:
        for batch in self._batches(engine):
            if isinstance(batch, Measured):
                yield batch
                continue
            for work, result in zip(batch, self._run(engine, batch), strict=True):
                if isinstance(result, Measured):
                    yield result
                    continue
                try:
                    output = engine.finish(result)
                except Exception as error:
                    yield self._failed(work.case.name, error)
                    continue
                yield self._measure(work.case, work.prepared.picture, output)

    def results(self) -> tuple[Results, list[str]]:
        """Return the numbers by model, and why there are none of a measure."""
        found: dict[str, list[tuple[str, Result]]] = {}
        problems: list[str] = []
        for model, measures in self.measures.items():
            found[model] = []
            for name, measure in measures.items():
                try:
                    found[model] += [(name, result) for result in measure.results()]
                except Exception as error:
                    problems.append(f"measure {name}, {model}: {self._why(error)}")
        return found, problems

    def _why(self, error: Exception) -> str:
        sized = isinstance(self.engine, Engine) and self.engine.fit.scale == 1
        return why(error, sized=sized)

    def _failed(self, name: str, error: Exception) -> Measured:
        return Measured(name, f"{show(name)}: {self._why(error)}")

    def _batches(self, engine: Engine) -> Iterator[Sequence[_Work] | Measured]:
        """Read the cases, grouped by what may run together; what waits for company is bounded."""
        waiting: dict[Hashable, list[_Work]] = {}
        held = 0
        for case in self.tried.cases:
            try:
                if case.source is None:
                    raise ImageError("no picture, which this model starts from")
                work = _Work(case, engine.prepare(read(case.source)))
            except Exception as error:
                yield self._failed(case.name, error)
                continue
            key = engine.group(work.prepared)
            waiting.setdefault(key, []).append(work)
            held += _bytes([work])
            if held > _WAITING_BYTES:
                yield from waiting.values()
                waiting, held = {}, 0
            elif len(waiting[key]) >= self.batch_size:
                held -= _bytes(waiting[key])
                yield waiting.pop(key)
        yield from waiting.values()

    def _run(self, engine: Engine, works: Sequence[_Work]) -> Sequence[Finished | Measured]:
        try:
            prepared = [work.prepared for work in works]
            return engine.run(prepared, [self.seed] * len(works))
        except Exception as error:
            if len(works) == 1:
                return [self._failed(works[0].case.name, error)]
        # One by one, to find out which one it is.
        return [result for work in works for result in self._run(engine, [work])]

    def _measure(self, case: Case, given: Picture | None, made: Picture) -> Measured:
        try:
            source = None if given is None else as_measured(given)
            output = as_measured(made)
            target = None
            if case.target is not None:
                target = as_measured(read(case.target))
                _refuse_other_size(output, target)
            asked = case.label, case.value, case.unseen
            shown = {self.model: Comparison(case.name, source, output, target, *asked)}
            for name, baseline in list(self.baselines.items()):
                if source is None:
                    continue
                other = baseline(source)
                if other.shape == output.shape:
                    shown[name] = Comparison(case.name, source, other, target)
                else:  # the model enlarges, and the input is no answer to that
                    del self.baselines[name], self.measures[name]
            return self._show(shown)
        except Exception as error:
            return self._failed(case.name, error)

    def _show(self, shown: Mapping[str, Comparison]) -> Measured:
        """Show each measure its model's output; one that cannot measure it stops no other."""
        values: dict[str, float] = {}
        problems: dict[str, str] = {}
        for model, comparison in shown.items():
            for name, measure in self.measures[model].items():
                try:
                    value = measure.add(comparison)
                except Exception as error:
                    problems.setdefault(name, self._why(error))
                    continue
                if value is not None and model == self.model:
                    values[name] = value
        comparison = shown[self.model]
        if comparison.target is not None and not self.tried.captions:  # which are in ``real``
            self._add_real(comparison.target)
        reasons = "; ".join(f"measure {name}: {reason}" for name, reason in problems.items())
        failure = f"{show(comparison.name)}: {reasons}" if reasons else None
        others = {name: one.output for name, one in shown.items() if name != self.model}
        return Measured(comparison.name, failure, comparison, values, others)

    def _show_real(self, source: PictureSource, number: int) -> Measured:
        name = show(source) if isinstance(source, Path) else f"real picture {number + 1}"
        try:
            pixels = as_measured(read(source))
            unseen = number >= len(self.tried.real) - self.tried.unseen
            if not self.tried.labels and not self.tried.captions:
                self._add_real(pixels)
            for measure in (one for some in self.measures.values() for one in some.values()):
                if self.tried.labels:
                    measure.add_labelled(pixels, self.tried.labels[number], unseen=unseen)
                elif self.tried.captions:
                    measure.add_captioned(pixels, self.tried.captions[number], unseen=unseen)
        except Exception as error:
            return self._failed(name, error)
        return Measured(name)

    def _add_real(self, pixels: Pixels) -> None:
        for measures in self.measures.values():
            for measure in measures.values():
                measure.add_real(pixels)


def _bytes(works: Sequence[_Work]) -> int:
    return sum(work.prepared.picture.pixels.nbytes for work in works)


def _refuse_other_size(output: Pixels, target: Pixels) -> None:
    if output.shape != target.shape:
        (height, width), (rows, columns) = output.shape[:2], target.shape[:2]
        raise ImageError(f"the output has {width}×{height} pixels, its target {columns}×{rows}")
