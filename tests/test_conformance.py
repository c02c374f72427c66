"""The conformance kit: sound methods pass, and each broken one is caught by its own check."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import broken_methods
import broken_training  # noqa: F401  (adds its own to BROKEN)
from broken_methods import BROKEN, Tiny, sample
from translate import Method, UsageError
from translate.bundle import save_bundle
from translate.cli.group import cli
from translate.cli.plugins import COMMANDS, plugins
from translate.host import the_host
from translate.model import Header
from translate.options import Facts
from translate.testing import CHECKS, ConformanceError, check_method, examine

FakePlugin = Callable[..., str]
NETWORK = {"width": 4, "blocks": 3, "critic_width": 4, "critic_layers": 1}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Let tiny networks compute without the cost of sharing."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_cyclegan_keeps_the_contract() -> None:
    check_method("cyclegan", options=NETWORK)


def test_cyclegan_keeps_it_with_batch_norm_dropout_and_a_full_pool() -> None:
    options = {**NETWORK, "norm": "batch", "dropout": 0.5, "pool": 3, "separable": True}
    check_method("cyclegan", options=options, size=24)


@pytest.fixture
def teacher(tmp_path: Path) -> str:
    kind = the_host().load_method("cyclegan")
    method = kind(kind.Options(**NETWORK), Facts())
    path = tmp_path / "teacher.safetensors"
    header = Header(method="cyclegan", options=NETWORK, export="a2b")
    save_bundle(path, header, method.exports()["a2b"].network.state_dict())
    return str(path)


def test_distill_keeps_the_contract_through_all_its_stages(teacher: str) -> None:
    student = {"teacher": teacher, "widths": [4, 8, 16], "blocks": 3, "stages_until": 4}
    judged = {"adversarial_weight": 1.0, "adversarial_since": 10, "judge_width": 4}
    check_method("distill", options={**student, **judged})


def test_the_small_sound_method_passes_every_check_there_is() -> None:
    report = examine(Tiny, sample=sample)
    assert str(report) == "broken_methods:Tiny: 0 of 24 checks failed"
    assert report.skipped == {"hooks": "no plugin registers it"}
    assert len(report.passed) == len(CHECKS) - 1


@pytest.mark.parametrize(
    ("name", "says", "kind"), BROKEN, ids=[f"{name}: {kind.__name__}" for name, _, kind in BROKEN]
)
def test_a_broken_method_is_caught_by_the_right_check(
    name: str, says: str, kind: type[Method[Any]]
) -> None:
    [check] = [check for check in CHECKS if check.name == name]
    with pytest.raises(ConformanceError) as caught:
        check_method(kind, sample=sample, quick=not check.trains)
    assert caught.value.failed == (name,)
    assert says in str(caught.value)
    [failure, *_] = caught.value.report.failures
    assert "tests/broken_" in failure.where


def test_every_check_is_shown_to_catch_something() -> None:
    assert {name for name, _, _ in BROKEN} | {"hooks"} == {check.name for check in CHECKS}
    assert len({check.name for check in CHECKS}) == len(CHECKS)


METHOD = """
@hookimpl
def register_methods(register):
    register(
        name="tiny", summary="s", source="image", data="{kind}", factory="broken_methods:{name}"
    )
"""


def installed(name: str = "Tiny", kind: str = "unpaired", before: str = "") -> str:
    return before + METHOD.format(name=name, kind=kind)


def test_hooks_that_import_torch_are_caught(fake_plugin: FakePlugin) -> None:
    module = fake_plugin(installed(before="import torch.nn\n"))
    with pytest.raises(ConformanceError, match=rf"{module}\.py:2 imports torch") as caught:
        check_method(Tiny, quick=True)
    assert caught.value.failed == ("hooks",)


def test_an_installed_method_is_checked_on_its_readers_example(fake_plugin: FakePlugin) -> None:
    fake_plugin(installed())
    check_method(Tiny, quick=True)
    check_method("tiny", quick=True)


def test_without_samples_the_way_out_is_named(fake_plugin: FakePlugin) -> None:
    with pytest.raises(UsageError, match=r"no plugin registers it.*pass sample="):
        check_method(Tiny, quick=True)
    fake_plugin(installed(kind="spectral"))
    with pytest.raises(UsageError, match="no reader of 'spectral' data is installed; pass sample="):
        check_method("tiny", quick=True)


def test_a_reader_may_give_the_samples_of_a_method_of_another_kind() -> None:
    check_method(Tiny, sample="unpaired", quick=True)


def test_what_depends_on_a_failed_check_is_named_and_not_run() -> None:
    with pytest.raises(ConformanceError) as caught:
        check_method(broken_methods.Unbuildable, sample=sample)
    assert "not checked before these are mended: exports, meta, data" in str(caught.value)
    assert caught.value.report.skipped["resumes"] == "builds"


def test_random_state_is_left_as_it_was() -> None:
    def drawn() -> tuple[float, float, float]:
        return float(torch.rand(())), float(np.random.rand()), random.random()

    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(3)
    expected = drawn()
    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(3)
    check_method(Tiny, sample=sample, quick=True)
    assert drawn() == expected


def plugins_check(*words: str) -> Result:
    return CliRunner().invoke(cli, ["plugins", "check", *words], prog_name="translate")


def test_the_command_tells_sound_from_broken_from_not_checkable(fake_plugin: FakePlugin) -> None:
    fake_plugin(installed().replace('"tiny"', '"sound"'), name="sound")
    result = plugins_check("sound")
    assert result.exit_code == 0
    assert "sound: method sound: ok" in result.stdout

    fake_plugin(installed(kind="spectral"), name="unread")
    result = plugins_check("unread")
    assert result.exit_code == 0
    assert "unread: method tiny: not checkable" in result.stdout
    assert "no reader of 'spectral' data" in result.stdout


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (installed("WrongScale"), "output: maker: 32×16 pixels become"),
        (installed("Missing"), "broken_methods has no Missing"),
        (installed(before="import cv2\n"), "imports cv2"),
        ("raise ImportError('gone')", "gone"),
        (
            "@hookimpl\ndef register_models(register):\n"
            "    register(name='m', method='cyclegan', summary='s', file='m.safetensors')",
            "No such file",
        ),
    ],
    ids=["method", "factory", "hooks", "plugin", "model"],
)
def test_the_command_fails_with_reasons(code: str, says: str, fake_plugin: FakePlugin) -> None:
    fake_plugin(code)
    result = plugins_check("other")
    assert result.exit_code == 1
    assert "failed" in result.stdout
    assert says in result.stdout
    [*_, last] = json.loads(plugins_check("other", "--json").stdout)
    assert last["plugin"] == "other"


def test_the_command_opens_the_models(fake_plugin: FakePlugin, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_bundle(path, Header(method="cyclegan", options={"before": 1}, export="a2b"), {})
    fake_plugin(
        "@hookimpl\ndef register_models(register):\n"
        f"    register(name='m', method='cyclegan', summary='s', file={str(path)!r})"
    )
    result = plugins_check("other")
    assert result.exit_code == 1
    assert "no option before" in result.stdout


def test_the_command_knows_the_plugins() -> None:
    result = plugins_check("cyclegam")
    assert result.exit_code == 2
    assert "did you mean cyclegan?" in result.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_plugins_says_of_a_command_what_it_says_of_itself(name: str) -> None:
    assert isinstance(plugins, click.Group)
    command = plugins.get_command(click.Context(plugins), name)
    assert command is not None
    assert command.get_short_help_str(limit=200) == COMMANDS[name][1]
