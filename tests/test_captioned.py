"""Pictures with captions: which belong together, what a sample is, what is refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tiny import save_picture
from translate.errors import UsageError
from translate.evaluation.data import EvaluationSet, read
from translate.host import the_host
from translate.method import Export
from translate.options import build, parse_assignments
from translate.pipeline.loader import batches
from translate_datasets.captioned import Captioned, CaptionedOptions, is_held_out

EXPORT = Export(nn.Identity(), {"text": "text"})


def captioned(*folders: Path, **options: Any) -> Captioned:
    values = build(CaptionedOptions, options, what="data")
    return Captioned(folders, values, {"size": 16})


def tried(*folders: Path, **options: Any) -> EvaluationSet:
    values = build(CaptionedOptions, options, what="data")
    return Captioned.evaluation(folders, values, {"size": 16}, EXPORT)


def all_captions(data: Captioned) -> dict[str, tuple[str, ...]]:
    return {file.name: captions for file, captions in data.captions.items()}


def grey(path: Path, level: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20), (level,) * 3).save(path)
    return path


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def beside(folder: Path, count: int = 3) -> Path:
    """Write pictures as bright as their number times 20, with a caption that says it."""
    for number in range(count):
        grey(folder / f"{number}.png", number * 20)
        write(folder / f"{number}.txt", f"level {number}\n")
    return folder


def table(folder: Path, *rows: str, name: str = "captions.csv") -> Path:
    return write(folder / name, "\n".join(rows) + "\n")


def test_text_files_beside_the_pictures_have_a_caption_a_line(tmp_path: Path) -> None:
    beside(tmp_path)
    # A mark of bytes' order, ends of lines of other systems, a line break that is none.
    text = "\ufeffeins\r\n\r\n  zwei \rdrei\u2028vier\n馬と🐴\neins\n"
    write(tmp_path / "0.txt", text)
    data = captioned(tmp_path)
    assert data.describe() == "captioned: 3 pictures with 6 captions"
    assert all_captions(data)["0.png"] == ("eins", "zwei", "drei\u2028vier", "馬と🐴")


def test_samples_hold_a_picture_and_one_of_its_own_captions(tmp_path: Path) -> None:
    beside(tmp_path)
    write(tmp_path / "2.txt", "level 2\nlevel 02\nlevel 002\n")
    data = captioned(tmp_path)
    drawn = set()
    for number in range(60):
        sample = data.sample(number, 5)
        assert sample["image"].shape == (16, 16, 3)
        assert (sample["image"] == 20 * int(sample["text"].split()[1])).all()
        again = data.sample(number, 5)
        assert again["text"] == sample["text"]
        drawn.add(sample["text"])
    assert drawn == {"level 0", "level 1", "level 2", "level 02", "level 002"}
    others = [[data.sample(n, seed)["text"] for n in range(12)] for seed in (5, 6)]
    assert others[0] != others[1]
    epoch = [data.sample(n, 5)["text"].split()[1] for n in range(3)]
    assert sorted(map(int, epoch)) == [0, 1, 2]


def test_captions_lose_words_and_are_put_into_templates_while_learning_alone(
    tmp_path: Path,
) -> None:
    grey(tmp_path / "0.png", 20)
    write(tmp_path / "0.txt", "big {red} cat\n")
    templates = ("{}", "a {}")
    data = captioned(tmp_path, templates=templates, drop_words=0.5)
    said = [str(data.sample(number, 5)["text"]) for number in range(400)]
    assert said == [str(data.sample(number, 5)["text"]) for number in range(400)]
    worn = {"big {red} cat", "{red} cat", "big cat", "big {red}"}
    assert set(said) == worn | {f"a {caption}" for caption in worn}
    assert 140 < sum("big {red} cat" in one for one in said) < 260
    assert 140 < sum(one.startswith("a ") for one in said) < 260
    write(tmp_path / "0.txt", "cat\n")
    assert captioned(tmp_path, drop_words=1).sample(0, 0)["text"] == "cat"
    assert [case.value for case in tried(tmp_path, templates=templates, drop_words=1).cases] == [
        "cat"
    ]
    with pytest.raises(UsageError, match=r"'a' has no \{\}, where the caption goes"):
        captioned(tmp_path, templates=("a",))


def test_captions_reach_the_batch_beside_their_pictures(tmp_path: Path) -> None:
    data = captioned(beside(tmp_path), flip=True, colour=0.1)
    loader = batches(data, seed=1, start=0, batch_size=3, workers=2, device=torch.device("cpu"))
    batch = next(loader)
    loader.close()
    assert batch["image"].shape == (3, 3, 16, 16)
    assert sorted(batch.texts["text"]) == ["level 0", "level 1", "level 2"]
    assert batch.texts["text"] == [data.sample(n, 1)["text"] for n in range(3)]


def test_pictures_and_texts_may_be_trees_side_by_side(tmp_path: Path) -> None:
    for kind in ("finch", "gull"):
        save_picture(tmp_path / "images" / kind / "a.jpg", 0)
        write(tmp_path / "text" / kind / "a.txt", f"a {kind}\n")
    write(tmp_path / "classes.txt", "finch\ngull\n")  # in neither tree
    found = {f.parent.name: captions for f, captions in captioned(tmp_path).captions.items()}
    assert found == {"finch": ("a finch",), "gull": ("a gull",)}
    given = captioned(tmp_path / "images", tmp_path / "text").captions
    assert sorted(given.values()) == [("a finch",), ("a gull",)]


@pytest.mark.parametrize("heading", ["file,caption", "Filename,TEXT", "kind,path,description"])
def test_columns_of_a_table_are_known_by_their_names(heading: str, tmp_path: Path) -> None:
    more = "x," if heading.startswith("kind") else ""
    for number in range(2):
        grey(tmp_path / f"{number}.png", number)
    rows = (f'{more}0.png,"one, ""two"""', f"{more}1.png,three", f"{more}0.png,four")
    data = captioned(table(tmp_path, heading, *rows))
    assert all_captions(data) == {"0.png": ('one, "two"', "four"), "1.png": ("three",)}


def test_another_column_can_be_chosen_and_must_be_there(tmp_path: Path) -> None:
    grey(tmp_path / "0.png", 0)
    place = table(tmp_path, "file,name,german", "0.png,horse,Pferd")
    assert all_captions(captioned(place)) == {"0.png": ("horse",)}
    assert all_captions(captioned(place, captions_from="german")) == {"0.png": ("Pferd",)}
    with pytest.raises(UsageError, match=r"no column of captions \(french\); there are file, name"):
        captioned(place, captions_from="french")


def test_json_lines_hold_one_caption_or_several(tmp_path: Path) -> None:
    for number in range(3):
        grey(tmp_path / "inside" / f"{number}.png", number)
    rows = [
        {"file": "inside/0.png", "caption": "none"},
        {"file": "inside/1.png", "caption": ["one", "eins", ""]},
        {"file": "2.png", "caption": 2, "more": {"a": [1]}},
    ]
    place = table(tmp_path, *map(json.dumps, rows), "", name="metadata.jsonl")
    for data in (captioned(place), captioned(tmp_path)):
        assert list(data.captions.values()) == [("none",), ("one", "eins"), ("2",)]


def test_rows_are_filtered_by_the_values_of_their_columns(tmp_path: Path) -> None:
    rows = []
    for number, (group, tone) in enumerate([("a", ""), ("a", "dark"), ("b", ""), ("c & d", "")]):
        grey(tmp_path / f"{number}.png", number)
        rows.append(f"{number}.png,it,{group},{tone}")
    place = table(tmp_path, "file,name,group,tone", *rows, "9.png,lost,e,")

    def left(*assignments: str) -> str:
        data = captioned(place, **parse_assignments(assignments))
        return "".join(sorted(file.stem for file in data.files))

    # The row of a picture that is not there is never looked at.
    assert left("where.tone=dark") == "1"
    assert left("where.tone=", 'where.group=["a", "c & d"]') == "03"
    assert left("where.group=c & d") == "3"
    with pytest.raises(UsageError, match=r"no column of that name \(tint\); there are file, name"):
        left("where.tint=")
    with pytest.raises(UsageError, match=r"no picture has a caption, and the values of"):
        left("where.group=f")
    with pytest.raises(UsageError, match=r"data\.where: .* no list with columns"):
        captioned(beside(tmp_path / "texts"), where={"tone": ""})


def test_a_name_is_a_value_or_a_group_in_either_order() -> None:
    for assignments in (["a=1", "a.b=2"], ["a.b=2", "a=1"]):
        with pytest.raises(UsageError, match=r"a is a (value, not a group|group of options)"):
            parse_assignments(assignments)


def test_options_survive_the_json_of_a_bundle() -> None:
    values = parse_assignments(["where.a=", 'where.b=["x", "y"]', "where.c=3"])
    options = build(CaptionedOptions, values, what="data")
    assert options.where == {"a": "", "b": ("x", "y"), "c": "3"}
    again = build(CaptionedOptions, json.loads(options.model_dump_json()), what="data")
    assert again == options


def test_a_table_may_name_pictures_that_lie_in_folders_below(tmp_path: Path) -> None:
    grey(tmp_path / "noto" / "a.png", 1)
    grey(tmp_path / "other" / "b.png", 2)
    place = table(tmp_path, "file,name", "a.png,it")
    for data in (captioned(tmp_path), captioned(place), captioned(tmp_path / "noto", place)):
        assert list(data.captions) == [tmp_path / "noto" / "a.png"]
    grey(tmp_path / "other" / "a.png", 3)
    with pytest.raises(UsageError, match=r"line 2: a\.png may be noto/a\.png and other/a\.png"):
        captioned(tmp_path)
    assert list(captioned(place, tmp_path / "other").captions) == [tmp_path / "other" / "a.png"]


def test_what_lacks_its_partner_is_listed_and_refused_unless_allowed(tmp_path: Path) -> None:
    beside(tmp_path)
    grey(tmp_path / "bare.png", 0)
    write(tmp_path / "0.txt", "\n \n")
    write(tmp_path / "lost.txt", "nothing shows it\n")
    with pytest.raises(UsageError) as refused:
        captioned(tmp_path)
    text = str(refused.value)
    assert text.count("\n") == 0
    assert "2 pictures have no caption: " in text
    assert "0.png, " in text
    assert "bare.png" in text
    assert "1 caption has no picture: " in text
    assert "lost.txt" in text
    assert "data.allow_missing=true" in text
    data = captioned(tmp_path, allow_missing=True)
    assert data.describe() == "captioned: 2 pictures with 2 captions, 3 without a partner"
    assert len(tried(tmp_path).unmatched) == 3
    place = table(tmp_path, "file,name", "1.png,one", f"{'no name ' * 40},two")
    with pytest.raises(UsageError, match=r"1 caption has no picture: no name .*\(line 3\)"):
        captioned(place)
    place = table(tmp_path, "file,name", "1.png,one", "2.png,", "none.png,nothing")
    with pytest.raises(UsageError, match=r"1 picture has no caption: .*2\.png; 1 .*none\.png \("):
        captioned(place)
    assert all_captions(captioned(place, allow_missing=True)) == {"1.png": ("one",)}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("0.txt", b"caf\xe9\n", r"0\.txt: not UTF-8 at byte 3; save it as UTF-8"),
        ("captions.csv", b"file,name\n0.png,caf\xe9\n", r"captions\.csv: not UTF-8 at byte 19"),
        ("captions.csv", b'file,name\n0.png,"open\n', r"captions\.csv: line 2: no CSV"),
        ("captions.csv", b"file,name\n,nothing\n", "line 2 names no picture"),
        ("captions.csv", b"", "no column of pictures .*; it is empty"),
        (
            "captions.csv",
            b"a,b\n",
            r"no column of pictures \(file or .*; it is empty",
        ),
        ("captions.jsonl", b'{"file": "0.png"', "line 1: no JSON"),
        ("captions.jsonl", b"[1]\n", r"line 1: no object with names, but \[1\]"),
        ("captions.jsonl", b'{"file": "0.png", "text": "\\ud83d"}\n', "half a character"),
    ],
)
def test_what_cannot_be_understood_says_where(
    name: str, content: bytes, reason: str, tmp_path: Path
) -> None:
    beside(tmp_path)
    write(tmp_path / name, content)
    with pytest.raises(UsageError, match=reason):
        captioned(tmp_path)


def test_a_folder_without_captions_is_refused(tmp_path: Path) -> None:
    grey(tmp_path / "a.png", 0)
    with pytest.raises(UsageError, match=r"no captions; needs a text file \(\.txt\) for each"):
        captioned(tmp_path)
    with pytest.raises(UsageError, match="none: no such folder, nor a list of captions"):
        captioned(tmp_path / "none")
    with pytest.raises(UsageError, match="3 places; give a folder of pictures with their"):
        captioned(tmp_path, tmp_path, tmp_path)


@pytest.mark.parametrize(("ground", "level"), [("white", 255), ("grey", 128), ("black", 0)])
def test_transparent_pictures_are_laid_on_the_ground_chosen(
    ground: str, level: int, tmp_path: Path
) -> None:
    Image.new("RGBA", (16, 16), (10, 200, 30, 0)).save(tmp_path / "a.png")
    write(tmp_path / "a.txt", "nothing")
    data = captioned(tmp_path, ground=ground)
    assert (data.sample(0, 0)["image"] == level).all()
    assert (tried(tmp_path, ground=ground).cases[0].target() == level).all()  # type: ignore[operator, misc]


def test_a_picture_that_cannot_be_read_gives_way_to_one_with_its_own_caption(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beside(tmp_path)
    (tmp_path / "1.png").write_bytes(b"no picture")
    data = captioned(tmp_path)
    for number in range(6):
        sample = data.sample(number, 0)
        assert (sample["image"] == 20 * int(sample["text"].split()[1])).all()
    assert "left out" in capsys.readouterr().err


def test_what_is_held_out_is_never_trained_on_wherever_the_pictures_lie(tmp_path: Path) -> None:
    data = captioned(beside(tmp_path / "here", 40), hold_out=0.25)
    held = {file.name for file in data.held_out}
    assert 3 <= len(held) <= 20
    assert len(data) == 40 - len(held)
    assert f"{len(held)} held out" in data.describe()
    numbers = {data.sample(n, 0)["text"].split()[1] for n in range(2 * len(data))}
    assert numbers.isdisjoint(name.removesuffix(".png") for name in held)
    shutil.move(tmp_path / "here", tmp_path / "there")
    again = captioned(tmp_path / "there", hold_out=0.25)
    assert {file.name for file in again.held_out} == held
    more = {file.name for file in captioned(tmp_path / "there", hold_out=0.5).held_out}
    assert held < more
    share = sum(is_held_out(Path(f"{n}.png"), 0.3) for n in range(2000)) / 2000
    assert share == pytest.approx(0.3, abs=0.03)
    assert not any(is_held_out(Path(f"{n}.png"), 0) for n in range(100))
    assert is_held_out(Path("emoji_u1f40e.png"), 0.3) is False  # of all versions and systems
    assert is_held_out(Path("emoji_u1f98a.png"), 0.3) is False


def test_a_model_is_tried_on_captions_beside_their_pictures_held_out_ones_last(
    tmp_path: Path,
) -> None:
    found = tried(beside(tmp_path, 12), hold_out=0.5)
    held = captioned(tmp_path, hold_out=0.5).held_out
    assert found.compares == "captions"
    assert len(found.cases) == len(found.real) == len(found.captions) == 12
    assert found.unseen == len(held) > 0
    assert [case.unseen for case in found.cases] == [False] * (12 - len(held)) + [True] * len(held)
    assert [case.value for case in found.cases] == list(found.captions)
    assert {case.value for case in found.cases if case.unseen} == {
        f"level {file.stem}" for file in held
    }
    for case, picture in zip(found.cases, found.real, strict=True):
        assert case.source is None
        assert case.target is not None
        assert case.value is not None
        level = 20 * int(case.value.split()[1])
        assert (read(picture).pixels == level).all()
        assert (read(case.target).pixels == level).all()


def test_a_folder_called_test_is_for_evaluation_alone(tmp_path: Path) -> None:
    beside(tmp_path / "train", 3)
    grey(tmp_path / "test" / "x.png", 200)
    write(tmp_path / "test" / "x.txt", "level 10\n")
    assert len(captioned(tmp_path)) == 3
    found = tried(tmp_path)
    assert (len(found.real), found.unseen, found.captions[-1]) == (4, 1, "level 10")
    assert [case.unseen for case in found.cases] == [False, False, False, True]
    assert np.unique(read(found.real[-1]).pixels).tolist() == [200]
    # All of it is asked for, whatever is held out of what is learned from.
    beside(tmp_path / "test", 20)
    assert tried(tmp_path, hold_out=0.2).unseen >= 21


def test_the_example_has_four_pictures_with_captions_of_their_own(tmp_path: Path) -> None:
    reader = the_host().load_dataset("captioned")
    assert reader is Captioned
    values = reader.example(tmp_path / "data", 16)
    data = reader([tmp_path / "data"], build(reader.Options, values, what="data"), {"size": 16})
    assert len(data) == 4
    assert len({data.sample(n, 0)["text"] for n in range(4)}) == 4


def test_the_emoji_are_read_by_the_list_beside_them() -> None:
    if "TRANSLATE_TEST_DATA" not in os.environ:
        pytest.skip("TRANSLATE_TEST_DATA names no folder of real data")
    data = captioned(Path(os.environ["TRANSLATE_TEST_DATA"]) / "emoji", where={"variant": ""})
    assert len(data) == 1644
    names = all_captions(data)
    assert names["emoji_u1f40e.png"] == ("horse",)
    assert data.sample(0, 0)["image"].shape == (16, 16, 3)
