"""The conformance kit: does a method keep the contract?

A plugin's tests need no more than this::

    from translate.testing import check_method
    from translate_denoise.method import Denoise


    def test_denoise_keeps_the_contract():
        check_method(Denoise, options={"width": 4})

Networks as small as the options allow keep it to a few seconds. What passes here trains, resumes,
tiles, batches and ships like the built-in methods.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from translate.errors import UsageError
from translate.method import Method
from translate.options import Facts, Settings
from translate.testing import building, running, training
from translate.testing.report import ConformanceError, Failure, Report, run_checks
from translate.testing.subject import Fields, Samples, Subject

__all__ = ["ConformanceError", "Failure", "Fields", "Report", "check_method", "examine"]

CHECKS = (*building.CHECKS, *running.CHECKS, *training.CHECKS)


def check_method(
    method: type[Method[Any]] | str,
    *,
    options: Mapping[str, Any] | Settings | None = None,
    facts: Facts | None = None,
    sample: Samples | None = None,
    size: int | None = None,
    quick: bool = False,
) -> None:
    """Check that a method keeps the contract; everything is done on the CPU.

    Args:
        method: its class, or the name that a plugin registers it by.
        options: to check it with; small networks are quick. ``prepare()`` must work with them.
        facts: what the data says of itself; None: what the data set does say.
        sample: where training samples come from, if no installed reader has an example of the
            method's kind: the kind of another reader, a ``translate.Dataset``, or a function from
            (number, seed) to fields: pictures as uint8 (H, W, C), labels as int, texts as str.
        size: pixels of the sides of an example's pictures; None: the least that ``data()`` allows.
        quick: leave out everything that trains.

    Raises:
        ConformanceError: listing every check that failed, with what is wrong and where to look.
        UsageError: if there is no such method, or nothing to make samples of.
    """
    report = examine(method, options=options, facts=facts, sample=sample, size=size, quick=quick)
    if report.failures:
        raise ConformanceError(report)
    if "data" in report.skipped:
        raise UsageError(f"{report.subject} cannot be checked: {report.skipped['data']}")


def examine(
    method: type[Method[Any]] | str,
    *,
    options: Mapping[str, Any] | Settings | None = None,
    facts: Facts | None = None,
    sample: Samples | None = None,
    size: int | None = None,
    quick: bool = False,
) -> Report:
    """Return what became of each check; the arguments are those of ``check_method``."""
    with _random_state_kept(), tempfile.TemporaryDirectory() as folder:
        subject = Subject(
            method, options=options, facts=facts, sample=sample, size=size, folder=Path(folder)
        )
        wanted = [one for one in CHECKS if not (quick and one.trains)]
        return run_checks(wanted, subject)


@contextlib.contextmanager
def _random_state_kept() -> Iterator[None]:
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])
