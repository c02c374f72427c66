"""A plugin says which contract it was written for, and one that wants a newer one is told so."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import CliRunner

import translate
from translate.cli.group import cli
from translate.host import Host

FakePlugin = Callable[..., str]

READER = """
@hookimpl
def register_datasets(register):
    register(name="videos", kind="unpaired", summary="frames", factory="nowhere:Videos")
"""
NEWER = translate.CONTRACT + 1
TOO_NEW = (
    f"needs contract {NEWER}, this translate has {translate.CONTRACT}; upgrade image-translate"
)


def test_the_contract_is_a_whole_number() -> None:
    assert type(translate.CONTRACT) is int
    assert translate.CONTRACT >= 1


@pytest.mark.parametrize("said", ["", "contract = 1", f"contract: int = {translate.CONTRACT}"])
def test_plugins_for_this_contract_and_older_ones_work(said: str, fake_plugin: FakePlugin) -> None:
    fake_plugin(f"{said}\n{READER}")
    host = Host()
    assert host.plugins["other"].state == "ok"
    assert "videos" in host.datasets


@pytest.mark.parametrize(
    "code",
    [
        f"contract = {NEWER}" + READER,
        # What is new must not hide the reason.
        f"contract = {NEWER}\n@hookimpl\ndef register_dreams(register): ..." + READER,
        f"from translate import NotYet\ncontract = {NEWER}" + READER,
        f"from translate.hookspecs import RegisterDream\ncontract: int = {NEWER}" + READER,
    ],
    ids=["newer", "unknown hook", "unknown name", "unknown name, annotated"],
)
def test_a_plugin_for_a_newer_contract_is_broken_and_says_why(
    code: str, fake_plugin: FakePlugin
) -> None:
    fake_plugin(code)
    host = Host()
    assert (host.plugins["other"].state, host.plugins["other"].reason) == ("broken", TOO_NEW)
    assert "videos" not in host.datasets
    assert TOO_NEW in CliRunner().invoke(cli, ["plugins", "--json"]).output


@pytest.mark.parametrize("said", ["'2'", "0", "True", "None", "1.5"])
def test_a_contract_that_is_no_number_is_refused(said: str, fake_plugin: FakePlugin) -> None:
    fake_plugin(f"contract = {said}\n{READER}")
    assert "not a whole number" in Host().plugins["other"].reason


@pytest.mark.parametrize(
    "code", ["from translate import NotYet", "contract = 1\nimport not_a_module", "def f(:"]
)
def test_other_failures_keep_their_own_reason(code: str, fake_plugin: FakePlugin) -> None:
    fake_plugin(code)
    assert "cannot import" in Host().plugins["other"].reason
