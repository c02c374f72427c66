"""What the commands print, and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from translate.bundle import save_bundle
from translate.cli.group import COMMANDS, cli
from translate.host import the_host
from translate.model import Card, Header
from translate.registry import BUILT_IN

FakePlugin = Callable[..., str]


def run(*words: str) -> Result:
    """Run the command as the shell does."""
    return CliRunner().invoke(cli, list(words), prog_name="translate")


@pytest.fixture
def mine(home: Path) -> Path:
    """A model of the user's own, called "mine"."""
    path = home / "models" / "mine.safetensors"
    card = Card(summary="my own", licence="CC0")
    save_bundle(path, Header(method="cyclegan", export="a2b", card=card), {})
    return path


def test_the_built_in_commands_are_the_reserved_names() -> None:
    assert tuple(COMMANDS) == BUILT_IN


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_says_of_a_command_what_it_says_of_itself(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.get_short_help_str(limit=200) == COMMANDS[name][1]
    assert run(name, "-h").exit_code == 0


def test_lists_as_json_are_objects(mine: Path) -> None:
    (model,) = (m for m in json.loads(run("models", "--json").stdout) if m["kind"] == "own")
    assert model["name"] == "mine"
    assert model["path"] == str(mine)
    for what, entries in (
        ("methods", the_host().methods),
        ("datasets", the_host().datasets),
        ("measures", the_host().measures),
        ("plugins", the_host().plugins),
    ):
        found = json.loads(run(what, "--json").stdout)
        assert [thing["name"] for thing in found] == list(entries)


def test_what_a_file_says_of_itself_is_one_row_and_no_command_to_the_terminal(mine: Path) -> None:
    card = Card(summary="nice\x1b[2J\nhorse2zebra  distill", licence="CC0")
    save_bundle(mine, Header(method="cyclegan", export="a2b", card=card), {})
    for words in (("models",), ("info", "mine")):
        result = CliRunner().invoke(cli, list(words), color=True)
        assert result.exit_code == 0
        assert r"nice\x1b[2J\nhorse2zebra" in result.stdout


def test_a_model_that_cannot_be_read_is_listed_with_its_reason(mine: Path) -> None:
    (mine.parent / "bad.safetensors").write_bytes(mine.read_bytes()[:40])
    result = run("models")
    assert result.exit_code == 0
    assert "my own" in result.stdout
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("bad"))
    assert "cut short (40 bytes)" in line
    assert run("info", "bad").exit_code == 1


def test_the_users_own_model_goes_before_a_plugins_of_that_name(
    mine: Path, fake_plugin: FakePlugin
) -> None:
    fake_plugin(
        "@hookimpl\ndef register_models(register):\n"
        "    register(name='mine', method='cyclegan', summary='theirs', file='f.safetensors')"
    )
    assert the_host().model("mine").path == mine
    assert the_host().models["mine"].summary == "my own"


def test_lists_show_what_a_method_and_a_reader_can_be_told() -> None:
    host = the_host()
    kinds = {"methods": host.methods, "datasets": host.datasets, "measures": host.measures}
    for what, names in kinds.items():
        for name in names:
            assert run(what, name).exit_code == 0
            assert json.loads(run(what, name, "--json").stdout)["type"] == "object"


def test_info_shows_the_card_of_a_name_and_of_a_file(mine: Path) -> None:
    for given in ("mine", str(mine)):
        result = run("info", given)
        assert result.exit_code == 0
        assert "CC0" in result.stdout
        told = json.loads(run("info", given, "--json").stdout)
        assert (told["name"], told["kind"], told["card"]["summary"]) == ("mine", "own", "my own")


def test_info_of_another_projects_checkpoint_says_how_to_import_it(tmp_path: Path) -> None:
    other = tmp_path / "net.pth"
    other.write_bytes(b"PK" * 100)
    result = run("info", str(other))
    assert result.exit_code == 1
    assert "translate import" in result.stderr


def test_remove_deletes_the_users_own_models_only(mine: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin(
        "@hookimpl\ndef register_models(register):\n"
        "    register(name='theirs', method='cyclegan', summary='s', file='f.safetensors')"
    )
    assert run("remove", "mine").exit_code == 0
    assert not mine.exists()
    for name, reason in (("theirs", "comes with plugin other"), ("mine", "no model is named")):
        result = run("remove", name)
        assert result.exit_code == 2
        assert reason in result.stderr


@pytest.mark.parametrize("word", ["modles", "nonsense", "../up", "x.safetensors", "-"])
def test_a_first_word_that_is_nothing_ends_with_2_and_one_line(word: str) -> None:
    result = run(word)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1


def test_a_mistyped_command_is_recognised() -> None:
    assert "did you mean models" in run("modles").stderr


def test_a_folder_in_place_of_the_model_is_recognised(tmp_path: Path) -> None:
    assert f"translate MODEL {tmp_path}" in run(str(tmp_path)).stderr


def _with_a_command(fake_plugin: FakePlugin, body: str) -> None:
    fake_plugin(
        "import click\n@hookimpl\ndef register_commands(cli):\n"
        f"    @cli.command()\n    def act():\n        {body}"
    )


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ("raise ValueError('a\\nb')", 1, "internal error (ValueError: a b); run with TRANSLATE_DE"),
        (
            "from translate import TranslateError as E; raise E('no such thing')",
            1,
            "Error: no such",
        ),
        ("from translate.errors import UsageError as E; raise E('wrong')", 2, "Error: wrong"),
        ("raise click.UsageError('wrong')", 2, "Error: wrong"),
        ("raise KeyboardInterrupt", 130, ""),
        ("raise click.Abort", 130, ""),
        ("raise click.exceptions.Exit(3)", 3, ""),
        ("raise SystemExit(4)", 4, ""),
    ],
)
def test_errors_print_one_line_and_become_exit_codes(
    body: str, code: int, says: str, fake_plugin: FakePlugin
) -> None:
    _with_a_command(fake_plugin, body)
    result = run("act")
    assert result.exit_code == code
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_the_traceback_is_there_when_asked_for(
    fake_plugin: FakePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with_a_command(fake_plugin, "raise ValueError('deep')")
    monkeypatch.setenv("TRANSLATE_DEBUG", "1")
    assert isinstance(run("act").exception, ValueError)


@pytest.mark.parametrize("command", ["methods", "act"])
def test_a_reader_that_goes_away_is_no_error(
    command: str, fake_plugin: FakePlugin, tmp_path: Path
) -> None:
    _with_a_command(fake_plugin, "print('not flushed')")
    code = (
        "import sys, os; r, w = os.pipe(); os.close(r); os.dup2(w, 1)\n"
        f"sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
        f"from translate.cli import main; sys.argv = ['translate', '{command}']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 1


def test_the_module_runs_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "translate", "--version"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ},
    )
    assert done.stdout.startswith("translate ")


def _complete(words: list[str], incomplete: str) -> list[str]:
    shell = ShellComplete(cli, {}, "translate", "_TRANSLATE_COMPLETE")
    return [item.value for item in shell.get_completions(words, incomplete)]


def test_the_first_word_completes_to_commands_models_and_options(
    mine: Path, fake_plugin: FakePlugin
) -> None:
    _with_a_command(fake_plugin, "pass")
    assert _complete([], "min") == ["mine"]
    assert set(_complete([], "m")) == {"mine", "mix", "models", "methods", "measures"}
    assert _complete([], "ac") == ["act"]
    assert "--version" in _complete([], "--")
    assert _complete(["info"], "m") == ["mine"]
    assert _complete(["methods"], "") == list(the_host().methods)
