"""The README and the pages: their commands exist, their links lead somewhere."""

from __future__ import annotations

import copy
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from translate.cli.group import Commands, cli
from translate.errors import TranslateError
from translate.files import WRITABLE

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

Line = tuple[str, str]


def shell_lines() -> Iterator[Line]:
    """Yield the page and the text of every call of translate in a block of shell."""
    for page in PAGES:
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.M | re.S):
            for line in block.replace("\\\n", " ").splitlines():
                for call in re.split(r"&&|\||;", line.partition(" #")[0]):
                    if call.strip().startswith("translate "):
                        yield page.name, call.partition(">")[0].strip()


LINES = sorted(set(shell_lines()))


def test_there_are_commands_in_the_pages() -> None:
    assert {page for page, _ in LINES} >= {"README.md", "translating.md", "training.md"}


@pytest.mark.parametrize(("page", "line"), LINES, ids=lambda value: value)
def test_every_command_in_the_pages_can_be_given(page: str, line: str) -> None:
    parse(shlex.split(line)[1:])


def parse(words: list[str]) -> None:
    """Parse a command line as click does, following groups, and run nothing.

    Raises:
        click.ClickException: if it could not be given.
    """
    first = words[0]
    command = Commands.get_command(cli, click.Context(cli), first)
    if command is None:  # a model's name: the page may mean one of the reader's own
        command, words = Commands.get_command(cli, click.Context(cli), "run"), ["run", *words]
    assert command is not None
    while isinstance(command, click.Group) and len(words) > 1:
        inner = command.get_command(click.Context(command), words[1])
        if inner is None:
            break
        command, words = inner, words[1:]
    if not isinstance(command, click.Group):
        # What must exist (folders, recipes) need not, where this test runs.
        command = copy.copy(command)
        command.params = [copy.copy(parameter) for parameter in command.params]
        for parameter in command.params:
            if isinstance(parameter.type, click.Path):
                parameter.type = click.Path()
        command.make_context(words[0], words[1:])


@pytest.mark.parametrize(
    "line", ["plus a.png --sizes 3", "train cyclegan --data d", "models extra", "run"]
)
def test_a_command_that_could_not_be_given_would_be_noticed(line: str) -> None:
    with pytest.raises((click.ClickException, TranslateError)):
        parse(line.split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_project_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize(
    ("mark", "begins"), [("main command", "pip install ."), ("test command", "pip install -e")]
)
def test_the_readme_has_its_two_commands_in_one_line_each(mark: str, begins: str) -> None:
    readme = (ROOT / "README.md").read_text()
    [command] = re.findall(rf"<!-- {mark} -->\n```sh\n(.*)\n```", readme)
    assert command.startswith(begins)


def test_the_readmes_main_command_names_pictures_that_are_here() -> None:
    readme = (ROOT / "README.md").read_text()
    [folder] = re.findall(r"translate horse2zebra (examples/\S+)$", readme, re.M)
    assert len(list((ROOT / folder).glob("*.jpg"))) >= 3


def test_the_page_on_translating_names_every_option() -> None:
    page = (ROOT / "docs" / "translating.md").read_text()
    command = Commands.get_command(cli, click.Context(cli), "run")
    assert command is not None
    options = {name for one in command.params if isinstance(one, click.Option) for name in one.opts}
    missing = {name for name in options if name.startswith("--") and name not in page}
    # The table has their short forms, or their opposites.
    assert missing <= {"--verbose", "--quiet", "--recursive"}
    assert all(name in page for name in WRITABLE)
