"""Alarms: each fault is told once, in a sentence, and healthy lines are passed over in silence."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

import unhealthy
from conftest import FakePlugin
from translate.training.faults import all_faults
from translate.training.health import Alarm, Health
from translate.training.log import Diverged

Scalars = dict[str, float]
LINES = 60


def healthy(number: int) -> Scalars:
    """Return a line of a CycleGAN's that goes well, a little noisy."""
    noise = random.Random(number)
    wave = noise.uniform(0.85, 1.15)
    return {
        "images_per_second": 10.0,
        "generator/adversarial": 0.8 * wave,
        "generator/cycle": wave * (3 + 4 * math.exp(-number / 10)),
        "generator/gradient": 2 * wave,
        "generator/rate": 2e-4,
        "discriminator/a": wave * (0.16 + 0.3 * math.exp(-number / 3)),
        "discriminator/gradient": wave,
        "discriminator/rate": 2e-4,
        "critic_a/above": min(1.0, 0.93 * wave),
        "a2b/spread": 0.9 * wave * (1 - math.exp(-(number + 1) / 5)),
        "a2b/luminance": 0.6 * wave,
        "a2b/data_luminance": 0.7,
    }


def since(start: int, change: Callable[[int, Scalars], Scalars]) -> Iterable[Scalars]:
    """Yield healthy lines with something changed from line ``start`` on."""
    for number in range(LINES):
        line = healthy(number)
        yield line | change(number - start, line) if number >= start else line


def told(lines: Iterable[Scalars], health: Health | None = None) -> list[Alarm]:
    """Return all alarms over lines that are 200 images apart."""
    health = health or Health(["discriminator"])
    return [alarm for n, line in enumerate(lines, 1) for alarm in health.line(200 * n, line)]


def strong(age: int, line: Scalars) -> Scalars:
    return {"critic_a/above": 0.995, "discriminator/a": 0.002}


def weak(age: int, line: Scalars) -> Scalars:
    return {"critic_a/above": 0.46}


def vanished(age: int, line: Scalars) -> Scalars:
    return {"generator/gradient": 1e-4, "generator/adversarial": 10.0}


def collapsed(age: int, line: Scalars) -> Scalars:
    return {"a2b/spread": 0.8 * 0.5**age}


def swinging(age: int, line: Scalars) -> Scalars:
    return {"critic_a/above": 0.5 + 0.45 * math.sin(age / 1.5)}


def inverted(age: int, line: Scalars) -> Scalars:
    return {"a2b/luminance": -0.7}


FAULTS = {
    "discriminator-too-strong": strong,
    "discriminator-too-weak": weak,
    "vanishing-gradient": vanished,
    "mode-collapse": collapsed,
    "oscillation": swinging,
    "colour-inversion": inverted,
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("start", [5, 20])
def test_a_fault_is_told_once_and_soon(name: str, start: int) -> None:
    (alarm,) = told(since(start, FAULTS[name]))
    assert alarm.name == name
    assert 200 * start < alarm.images <= 200 * (start + 25)


@pytest.mark.parametrize("name", FAULTS)
def test_an_alarm_is_one_sentence_that_ends_with_what_to_set(name: str) -> None:
    (alarm,) = told(since(10, FAULTS[name]))
    assert "--set " in alarm.text
    assert "\n" not in alarm.text
    assert not alarm.text.endswith(".")
    assert len(alarm.text) < 300


@pytest.mark.parametrize("seed", range(5))
def test_healthy_lines_give_no_alarm(seed: int) -> None:
    assert told(healthy(n + 1000 * seed * (n > 20)) for n in range(500)) == []


@pytest.mark.parametrize("name", FAULTS)
def test_what_passes_is_no_alarm(name: str) -> None:
    for start in range(3, 40, 6):
        brief = ((start + age, FAULTS[name](age, healthy(start + age))) for age in (1, 2))
        lines = [healthy(n) for n in range(LINES)]
        for number, change in brief:
            lines[number] |= change
        assert told(lines) == []


def test_the_beginning_may_be_chaotic() -> None:
    chaos = {"a2b/spread": 0.02, "critic_a/above": 0.2}
    assert told([chaos, chaos, *(healthy(n) for n in range(LINES))]) == []


@pytest.mark.parametrize("name", FAULTS)
def test_lines_close_together_make_no_hurry(name: str) -> None:
    """Five lines in a row are few images where every tenth image gives a line."""
    health, lines = Health(["discriminator"]), list(since(20, FAULTS[name]))
    early = [a for n, line in enumerate(lines, 1) for a in health.line(10 * n, line)]
    assert early == []


def logged(lines: Iterable[Scalars], health: Health) -> list[dict[str, Any]]:
    """Return the log that a run writes, lines and alarms."""
    log: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        log.append({"images": 200 * number, **line})
        for alarm in health.line(200 * number, line):
            log.append({"images": alarm.images, "alarm": alarm.name, "text": alarm.text})
    return log


def test_a_run_that_goes_on_tells_what_was_not_told_and_no_more() -> None:
    log = logged(since(10, collapsed), Health(["discriminator"]))
    for cut in range(len(log)):
        health = Health(["discriminator"])
        health.replay(log[:cut])
        rest = [line for line in log[cut:] if "alarm" not in line]
        new = [alarm.name for line in rest for alarm in health.line(line["images"], line)]
        before = [line["alarm"] for line in log[:cut] if "alarm" in line]
        assert before + new == ["mode-collapse"]


@pytest.mark.parametrize("data", [-0.6, 0.0])
def test_data_in_which_light_does_not_stay_light_is_no_fault(data: float) -> None:
    """From a mask to a photograph, for one, it may be either way."""
    both = {"a2b/luminance": -0.7, "a2b/data_luminance": data}
    assert told(since(0, lambda age, line: both)) == []


def test_unpaired_pictures_are_expected_to_keep_light_light() -> None:
    lines = [healthy(n) | {"a2b/luminance": -0.7} for n in range(LINES)]
    for line in lines:
        del line["a2b/data_luminance"]
    assert [alarm.name for alarm in told(lines)] == ["colour-inversion"]


def test_a_wasserstein_critic_may_always_be_right() -> None:
    """Its loss is a distance: it lies below zero and shrinks as training succeeds."""

    def critic(age: int, line: Scalars) -> Scalars:
        return {"critic_a/above": 1.0, "discriminator/a": -20 * math.exp(-age / 15)}

    assert told(since(0, critic)) == []


def test_a_balanced_auto_encoder_may_prefer_what_is_made() -> None:
    assert told(since(0, lambda age, line: {"critic_a/above": 0.1, "critic_a/balance": 0.2})) == []


@pytest.mark.parametrize(
    "line",
    [
        {"critic_a/above": 0.9, "discriminator/a": 0.002},  # sure of itself, but not always right
        {"discriminator/gradient": 0.0},  # the judge's own; what matters is what it passes on
        {"a2b/spread": 0.2},  # as it always was
    ],
)
def test_one_sign_without_the_other_is_no_fault(line: Scalars) -> None:
    first = healthy(0) | ({"a2b/spread": 0.2} if "a2b/spread" in line else {})
    assert told([first, *since(0, lambda age, _: first | line)]) == []


def test_an_accident_does_not_count_as_the_best_spread() -> None:
    lines = [healthy(n) | {"a2b/spread": 1.5 if n == 20 else 0.2} for n in range(LINES)]
    assert told(lines) == []


@pytest.mark.parametrize(("before", "after"), [(0.9, 0.15), (0.02, 0.02)])
def test_a_collapse_need_not_be_complete_nor_come_late(before: float, after: float) -> None:
    lines = [healthy(n) | {"a2b/spread": before if n < 20 else after} for n in range(LINES)]
    assert [alarm.name for alarm in told(lines)] == ["mode-collapse"]


def test_who_is_ahead_may_change_now_and_then() -> None:
    lines = (healthy(n) | ({"critic_a/above": 0.2} if n % 50 > 46 else {}) for n in range(400))
    assert told(lines) == []


def test_an_untamed_first_step_is_no_measure_of_gradients() -> None:
    """Weight clipping, for one, begins after the generator's first step."""
    lines = [healthy(n) | {"generator/gradient": 0.01 if n else 5.0} for n in range(LINES)]
    lines[0] |= {"generator/cycle": 0.0}
    assert told(lines) == []


def test_a_gradient_that_fades_with_its_loss_is_success() -> None:
    lines = ({"student/l2": 0.8**n, "student/gradient": 0.7**n} for n in range(LINES))
    assert told(lines, Health()) == []


def test_a_dead_network_is_told_where_there_is_no_discriminator() -> None:
    lines = [{"student/l2": 1.0, "student/gradient": 0.0 if n > 4 else 1.0} for n in range(LINES)]
    (alarm,) = told(lines, Health())
    assert alarm.name == "vanishing-gradient"
    assert "training.players.student.lr" in alarm.text


def test_the_advice_is_the_run_s_own_rate_changed() -> None:
    (alarm,) = told(since(10, lambda a, line: strong(a, line) | {"discriminator/rate": 8e-3}))
    assert alarm.text.endswith("--set training.players.discriminator.lr=0.002")


def test_numbers_of_no_known_meaning_are_passed_over() -> None:
    assert told([{"odd": math.nan, "a/b/c": math.inf, "spread": -1.0}] * LINES) == []


def test_an_infinite_number_is_no_measure_of_the_others() -> None:
    """It stops the run before it is asked; a log may hold one all the same."""
    lines = [healthy(n) | {"critic_a/above": 1.0} for n in range(LINES)]
    lines[0] |= {"discriminator/a": math.inf}
    assert told(lines) == []


def test_the_page_names_every_alarm() -> None:
    page = Path(__file__).parent.parent.joinpath("docs", "training.md").read_text()
    assert all(f"| `{fault.name}` |" in page for fault in all_faults())
    assert {fault.name for fault in all_faults()} | {"diverged"} == unhealthy.FAULTS.keys()


# What follows happens in small real trainings.


@pytest.fixture
def data(tmp_path: Path, fake_plugin: FakePlugin) -> Path:
    fake_plugin(unhealthy.PLUGIN)
    return unhealthy.pictures(tmp_path / "pictures")


def train(
    folder: Path, data: Path, method: str, settings: Mapping[str, Any], *, resume: bool = False
) -> list[str]:
    """Train until the run ends or stops by itself; return what was said on the screen."""
    said: list[str] = []
    run = unhealthy.begin(folder, data, method, settings, resume=resume)
    try:
        run.train(workers=1, progress=lambda images, scalars: None, say=said.append)
    except Diverged as error:
        said.append(f"alarm: {error}")
    return said


def alarms(folder: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return [line for line in lines if "alarm" in line]


@pytest.mark.parametrize("name", unhealthy.FAULTS)
def test_a_training_that_goes_wrong_says_so(name: str, data: Path, tmp_path: Path) -> None:
    said = train(tmp_path / "run", data, *unhealthy.FAULTS[name])
    told = alarms(tmp_path / "run")
    assert name in [line["alarm"] for line in told]
    assert len({line["alarm"] for line in told}) == len(told) <= 2
    assert said == [f"alarm: {line['text']}" for line in told]


def test_a_training_that_goes_well_is_silent(data: Path, tmp_path: Path) -> None:
    assert train(tmp_path / "run", data, *unhealthy.HEALTHY) == []
    assert alarms(tmp_path / "run") == []


def test_a_training_that_goes_on_does_not_repeat_itself(data: Path, tmp_path: Path) -> None:
    folder, (method, settings) = tmp_path / "run", unhealthy.FAULTS["mode-collapse"]
    settings = settings | {"forgets": 400}
    train(folder, data, method, settings | {"training.images": 1000})
    told = alarms(folder)
    assert [line["alarm"] for line in told] == ["mode-collapse"]
    assert train(folder, data, method, settings | {"training.images": 1400}, resume=True) == []
    assert alarms(folder) == told
