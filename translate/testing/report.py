"""What a check is, what it finds, and how that is told: what is wrong and where to look."""

from __future__ import annotations

import inspect
import random
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from translate.testing.subject import Subject

_LONGEST = 300  # characters of somebody else's error


@dataclass(frozen=True)
class Problem:
    """Something wrong; ``at`` is where to look: a member of the method's class, or any code."""

    text: str
    at: object = ""


class Broken(Exception):
    """A problem that leaves nothing more to check; its cause, if it has one, says where."""

    def __init__(self, text: str, at: object = "") -> None:
        super().__init__(text)
        self.problem = Problem(text, at)


class Skip(Exception):
    """A check does not apply, for the reason given."""


@dataclass(frozen=True)
class Check:
    """One thing that a method must keep.

    Attributes:
        find: yields what is wrong with the subject.
        after: checks that must have passed for this one to mean anything.
        trains: whether it trains; the quick part leaves it out.
    """

    name: str
    find: Callable[[Subject], Iterator[Problem]]
    after: tuple[str, ...] = ()
    trains: bool = False


def check(*after: Check, trains: bool = False) -> Callable[..., Check]:
    """Make a check of a function that yields problems; it runs where ``after`` have passed."""

    def make(find: Callable[[Subject], Iterator[Problem]]) -> Check:
        name = find.__name__.replace("_", " ")
        return Check(name, find, tuple(other.name for other in after), trains)

    return make


@contextmanager
def doing(what: str, at: object = "") -> Iterator[None]:
    """Say of an error what was being done."""
    try:
        yield
    except (Broken, Skip):
        raise
    except Exception as error:
        raise Broken(f"{what}: {brief(error)}", at) from error


def brief(error: BaseException) -> str:
    """Return an error's kind and the first line of its text."""
    lines = str(error).strip().splitlines()
    kind = type(error).__name__
    return f"{kind}: {lines[0][:_LONGEST]}" if lines else kind


@dataclass(frozen=True)
class Failure:
    """A failed check: what is wrong, and where to look."""

    check: str
    text: str
    where: str


@dataclass
class Report:
    """What became of each check.

    Attributes:
        skipped: the reason, for each check that did not run.
    """

    subject: str
    passed: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        failed = dict.fromkeys(failure.check for failure in self.failures)
        count = len(failed) + len(self.passed)
        lines = [f"{self.subject}: {len(failed)} of {count} checks failed"]
        for failure in self.failures:
            lines += ["", f"{failure.check}: {failure.text}", f"    look at {failure.where}"]
        waiting = [name for name, reason in self.skipped.items() if reason in failed]
        if waiting:
            lines += ["", f"not checked before these are mended: {', '.join(waiting)}"]
        return "\n".join(lines)


class ConformanceError(AssertionError):
    """A method does not keep the contract; the text lists every failed check.

    Attributes:
        report: what became of each check.
    """

    def __init__(self, report: Report) -> None:
        super().__init__(str(report))
        self.report = report

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the failed checks."""
        return tuple(dict.fromkeys(failure.check for failure in self.report.failures))


def run_checks(checks: Sequence[Check], subject: Subject) -> Report:
    """Run the checks, each under a random state of its own, and return what became of them."""
    report = Report(subject.name)
    for number, one in enumerate(checks):
        missing = [name for name in one.after if name not in report.passed]
        if missing:
            # Name the root, not the check in between.
            report.skipped[one.name] = report.skipped.get(missing[0], missing[0])
            continue
        # Another state each, so that what is drawn outside of the host's seeds is noticed.
        torch.default_generator.manual_seed(number)
        np.random.seed(number)
        random.seed(number)
        try:
            problems = [_failure(one, problem, subject.kind) for problem in one.find(subject)]
        except Skip as reason:
            report.skipped[one.name] = str(reason)
            continue
        except Broken as error:
            problems = [_failure(one, error.problem, subject.kind, error.__cause__)]
        except Exception as error:
            problems = [_failure(one, Problem(brief(error)), subject.kind, error)]
        report.failures += problems
        if not problems:
            report.passed.append(one.name)
    return report


def _failure(
    one: Check, problem: Problem, kind: type, error: BaseException | None = None
) -> Failure:
    where = (raised_at(error, kind) if error else "") or place(kind, problem.at)
    return Failure(one.name, problem.text, where)


def place(kind: type, at: object) -> str:
    """Return file, line and name of a member of ``kind``, or of any class or function."""
    thing: Any = getattr(kind, at, kind) if isinstance(at, str) else at
    thing = inspect.unwrap(thing) if callable(thing) else type(thing)
    name = getattr(thing, "__qualname__", kind.__qualname__)
    try:
        file, line = inspect.getsourcefile(thing), inspect.getsourcelines(thing)[1]
    except (TypeError, OSError):  # no source: made by C, or at a prompt
        file = None
    if file and file.startswith(tuple(torch.__path__)) and thing is not kind:
        return place(kind, "")
    return f"{_short(file)}:{max(line, 1)} ({name})" if file else f"{kind.__module__}: {name}"


def raised_at(error: BaseException, kind: type) -> str:
    """Return the line beside the method's own that an error came through, if any did."""
    frames = traceback.extract_tb(error.__traceback__)
    own = inspect.getsourcefile(kind) or ""
    beside = [f for f in frames if own and Path(f.filename).parent == Path(own).parent]
    last = beside[-1:]
    return "".join(f"{_short(frame.filename)}:{frame.lineno} ({frame.name})" for frame in last)


def _short(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def names(things: Mapping[str, object] | Sequence[str]) -> str:
    """Return names for a message."""
    return ", ".join(things) or "none"
