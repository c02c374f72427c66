"""Read, run, write: every picture is accounted for, in bounded memory, whatever happens."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from simple_methods import simple_model
from translate.images import Picture
from translate.inference import pipeline as pipeline_module
from translate.inference.engine import Engine
from translate.inference.fitting import Finished
from translate.inference.pipeline import Encoding, Outcome, Pipeline
from translate.inference.plan import Item, make_plan


def fill(folder: Path, count: int, *, dark: tuple[int, ...] = ()) -> Path:
    """Write ``count`` small pictures of three sizes, some of them black."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        side = 8 + 4 * (number % 3)
        pixels = rng.integers(30, 220, (side, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels * (number not in dark)).save(folder / f"{number:03}.png")
    return folder


def items(folder: Path, out: Path) -> tuple[Item, ...]:
    return make_plan([str(folder)], "model", out=f"{out}/").to_write


class SlowToFinish(Engine):
    """Keeps the writers busy."""

    def finish(self, finished: Finished) -> Picture:
        time.sleep(0.03)
        return super().finish(finished)


def pipeline(
    batch_size: int = 1,
    workers: int = 2,
    size: int | None = None,
    kind: type[Engine] = Engine,
    **options: Any,
) -> Pipeline:
    engine = kind(simple_model(**options), device="cpu", precision="fp32", size=size)
    return Pipeline(engine, Encoding(), batch_size=batch_size, workers=workers)


def contents(folder: Path) -> dict[str, Any]:
    return {path.name: np.asarray(Image.open(path)).tolist() for path in sorted(folder.iterdir())}


def by_name(outcomes: list[Outcome]) -> dict[str, str | None]:
    return {Path(one.item.source.name).name: one.error for one in outcomes}


def test_every_picture_comes_out_the_same_whatever_the_batches_and_workers(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 13)
    made = []
    for number, (batch_size, workers) in enumerate([(1, 1), (1, 5), (3, 2), (16, 3)]):
        out = tmp_path / f"out{number}"
        outcomes = list(pipeline(batch_size, workers, shift=0.1, size=9)(items(folder, out)))
        assert len(outcomes) == 13
        assert not any(one.error for one in outcomes)
        made.append(contents(out))
    assert len(made[0]) == 13
    assert all(other == made[0] for other in made)


def test_outcomes_come_in_the_order_of_the_plan(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 9, dark=(2, 5))
    (folder / "003.png").write_bytes(b"no picture")
    planned = items(folder, tmp_path / "out")
    outcomes = list(pipeline(workers=4, kind=SlowToFinish, dark="RuntimeError")(planned))
    assert [one.item for one in outcomes] == list(planned)


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("dark", ["RuntimeError", "ValueError", "nan", "shape"])
def test_a_picture_that_fails_in_the_network_fails_alone(
    dark: str, batch_size: int, tmp_path: Path
) -> None:
    folder = fill(tmp_path / "in", 9, dark=(4,))
    outcomes = list(pipeline(batch_size, dark=dark)(items(folder, tmp_path / "out")))
    errors = by_name(outcomes)
    failed = errors.pop("004.png")
    assert failed is not None
    assert failed.count("004.png") == 1
    assert failed.startswith(f"{folder}/004.png: ")
    assert "\n" not in failed
    assert not any(errors.values())
    assert len(contents(tmp_path / "out")) == 8


def test_too_little_memory_for_a_batch_costs_no_picture(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 9)
    outcomes = list(pipeline(4, largest_batch=1)(items(folder, tmp_path / "out")))
    assert not any(one.error for one in outcomes)
    assert contents(tmp_path / "out") == contents(folder)


def test_too_little_memory_for_one_picture_says_what_may_help(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 2)
    outcomes = list(pipeline(largest_batch=0)(items(folder, tmp_path / "out")))
    for one in outcomes:
        assert one.error is not None
        assert one.error.endswith(".png: not enough memory; a smaller --size may do")
    [one, _] = pipeline(largest_batch=0, scale=2)(items(folder, tmp_path / "out"))
    assert one.error is not None
    assert one.error.endswith("not enough memory")


def test_a_picture_that_cannot_be_written_fails_alone_and_leaves_nothing(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 2)
    fill(folder / "sub", 2)
    out = tmp_path / "out"
    out.mkdir()
    planned = items(folder, out)
    (out / "sub").write_text("a file that has come where a folder should be")
    errors = [one.error for one in pipeline()(planned) if one.error]
    assert len(errors) == 2
    for name, error in zip(("000.png", "001.png"), errors, strict=True):
        assert error.startswith(f"{folder}/sub/{name}: {out}/sub/{name}: cannot be written: ")
    assert sorted(path.name for path in out.iterdir()) == ["000.png", "001.png", "sub"]


def test_stopping_finishes_what_is_begun_and_reports_it(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 30)
    running = pipeline(workers=3, kind=SlowToFinish)
    done = []
    for outcome in running(items(folder, tmp_path / "out")):
        done.append(outcome)
        if len(done) == 5:
            running.stop()
    assert 5 <= len(done) < 20
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == set(by_name(done))


def test_stopping_interrupts_the_network(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 3)
    running = pipeline(seconds=0.1)

    def stop(frame: Any, event: str, argument: Any) -> None:
        if frame.f_code.co_name == "forward":  # as a signal does: between any two steps of it
            sys.setprofile(None)
            running.stop()

    sys.setprofile(stop)
    try:
        assert list(running(items(folder, tmp_path / "out"))) == []
    finally:
        sys.setprofile(None)
    assert not (tmp_path / "out").exists()
    assert not [t for t in threading.enumerate() if t.name.startswith(("read", "write"))]


def test_a_signal_that_stops_interrupts_the_wait_for_standard_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    running = pipeline()
    before = signal.signal(signal.SIGINT, lambda *_: running.stop())
    asks = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    gives_up = threading.Timer(20, os.close, (writing,))
    try:
        with open(reading) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            asks.start()
            gives_up.start()
            assert list(running(make_plan(["-"], "model").to_write)) == []
    finally:
        signal.signal(signal.SIGINT, before)
        gives_up.cancel()
        gives_up.join()
    os.close(writing)


def test_leaving_early_leaves_no_half_files_and_no_threads(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 20)
    outcomes = pipeline()(items(folder, tmp_path / "out"))
    next(outcomes)
    outcomes.close()
    assert not [t for t in threading.enumerate() if t.name.startswith(("read", "write"))]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert 1 <= len(names) < 20
    assert all(contents(tmp_path / "out")[name] == contents(folder)[name] for name in names)


@pytest.mark.parametrize("slow", ["network", "writer", "consumer"])
def test_few_pictures_are_held_however_many_there_are(slow: str, tmp_path: Path) -> None:
    """Counts the pictures alive at each step, whichever is the brake."""
    folder = fill(tmp_path / "in", 40)
    held = []
    running = pipeline(
        seconds=0.02 if slow == "network" else 0.0,
        kind=SlowToFinish if slow == "writer" else Engine,
    )
    for _ in running(items(folder, tmp_path / "out")):
        if slow == "consumer":
            time.sleep(0.02)
        alive = sum(type(thing).__name__ == "Picture" for thing in gc.get_objects())
        held.append(alive)
    assert max(held) <= 12


def test_large_pictures_wait_in_smaller_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "_QUEUED_BYTES", 1)  # as if these were gigantic
    folder = fill(tmp_path / "in", 12)
    begun: list[str] = []

    def counted() -> Iterator[Item]:
        for item in items(folder, tmp_path / "out"):
            begun.append(item.source.name)
            yield item

    running = pipeline(batch_size=8, workers=4)
    ahead = []
    for done, _ in enumerate(running(counted()), 1):
        ahead.append(len(begun) - done)
    assert done == 12
    # The sizes are not known before the first pictures are read.
    assert max(ahead[-6:]) <= 4


def test_standard_input_and_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any
) -> None:
    file = io.BytesIO()
    Image.new("RGB", (9, 5), (10, 20, 30)).save(file, "PNG")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.getvalue())))
    [outcome] = pipeline(shift=2 / 255)(make_plan(["-"], "model").to_write)
    assert outcome.error is None
    made = Image.open(io.BytesIO(capfdbinary.readouterr().out))
    assert made.size == (9, 5)
    assert made.getpixel((0, 0)) == (11, 21, 31)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    [outcome] = pipeline()(make_plan(["-"], "model").to_write)
    assert outcome.error == "standard input: empty file"


def test_the_seed_does_not_depend_on_which_other_pictures_are_left(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 5)
    list(pipeline(random=True)(items(folder, tmp_path / "out")))
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "003.png").unlink()
    list(pipeline(random=True)(items(folder, tmp_path / "out")))
    assert contents(tmp_path / "out") == before


def test_a_debugger_sees_the_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRANSLATE_DEBUG", "1")
    folder = fill(tmp_path / "in", 1, dark=(0,))
    list(pipeline(dark="ValueError")(items(folder, tmp_path / "out")))
    assert "in forward" in capsys.readouterr().err
