"""The plan of what is made of no picture: what may be asked for, and what its files are called."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from translate.errors import UsageError
from translate.inference.plan import Plan
from translate.inference.requests import plan_requests, read_prompts
from translate.model import Header
from translate.options import Facts

CLASSES = ("zero", "one", "two three")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def plan(*values: str, reads: tuple[str, ...] = ("class",), seed: int = 5, **more: Any) -> Plan:
    classes = CLASSES if "class" in reads else ()
    header = Header(method="m", export="it", reads=reads, facts=Facts(classes=classes))
    return plan_requests(values, "m", header, seed=seed, **more)


def names(made: Plan) -> list[str]:
    return [str(item.output) for item in made.items]


def test_a_class_is_asked_for_by_name_or_number() -> None:
    made = plan("one", "2", "two three", "1")
    assert [item.source.requests[0].value for item in made.items] == [1, 2]
    assert names(made) == ["one-m-5.png", "two-three-m-5.png"]
    assert made.items[1].source.name == "two three (seed 5)"


def test_a_name_made_of_digits_is_a_name_before_it_is_a_number() -> None:
    header = Header(method="m", export="it", reads=("class",), facts=Facts(classes=("3", "1", "0")))
    made = plan_requests(["0", "1", "2"], "m", header, seed=0)
    assert [item.source.requests[0].value for item in made.items] == [2, 1]


def test_every_picture_has_a_file_named_after_its_seed() -> None:
    assert names(plan("one", count=3)) == ["one-m-5.png", "one-m-6.png", "one-m-7.png"]
    assert names(plan("one", count=2, out="out")) == ["out/one-5.png", "out/one-6.png"]
    assert names(plan(reads=(), count=2)) == ["m-5.png", "m-6.png"]
    assert names(plan(reads=(), count=2, out="o/", format="webp")) == ["o/5.webp", "o/6.webp"]
    seeds = [item.source.requests[0].seed for item in plan("one", "zero", count=2).items]
    assert seeds == [5, 6, 5, 6]


def test_what_was_made_is_not_made_again() -> None:
    Path("out").mkdir()
    Path("out/one-6.png").touch()
    first, second = plan("one", count=2, out="out").items
    assert (first.action, second.action) == ("write", "skip")
    assert {i.action for i in plan("one", count=2, out="out", overwrite=True).items} == {"write"}
    Path("one.png").touch()
    with pytest.raises(UsageError, match=r"one\.png: exists; add --overwrite"):
        plan("one", out="one.png")


def test_a_sheet_is_one_file_with_a_row_for_each_class() -> None:
    [item] = plan("one", "zero", count=3, grid=True).items
    assert str(item.output) == "one-zero-m-5x3.png"
    assert [(r.value, r.seed) for r in item.source.requests] == [
        *((1, 5), (1, 6), (1, 7)),
        *((0, 5), (0, 6), (0, 7)),
    ]
    assert item.source.columns == 3
    assert item.source.name == "one, zero (seed 5 on, 6 pictures)"
    [square] = plan("one", count=10, grid=True, out="sheet.webp").items
    assert (square.source.columns, str(square.output), square.format) == (4, "sheet.webp", "webp")


def test_prompts_become_short_safe_names_that_no_other_prompt_has() -> None:
    prompts = ("a smiling cat", "A smiling cat!", "a  smiling cat", "猫", "../..", "a-b")
    made = plan(*prompts, reads=("text",))
    assert names(made)[0] == "a-smiling-cat-m-5.png"
    assert names(made)[3] == "猫-m-5.png"
    for name, start in zip(names(made)[1:3], ["a-smiling-cat"] * 2, strict=True):
        assert re.fullmatch(rf"{start}-[0-9a-f]{{6}}-m-5\.png", name)
    assert re.fullmatch(r"text-[0-9a-f]{6}-m-5\.png", names(made)[4])
    assert len(set(names(made))) == len(prompts)
    assert made.items[1].source.requests[0].value == "A smiling cat!"
    [long] = plan("猫" * 500, reads=("text",)).items
    assert long.output is not None
    assert len(os.fsencode(long.output.name)) < 200


def test_a_prompts_name_does_not_hang_on_what_else_is_asked_for() -> None:
    prompts = ["red, round", "red round", "red: round"]
    one_by_one = [names(plan(prompt, reads=("text",)))[0] for prompt in prompts]
    assert names(plan(*reversed(prompts), reads=("text",))) == one_by_one[::-1]


def test_sheets_of_other_prompts_have_other_names() -> None:
    sheets = [("a", "b c"), ("a b", "c"), ("a b c",)]
    found = {names(plan(*sheet, reads=("text",), grid=True))[0] for sheet in sheets}
    assert len(found) == 3


def test_classes_whose_names_are_alike_have_files_of_their_own() -> None:
    header = Header(
        method="m", export="it", reads=("class",), facts=Facts(classes=("cat fish", "cat-fish"))
    )
    made = plan_requests(["0", "1"], "m", header, seed=0)
    assert len(set(names(made))) == 2


def test_sheets_of_other_classes_have_other_names() -> None:
    long = ["x" * 60, "y" * 60, "z" * 60]
    header = Header(
        method="m", export="it", reads=("class",), facts=Facts(classes=("!", "?", "a", "A", *long))
    )
    sheets = [("!",), ("?",), ("a", long[0]), ("A", long[0]), (*long[:2],), (long[0], long[2])]
    found = {names(plan_requests(s, "m", header, seed=0, grid=True))[0] for s in sheets}
    assert len(found) == len(sheets)


def test_a_sentence_may_end_like_a_pictures_name() -> None:
    made = plan("a cat on x.jpg", reads=("text",))
    assert made.items[0].source.requests[0].value == "a cat on x.jpg"
    Path("a cat on x.jpg").touch()
    with pytest.raises(UsageError, match="not from a picture"):
        plan("a cat on x.jpg", reads=("text",))


def test_a_file_of_prompts_has_one_a_line() -> None:
    Path("p.txt").write_bytes("\ufeffa cat\r\n\n  # one  \r\n\t\n猫".encode())
    assert read_prompts("p.txt") == ["a cat", "# one", "猫"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "--prompts p.txt: no such file"),
        (b" \n\n", "--prompts p.txt: has no prompts"),
        (b"a cat\nfa\xe7ade\n", "--prompts p.txt: line 2 is not UTF-8"),
        (b"\xef\xbb\xbfa\n\xe7\n", "--prompts p.txt: line 2 is not UTF-8"),
    ],
)
def test_a_file_without_prompts_is_refused(content: bytes | None, reason: str) -> None:
    if content is not None:
        Path("p.txt").write_bytes(content)
    with pytest.raises(UsageError, match=reason):
        read_prompts("p.txt")


@pytest.mark.parametrize(
    ("values", "more", "reason"),
    [
        (["four"], {}, "model m: no class four; there are zero, one, two three"),
        (["3"], {}, "no class 3; there are zero"),
        (["zerp"], {}, "no class zerp; did you mean zero"),
        ([], {}, "no input given; name a class; there are zero"),
        (["a.png"], {}, "a.png: model m starts from class, not from a picture"),
        (["a.png"], {"reads": ()}, "starts from noise alone; leave out a.png"),
        (["7"], {"reads": ()}, "choose pictures with --seed"),
        ([], {"reads": ("text",)}, "no input given; name a prompt"),
        ([" "], {"reads": ("text",)}, "the prompt is empty"),
        (["fa\udce7ade"], {"reads": ("text",)}, "not UTF-8"),
        (["cat.jpg"], {"reads": ("text",)}, "cat.jpg: model m starts from text"),
        (["x"], {"reads": ("text", "image")}, "starts from text and image; that cannot be run"),
        (["one", "zero"], {"out": "a.png"}, "2 pictures for one file; add --grid, or name"),
        (["one"], {"out": "-", "count": 2}, "2 pictures for one file"),
        (["one"], {"out": "a.xyz"}, "is no image format"),
        (["one"], {"format": "gif"}, "not one of keep, png"),
    ],
)
def test_what_cannot_be_made_is_refused(
    values: list[str], more: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        plan(*values, **more)
