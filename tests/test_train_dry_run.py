"""``--dry-run`` says what would be trained, and what it says is a recipe for just that."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from test_networks import parameters
from test_training import teacher
from tiny import DATA, NETWORK, unpaired_folder
from translate.cli.group import cli
from translate.host import the_host
from translate.networks import PatchGAN, ResnetGenerator
from translate.options import build
from translate.training.plan import RunPlan, make_plan, read_recipe, split_assignments
from translate.training.run import Run
from translate.training.toml import as_toml

SMALL = NETWORK | {f"data.{name}": value for name, value in DATA.items()}


def train(method: str, data: Path, *more: str, **options: Any) -> Result:
    """Run ``translate train`` with options as they are typed."""
    words = ["train", method, "--data", str(data), "--out", str(data.parent / "run"), *more]
    for name, value in options.items():
        words += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    return CliRunner().invoke(cli, words)


def listed(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return unpaired_folder(tmp_path / "pictures")


@pytest.mark.parametrize("cache", ["memory", "file"])
def test_it_says_what_would_be_trained_and_writes_nothing(data: Path, cache: str) -> None:
    before = listed(data.parent)
    words = ["--dry-run", "--batch-size", "2", "--images", "300", "--precision", "fp32"]
    wanted = {"adversarial": "wgan-gp", "training.players.generator.schedule": "cosine"}
    result = train("cyclegan", data, *words, "--cache", cache, **SMALL, **wanted)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    said = [line for line in result.stdout.splitlines() if line.startswith("# ")]
    generator = parameters(ResnetGenerator(widths=(4, 8, 16), blocks=3))
    critic = parameters(PatchGAN(width=4, layers=1))
    assert said == [
        "# data: unpaired: 4 pictures in a, 5 pictures in b",
        f"# network: a2b, ResnetGenerator, {generator:,} parameters",
        f"# network: b2a, ResnetGenerator, {generator:,} parameters",
        f"# network: critic_a, Discriminator, {critic:,} parameters",
        f"# network: critic_b, Discriminator, {critic:,} parameters",
        "# player: generator, adam at 0.0001 (cosine), 1 a step, images 0 to the end",
        "# player: discriminator, adam at 0.0001 (linear), 5 a step, images 0 to the end",
        "# model: a2b, from image",
        "# model: b2a, from image",
        "# batch: a, 2×3×16×16 float32, -1.00 to 1.00",
        "# batch: b, 2×3×16×16 float32, -1.00 to 1.00",
        "# computes: on cpu, float32; nothing was trained or written",
    ]
    assert listed(data.parent) == before


def test_what_it_says_can_be_given_to_recipe(data: Path) -> None:
    odd = {
        "cycle_weight": 1e-5,
        "augment": ["colour", "cutout"],
        "widths": [4, 8, 8],
        "training.players": {"all": {"lr": 3e-5, "betas": [0.5, 0.9]}, "generator": {"clip": 1}},
        "card.summary": 'turns "a" into b \\ 😀\nand back',
        "card.training": {"with space": {"ü": [1, 2.5, True]}},
    }
    said = train("cyclegan", data, "--dry-run", **SMALL | odd)
    assert said.exit_code == 0, said.output
    recipe = data.parent / "said.toml"
    recipe.write_text(said.stdout, encoding="utf-8")
    again = train("cyclegan", data, "--dry-run", "--recipe", str(recipe))
    assert again.exit_code == 0, again.output
    assert again.stdout == said.stdout
    values = tomllib.loads(said.stdout)
    assert values["options"]["cycle_weight"] == 1e-5
    assert values["card"]["summary"] == odd["card.summary"]
    assert values["training"]["players"]["generator"] == {"clip": 1.0}


def test_stages_are_told_with_their_images(data: Path) -> None:
    options = {"teacher": teacher(data.parent), "widths": [4, 4, 8], "blocks": 3}
    options |= {"stages_until": 40, "adversarial_weight": 0.5, "adversarial_since": 60}
    sizes = {"judge_width": 4, "data.size": 24, "data.load": 24}
    result = train("distill", data, "--dry-run", **options, **sizes)
    assert result.exit_code == 0, result.output
    players = [line for line in result.stdout.splitlines() if line.startswith("# player: ")]
    assert players == [
        "# player: stages, adam at 0.001 (linear), 1 a step, images 0 to 40",
        "# player: student, adam at 0.001 (linear), 1 a step, images 40 to the end",
        "# player: judge, adam at 0.0002 (constant), 1 a step, images 60 to the end",
    ]


def test_what_is_wrong_is_told_before(data: Path) -> None:
    result = train("cyclegan", data, "--dry-run", **SMALL | {"data.size": 18})
    assert (result.exit_code, result.stdout) == (2, "")
    assert "data.size=18" in result.stderr


# Recipes

METHODS = sorted(
    name for name, entry in the_host().methods.items() if entry.factory.startswith("translate_")
)


def small(kind: Any, folder: Path) -> dict[str, Any]:
    """Return the options that make a method's networks as narrow as they can be."""
    fields = kind.Options.model_fields.items()
    narrow = {
        name: next(limit.ge for limit in field.metadata if hasattr(limit, "ge"))
        for name, field in fields
        if name.endswith("width")
    }
    if "teacher" in kind.Options.model_fields:
        narrow |= {"teacher": teacher(folder), "widths": (4, 4, 8), "blocks": 3}
    return narrow


@pytest.mark.parametrize("name", METHODS)
def test_a_runs_recipe_makes_the_same_run(name: str, tmp_path: Path) -> None:
    kind = the_host().load_method(name)
    options = small(kind, tmp_path)
    needs = kind.data(build(kind.Options, options, what=name))
    multiple: Any = needs.get("multiple_of", 1)
    least: Any = needs.get("minimum", 1)
    size: Any = needs.get("size", -(-max(32, least) // multiple) * multiple)
    reader = the_host().load_dataset(the_host().method(name).data)
    values = {
        "data": dict(reader.example(tmp_path / "data", size)),
        "training": {"precision": "fp32", "images": 7, "players": {"all": {"lr": 1e-5}}},
        "card": {"licence": "CC0"},
    }
    folders = (str(tmp_path / "data"),)

    def run(folder: str, plan: RunPlan) -> Run:
        return Run(tmp_path / folder, plan, device="cpu", resume=False)

    first = run("one", make_plan(name, folders, None, {}, values | {"options": options}))
    first.saver.describe()
    recipe = read_recipe(tmp_path / "one" / "recipe.toml")
    second = run("two", make_plan(name, folders, None, recipe, {}))
    assert second.plan == first.plan
    assert first.plan["options"].items() >= {k: _plain(v) for k, v in options.items()}.items()


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("name", METHODS)
def test_no_option_means_something_else_by_null_than_by_being_left_out(name: str) -> None:
    """TOML has no null, so a recipe could not say it."""
    kind = the_host().load_method(name)
    reader = the_host().load_dataset(the_host().method(name).data)
    for group in (kind.Options, reader.Options):
        for option, field in group.model_fields.items():
            nullable = type(None) in getattr(field.annotation, "__args__", ())
            assert not nullable or field.default is None, option


# TOML

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.sampled_from([1e-5, 1e22, -0.0, 5e-324]),
)
values = st.recursive(
    st.one_of(texts, numbers),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=6,
)
tables = st.recursive(
    st.dictionaries(texts, st.one_of(st.none(), values), max_size=4),
    lambda inner: st.dictionaries(texts, st.one_of(st.none(), values, inner), max_size=3),
    max_leaves=4,
)


def without_nothing(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table without None and without groups that hold nothing."""
    kept: dict[str, Any] = {}
    for name, value in table.items():
        inner = without_nothing(value) if isinstance(value, Mapping) else value
        if inner is not None and inner != {}:
            kept[name] = inner
    return kept


@settings(deadline=None, max_examples=100)
@given(tables)
def test_toml_reads_back_as_what_was_written(table: dict[str, Any]) -> None:
    back = tomllib.loads(as_toml(table))
    assert repr(back) == repr(_ordered(without_nothing(table), back))


def _ordered(table: Any, like: Any) -> Any:
    """Return the same table in another's order: groups come after what stands alone."""
    if not (isinstance(table, dict) and isinstance(like, dict)):
        return table
    assert table.keys() == like.keys()
    return {name: _ordered(table[name], like[name]) for name in like}


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"a": None, "b": {"c": None}, "d": {}}, ""),
        ({"a": [[1, 2], []], "b": True}, "a = [[1, 2], []]\nb = true\n"),
        ({"x": {"y": {"z": "\x7f😀\n"}}}, '\n[x.y]\nz = "\\u007f😀\\n"\n'),
        ({"é": 1, "": 2, "a.b": {"c-d_1": 3}}, '"é" = 1\n"" = 2\n\n["a.b"]\nc-d_1 = 3\n'),
        ({"a": [{"b": 1e-5}]}, "a = [{b = 1e-05}]\n"),
    ],
)
def test_toml_is_written_as_a_person_would(table: dict[str, Any], text: str) -> None:
    assert as_toml(table) == text
    tomllib.loads(text)


def test_options_typed_as_groups_are_the_same_as_a_recipes() -> None:
    given = split_assignments({"width": 4, "data": {"size": 16}})
    assert tomllib.loads(as_toml(given)) == {"options": {"width": 4}, "data": {"size": 16}}
