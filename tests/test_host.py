"""A broken plugin breaks only itself, and the host says why."""

from __future__ import annotations

import importlib.metadata
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from translate.cli.group import cli
from translate.errors import BundleError, UsageError
from translate.home import home as translate_home
from translate.host import Host, the_host
from translate.registry import PluginError, load_object

FakePlugin = Callable[..., str]

GOOD = """
@hookimpl
def register_models(register):
    register(name="cats", method="cyclegan", summary="cats", file="cats.safetensors")

@hookimpl
def register_datasets(register):
    register(name="videos", kind="unpaired", summary="frames", factory="nowhere:Videos")
"""

MODEL = '    register(name={!r}, method="cyclegan", summary="s", file="f.safetensors")\n'
MODELS = "@hookimpl\ndef register_models(register):\n"

# What is wrong with it: the plugin's code, and what the reason must say.
BROKEN = {
    "import": ("import not_a_module_anywhere", ["not_a_module_anywhere", "ModuleNotFoundError"]),
    "syntax": ("def f(:\n", ["SyntaxError", ".py:2"]),
    "exit": ("import sys\nsys.exit('no GPU')", ["tried to end the program", "no GPU", ".py:3"]),
    "raises": ("1 / 0", ["ZeroDivisionError", ".py:2"]),
    "unknown hook": ("@hookimpl\ndef register_model(register): ...", ["register_model"]),
    "unmarked hook": ("def register_models(register): ...", ["register_models", "@hookimpl"]),
    "unknown argument": ("@hookimpl\ndef register_models(registry): ...", ["registry"]),
    "raises in hook": (
        MODELS + MODEL.format("fine") + "    raise RuntimeError('odd\\nthing')",
        ["register_models", "RuntimeError: odd thing", ".py:5"],
    ),
    "exits in hook": (MODELS + "    raise SystemExit(3)", ["tried to end the program"]),
    "unknown fact": (MODELS + "    register(name='a', colour='red')", ["colour"]),
    "missing fact": (MODELS + "    register(name='a')", ["missing"]),
    "not a text": (
        MODELS + "    register(name='a', method='m', summary=3, file='f')",
        ["model 'a'", "summary", "3"],
    ),
    "empty text": (
        MODELS + "    register(name='a', method='', summary='s', file='f')",
        ["model 'a'", "method"],
    ),
    "empty name": (MODELS + MODEL.format(""), ["model ''"]),
    "name with a space": (MODELS + MODEL.format("two words"), ["two words"]),
    "name like an option": (MODELS + MODEL.format("-o"), ["'-o'"]),
    "name like a path": (MODELS + MODEL.format("../up"), ["../up"]),
    "reserved name": (MODELS + MODEL.format("train"), ["train", "reserved"]),
    "twice": (MODELS + MODEL.format("a") + MODEL.format("a"), ["'a'", "twice"]),
    "bad factory": (
        "@hookimpl\ndef register_methods(register):\n"
        "    register(name='m', summary='s', source='image', data='d', factory='a.b')",
        ["method 'm'", "package.module:Name"],
    ),
    "bad source": (
        "@hookimpl\ndef register_methods(register):\n"
        "    register(name='m', summary='s', source='smell', data='d', factory='a:B')",
        ["method 'm'", "smell"],
    ),
    "built-in command": (
        "import click\n@hookimpl\ndef register_commands(cli):\n"
        "    cli.add_command(click.Command('models'))",
        ["command 'models'", "reserved"],
    ),
}


def _state(host: Host) -> tuple[dict[str, object], ...]:
    return tuple(
        dict(shelf)
        for shelf in (
            host.methods,
            host.models,
            host.datasets,
            host.importers,
            host.measures,
            host.commands,
        )
    )


@pytest.mark.parametrize(("code", "says"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_plugin_is_taken_out_whole(
    code: str, says: list[str], fake_plugin: FakePlugin, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _state(Host())
    watcher = "\n@hookimpl\ndef checkpoint_saved(path): raise AssertionError('still called')\n"
    module = fake_plugin(code if "SyntaxError" in says else code + watcher)
    host = Host()
    status = host.plugins["other"]
    assert (status.state, status.distribution, status.version) == ("broken", module, "1.5")
    assert "\n" not in status.reason
    for text in says:
        assert text in status.reason
    assert _state(host) == before
    assert {s.state for s in host.plugins.values() if s.name != "other"} <= {"ok"}
    host.notify("checkpoint_saved", run=Path("r"), path=Path("p"), images=1)
    assert capsys.readouterr().err == ""  # it hears of nothing


@pytest.mark.parametrize("kind", BROKEN)
def test_the_commands_work_beside_a_broken_plugin(kind: str, fake_plugin: FakePlugin) -> None:
    fake_plugin(BROKEN[kind][0])
    run = CliRunner()
    for words in (["--help"], ["models"], ["methods", "--json"], ["datasets"], ["plugins"]):
        result = run.invoke(cli, words)
        assert result.exit_code == 0, (words, result.output)
    assert "broken" in result.output
    assert run.invoke(cli, ["plugins", "--check"]).exit_code == 1


def test_all_broken_plugins_at_once_leave_a_good_one_and_every_command_working(
    fake_plugin: FakePlugin,
) -> None:
    for number, (code, _) in enumerate(BROKEN.values()):
        fake_plugin(code, name=f"broken-{number:02}")
    fake_plugin(GOOD, name="good")
    run = CliRunner()
    for words in (["--help"], ["models"], ["methods"], ["datasets"], ["info", "horse2zebra"]):
        result = run.invoke(cli, words)
        assert result.exit_code == 0, (words, result.output)
    plugins = json.loads(run.invoke(cli, ["plugins", "--json"]).stdout)
    by_name = {plugin["name"]: plugin for plugin in plugins}
    assert by_name["good"]["state"] == "ok"
    assert "cats" in run.invoke(cli, ["models"]).stdout
    for number, (kind, (_, says)) in enumerate(BROKEN.items()):
        plugin = by_name[f"broken-{number:02}"]
        assert plugin["state"] == "broken", kind
        assert all(text in plugin["reason"] for text in says), (kind, plugin["reason"])


def test_what_a_plugin_prints_goes_to_standard_error(
    fake_plugin: FakePlugin, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_plugin("print('hello')" + GOOD)
    assert Host().plugins["other"].state == "ok"
    out, err = capsys.readouterr()
    assert (out, err) == ("", "hello\n")  # standard output is for data


def test_a_sound_plugin_brings_what_it_registers(fake_plugin: FakePlugin) -> None:
    module = fake_plugin(GOOD)
    host = Host()
    status = host.plugins["other"]
    assert status.state == "ok"
    assert status.reason == ""
    assert status.hooks == ("register_datasets", "register_models")
    assert status.brings == ("model cats", "dataset videos")
    entry = host.models["cats"]
    folder = Path(sys.modules[module].__file__ or "").parent
    assert entry.path == folder / "cats.safetensors"
    assert (entry.plugin, entry.kind) == ("other", "bundled")


@pytest.mark.parametrize("name", ["aaa", "zzz"])
def test_built_in_names_win_over_later_and_earlier_plugins(
    name: str, fake_plugin: FakePlugin
) -> None:
    brought = next(iter(Host().methods.values()))
    fake_plugin(
        "@hookimpl\ndef register_methods(register):\n"
        f"    register(name={brought.name!r}, summary='s', source='image', data='d',"
        "             factory='a:B')",
        name=name,
    )
    host = Host()
    assert host.methods[brought.name] == brought
    assert host.plugins[name].state == "broken"
    assert f"already brought by plugin {brought.plugin}" in host.plugins[name].reason


def test_of_two_plugins_with_one_model_the_first_by_name_has_it(fake_plugin: FakePlugin) -> None:
    fake_plugin(GOOD, name="second")
    fake_plugin(GOOD, name="first")
    host = Host()
    assert (host.plugins["first"].state, host.plugins["second"].state) == ("ok", "broken")
    assert host.models["cats"].plugin == "first"


def test_a_command_and_a_model_cannot_share_a_name(fake_plugin: FakePlugin) -> None:
    fake_plugin(
        "import click\n@hookimpl\ndef register_commands(cli):\n    @cli.command()\n"
        "    def cats(): click.echo('meow')",
        name="first",
    )
    fake_plugin(GOOD, name="second")
    host = Host()
    assert "command of plugin first" in host.plugins["second"].reason
    assert CliRunner().invoke(cli, ["cats"]).output == "meow\n"
    assert "cats" in CliRunner().invoke(cli, ["--help"]).output


def test_one_plugin_cannot_give_a_model_and_a_command_one_name(fake_plugin: FakePlugin) -> None:
    fake_plugin(
        GOOD + "import click\n@hookimpl\ndef register_commands(cli):\n"
        "    cli.add_command(click.Command('cats'))"
    )
    assert Host().plugins["other"].state == "broken"


def test_two_plugins_of_one_name_are_both_listed(fake_plugin: FakePlugin) -> None:
    fake_plugin(GOOD)
    second = fake_plugin(GOOD.replace("cats", "dogs").replace("videos", "films"))
    host = Host()
    assert host.plugins["other"].state == "ok"
    assert host.plugins[f"other ({second})"].state == "broken"


def test_disabled_plugins_are_not_imported(
    fake_plugin: FakePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = fake_plugin(GOOD)
    fake_plugin("import not_a_module", name="worse")
    monkeypatch.setenv("TRANSLATE_DISABLE", "other, worse")
    host = Host()
    assert {host.plugins[name].state for name in ("other", "worse")} == {"disabled"}
    assert module not in sys.modules
    assert "cats" not in host.models
    with pytest.raises(UsageError, match="not loaded: other, worse"):
        host.model("cats")


def test_unknown_names_say_what_was_meant(fake_plugin: FakePlugin) -> None:
    fake_plugin(GOOD)
    host = Host()
    with pytest.raises(UsageError, match="did you mean cats"):
        host.model("cast")
    with pytest.raises(UsageError, match="did you mean videos"):
        host.dataset("vidoes")
    with pytest.raises(UsageError, match="no method is named 'quantum'; 'translate methods'"):
        host.method("quantum")
    with pytest.raises(UsageError, match=r"gone\.safetensors: no such model file"):
        host.model("gone.safetensors")


def test_a_model_of_a_broken_plugin_says_so(fake_plugin: FakePlugin) -> None:
    fake_plugin(GOOD + "    raise ValueError('late')\n")
    with pytest.raises(UsageError, match=r"plugin other, which brings it, is broken \(.*late"):
        Host().dataset("videos")


def test_a_bundled_model_without_its_file_says_so(fake_plugin: FakePlugin) -> None:
    module = fake_plugin(GOOD)
    with pytest.raises(BundleError, match=rf"cats\.safetensors is missing; reinstall {module}"):
        Host().model("cats")


def test_a_kind_of_data_names_its_first_reader(fake_plugin: FakePlugin) -> None:
    built_in = next(iter(Host().datasets.values()))
    fake_plugin(GOOD.replace("unpaired", built_in.kind), name="aaa")
    host = Host()
    assert host.dataset(built_in.kind) == built_in
    assert host.dataset("videos").plugin == "aaa"


def test_factories_blame_their_plugin(fake_plugin: FakePlugin) -> None:
    module = fake_plugin(GOOD, heavy="import not_a_module")
    with pytest.raises(PluginError, match=f"plugin x: cannot import {module}_heavy: .*not_a_mod"):
        load_object(f"{module}_heavy:Thing", plugin="x")
    with pytest.raises(PluginError, match="plugin x: json has no Thing"):
        load_object("json:Thing", plugin="x")
    assert load_object("json:JSONDecoder.decode", plugin="x") is json.JSONDecoder.decode


def test_a_method_must_be_a_method(fake_plugin: FakePlugin) -> None:
    fake_plugin(
        "@hookimpl\ndef register_methods(register):\n"
        "    register(name='m', summary='s', source='image', data='d', factory='json:JSONDecoder')"
    )
    with pytest.raises(PluginError, match=r"plugin other: .* no subclass of translate\.Method"):
        Host().load_method("m")


WATCHER = """
heard = []

@hookimpl
def checkpoint_saved(images):
    heard.append(images)
"""
CAREFUL = """
@hookimpl
def checkpoint_saved(path):
    raise OSError(f"no room for {path}")
"""


def test_events_reach_plugins_with_what_they_ask_for(
    fake_plugin: FakePlugin, capsys: pytest.CaptureFixture[str]
) -> None:
    module = fake_plugin(WATCHER, name="watcher")
    fake_plugin(CAREFUL, name="careful")
    host = Host()
    for images in (10, 20):
        host.notify("checkpoint_saved", run=Path("r"), path=Path("r/last.pt"), images=images)
    assert sys.modules[module].heard == [10, 20]
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("plugin careful: checkpoint_saved failed: OSError: no room for r/last.pt")


def test_a_wrong_event_is_the_hosts_own_mistake(fake_plugin: FakePlugin) -> None:
    fake_plugin(WATCHER)
    with pytest.raises(TypeError, match="images"):
        Host().notify("checkpoint_saved", run=Path("r"), path=Path("p"))


def test_plugins_hear_one_event_at_a_time(
    fake_plugin: FakePlugin, capsys: pytest.CaptureFixture[str]
) -> None:
    module = fake_plugin(
        "import time\ninside = 0\nmost = 0\ncalls = 0\n@hookimpl\n"
        "def image_translated(seconds):\n    global inside, most, calls\n"
        "    inside += 1; most = max(most, inside); calls += 1\n"
        "    time.sleep(0.001); inside -= 1\n",
    )
    fake_plugin("@hookimpl\ndef image_translated(): raise ValueError", name="bad")
    host = Host()

    def work() -> None:
        for _ in range(5):
            host.notify("image_translated", source="a", output="b", model="m", seconds=0.1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    plugin = sys.modules[module]
    assert (plugin.calls, plugin.most) == (40, 1)
    assert capsys.readouterr().err.count("plugin bad") == 1


def test_given_entry_points_are_the_only_ones(fake_plugin: FakePlugin) -> None:
    module = fake_plugin(GOOD)
    point = importlib.metadata.EntryPoint(name="mine", value=module, group="translate")
    host = Host([point])
    assert list(host.plugins) == ["mine"]
    assert list(host.models) == ["cats"]
    assert not Host([]).methods


def test_the_host_is_loaded_once() -> None:
    assert the_host() is the_host()


def test_home_is_where_the_variable_or_the_platform_says(
    monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path
) -> None:
    assert translate_home() == home
    monkeypatch.delenv("TRANSLATE_HOME")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert translate_home() == tmp_path / "translate"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert translate_home() == Path.home() / ".local/share/translate"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert translate_home() == Path.home() / "Library/Application Support/translate"


def test_a_name_too_long_for_a_file_is_an_unknown_name() -> None:
    with pytest.raises(UsageError, match="no model is named"):
        Host([]).model("a" * 300)
    assert Host([]).own_path("a" * 300).stem == "a" * 300  # writing it says what is wrong


def test_own_models_that_cannot_be_looked_at_take_no_other_down(
    monkeypatch: pytest.MonkeyPatch, fake_plugin: FakePlugin
) -> None:
    fake_plugin(GOOD)

    def refuse(path: Path, *args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)
    assert "cats" in Host().models
    assert "cats" in Host().model_names()


def test_an_empty_word_is_no_model() -> None:
    result = CliRunner().invoke(cli, ["", "a.jpg"])
    assert result.exit_code == 2
    assert "the model comes first" not in result.stderr
