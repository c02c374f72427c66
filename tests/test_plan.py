"""The plan: names, what is refused, what is skipped."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from translate.errors import UsageError
from translate.inference import plan as planning
from translate.inference.plan import Plan, make_plan, show, stale_parts


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def pairs(plan: Plan) -> dict[str, str]:
    return {item.source.name: str(item.output) for item in plan.items}


# Default names


def test_a_folder_is_mirrored_beside_itself_in_sorted_order() -> None:
    touch("photos/b.png", "photos/a.jpg", "photos/deep/er/c.webp", "photos/notes.txt")
    plan = make_plan(["photos/"], "zebra")
    assert list(pairs(plan).items()) == [
        ("photos/a.jpg", "photos-zebra/a.jpg"),
        ("photos/b.png", "photos-zebra/b.png"),
        ("photos/deep/er/c.webp", "photos-zebra/deep/er/c.webp"),
    ]
    assert [item.format for item in plan.items] == ["jpg", "png", "webp"]


def test_a_file_goes_beside_itself() -> None:
    touch("in/a.jpg")
    assert pairs(make_plan(["in/a.jpg"], "zebra")) == {"in/a.jpg": "in/a-zebra.jpg"}


def test_standard_input_goes_to_standard_output_as_png() -> None:
    (item,) = make_plan(["-"], "zebra").items
    assert (item.source.name, item.source.path, item.output, item.format) == (
        "-",
        None,
        None,
        "png",
    )
    assert make_plan(["-"], "zebra", format="webp").items[0].format == "webp"


@pytest.mark.parametrize(
    "spelling", [".", "./", "../photos", "../photos/", "../photos/.", "sub/.."]
)
def test_every_spelling_of_a_folder_names_the_same_output(
    spelling: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch("photos/a.jpg", "photos/sub/b.jpg")
    monkeypatch.chdir("photos")
    outputs = [item.output for item in make_plan([spelling], "zebra").items]
    expected = [here / "photos-zebra/a.jpg", here / "photos-zebra/sub/b.jpg"]
    assert [Path(os.path.realpath(output or "")) for output in outputs] == expected


def test_the_parent_folder_can_be_named_by_dots(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch("photos/sub/b.jpg")
    monkeypatch.chdir("photos/sub")
    (item,) = make_plan([".."], "zebra").items
    assert item.output == here / "photos-zebra/sub/b.jpg"


def test_absolute_folders_stay_absolute(here: Path) -> None:
    touch("photos/a.jpg")
    (item,) = make_plan([f"{here}/photos"], "zebra").items
    assert item.output == here / "photos-zebra/a.jpg"


def test_a_model_name_with_a_slash_makes_no_folder() -> None:
    touch("a.jpg")
    assert pairs(make_plan(["a.jpg"], "lab/zebra")) == {"a.jpg": "a-lab-zebra.jpg"}


# -o


@pytest.mark.parametrize("out", ["out", "out/", "out.d/", "made/new/"])
def test_o_names_a_folder(out: str) -> None:
    touch("photos/x/a.jpg")
    expected = str(Path(out, "x/a.jpg"))
    assert pairs(make_plan(["photos"], "m", out=out)) == {"photos/x/a.jpg": expected}


def test_an_existing_folder_whose_name_looks_like_an_image_is_a_folder() -> None:
    touch("a.jpg")
    Path("results.png").mkdir()
    assert pairs(make_plan(["a.jpg"], "m", out="results.png")) == {"a.jpg": "results.png/a.jpg"}


def test_several_inputs_keep_folders_apart() -> None:
    touch("one/a.jpg", "two/a.jpg", "b.jpg")
    assert pairs(make_plan(["one", "two/", "b.jpg"], "m", out="out")) == {
        "one/a.jpg": "out/one/a.jpg",
        "two/a.jpg": "out/two/a.jpg",
        "b.jpg": "out/b.jpg",
    }


def test_the_suffix_of_an_output_file_decides_the_format() -> None:
    touch("a.jpg")
    (item,) = make_plan(["a.jpg"], "m", out="new/b.TIF").items
    assert (item.output, item.format) == (Path("new/b.TIF"), "tiff")


def test_o_dash_is_standard_output() -> None:
    touch("a.jpg")
    (item,) = make_plan(["a.jpg"], "m", out="-").items
    assert (item.output, item.format) == (None, "jpg")


@pytest.mark.parametrize(
    ("inputs", "settings", "reason"),
    [
        ([], {}, "no input"),
        (["a.jpg"], {"out": "b.xyz"}, "no image format"),
        (["a.jpg"], {"out": "b.gif"}, "cannot be written"),
        (["a.jpg"], {"out": "b.png", "format": "jpg"}, "contradict"),
        (["a.jpg"], {"out": ""}, "empty"),
        (["a.jpg"], {"out": "plainfile"}, "is a file"),
        (["a.jpg"], {"format": "heic"}, "--format heic"),
        (["photos"], {"out": "b.png"}, "photos is a folder"),
        (["photos"], {"out": "-"}, "photos is a folder"),
        (["a.jpg", "b.jpg"], {"out": "c.png"}, "2 were given"),
        (["a.jpg", "-"], {"out": "-"}, "2 were given"),
        (["a.jpg"], {"out": "a.jpg"}, "overwrite an input: a.jpg"),
        (["a.jpg"], {"out": "link.jpg", "overwrite": True}, "overwrite an input: link.jpg"),
        (["a.jpg"], {"out": "./"}, "overwrite an input: a.jpg"),
        (["photos"], {"out": "photos/"}, "is the input folder"),
        (["photos", "a.jpg"], {"out": "./", "format": "png"}, "is the input folder"),
        (["gone.jpg", "a.jpg", "far/away"], {}, "no such file or folder: gone.jpg, far/away"),
        ([""], {}, "no such file"),
        (["empty"], {}, "no image found in empty"),
    ],
)
def test_what_cannot_work_is_refused_before_any_work(
    inputs: list[str], settings: dict[str, str], reason: str
) -> None:
    touch("a.jpg", "b.jpg", "photos/a.jpg", "plainfile", "empty/notes.txt")
    Path("link.jpg").symlink_to("a.jpg")
    with pytest.raises(UsageError, match=re.escape(reason)) as caught:
        make_plan(inputs, "m", **settings)  # type: ignore[arg-type]
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


# Formats and suffixes


@pytest.mark.parametrize(
    ("name", "format", "output", "made"),
    [
        ("a.JPG", "keep", "out/a.JPG", "jpg"),
        ("a.jpeg", "keep", "out/a.jpeg", "jpg"),
        ("a.jpeg", "jpg", "out/a.jpeg", "jpg"),
        ("a.jpeg", "webp", "out/a.webp", "webp"),
        ("a.tif", "keep", "out/a.tif", "tiff"),
        ("a.png", "tiff", "out/a.tiff", "tiff"),
        ("a.gif", "keep", "out/a.png", "png"),
        ("a.HEIC", "keep", "out/a.png", "png"),
        ("a.tar.jpg", "keep", "out/a.tar.jpg", "jpg"),
        ("scan.2024", "keep", "out/scan.2024.png", "png"),
        ("noname", "jpg", "out/noname.jpg", "jpg"),
    ],
)
def test_formats_and_the_spelling_of_suffixes(
    name: str, format: str, output: str, made: str
) -> None:
    touch(name)
    (item,) = make_plan([name], "m", out="out/", format=format).items
    assert (str(item.output), item.format) == (output, made)


def test_two_inputs_for_one_output_are_refused_by_name() -> None:
    touch("photos/a.jpg", "photos/a.png")
    assert len(make_plan(["photos"], "m").items) == 2
    with pytest.raises(UsageError, match=r"photos/a\.jpg and photos/a\.png .* photos-m/a\.png"):
        make_plan(["photos"], "m", format="png")


def test_names_differing_in_case_clash_only_where_the_file_system_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    touch("one/a.jpg", "two/A.jpg")
    inputs = ["one/a.jpg", "two/A.jpg"]
    monkeypatch.setattr(planning, "_ignores_case", lambda folder: False)
    assert len(make_plan(inputs, "m", out="out").items) == 2
    monkeypatch.setattr(planning, "_ignores_case", lambda folder: True)
    with pytest.raises(UsageError, match="would become one file"):
        make_plan(inputs, "m", out="out")


def test_a_case_sensitive_file_system_is_recognised(here: Path) -> None:
    Path("Photos").mkdir()
    sensitive = not Path("pHOTOS").exists()
    assert planning._ignores_case(str(here / "Photos/new/er")) is not sensitive
    if sensitive:
        Path("pHOTOS").symlink_to("Photos")  # the same folder under both names
        assert planning._ignores_case(str(here / "Photos"))


# What exists already


@pytest.mark.parametrize("out", [None, "a.jpg/b.png", "a.jpg/new/"])
def test_a_file_where_a_folder_is_needed_is_refused(out: str | None) -> None:
    touch("in/a.jpg", "in-zebra", "a.jpg")
    with pytest.raises(UsageError, match="is a file, where a folder is to be written"):
        make_plan(["in" if out is None else "in/a.jpg"], "zebra", out=out)


def test_a_name_that_becomes_too_long_is_left_to_fail_on_its_own() -> None:
    long = f"{'b' * 245}.jpg"
    touch(long, "a.jpg")
    plan = make_plan([long, "a.jpg"], "zebra")
    assert [item.action for item in plan.items] == ["write", "write"]
    assert stale_parts(plan) == ()
    assert make_plan(["a.jpg"], "zebra", out=f"{'c' * 300}/").to_write


def test_existing_outputs_are_skipped_so_that_running_again_goes_on() -> None:
    touch("photos/a.jpg", "photos/b.jpg", "photos-m/a.jpg")
    plan = make_plan(["photos"], "m")
    assert [item.source.name for item in plan.existing] == ["photos/a.jpg"]
    assert [item.source.name for item in plan.to_write] == ["photos/b.jpg"]
    assert not make_plan(["photos"], "m", overwrite=True).existing


def test_a_single_file_with_its_default_name_is_skipped_too() -> None:
    touch("a.jpg", "a-m.jpg")
    assert [item.action for item in make_plan(["a.jpg"], "m").items] == ["skip"]


def test_an_existing_output_file_is_replaced_only_when_asked() -> None:
    touch("a.jpg", "b.jpg")
    with pytest.raises(UsageError, match=r"b\.jpg: exists; add --overwrite"):
        make_plan(["a.jpg"], "m", out="b.jpg")
    assert make_plan(["a.jpg"], "m", out="b.jpg", overwrite=True).items[0].action == "write"


def test_a_wildcard_that_names_last_times_results_is_still_a_resume() -> None:
    touch("a.jpg", "b.jpg", "a-m.jpg")
    plan = make_plan(["a-m.jpg", "a.jpg", "b.jpg"], "m")
    assert [(item.source.name, item.action) for item in plan.items] == [
        ("a.jpg", "skip"),
        ("b.jpg", "write"),
    ]
    assert plan.notes == ("a-m.jpg: left aside as what was made from a.jpg",)
    with pytest.raises(UsageError, match="overwrite an input"):
        make_plan(["a-m.jpg", "a.jpg"], "m", overwrite=True)


def test_old_temporary_files_of_this_plans_outputs_are_found(here: Path) -> None:
    touch("photos/a.jpg", "photos/b.jpg")
    touch("photos-m/.a.jpg.12.part", "photos-m/.b.jpg.13.part", "photos-m/.other.jpg.12.part")
    for name in (".a.jpg.12.part", ".other.jpg.12.part"):
        os.utime(Path("photos-m") / name, (0, 0))  # b's is being written by somebody
    assert stale_parts(make_plan(["photos"], "m")) == (Path("photos-m/.a.jpg.12.part"),)
    assert stale_parts(make_plan(["-"], "m")) == ()


# What is in folders


def test_hidden_files_parts_and_the_output_folder_are_no_inputs() -> None:
    touch(
        "p/a.jpg", "p/.hidden.jpg", "p/.git/b.jpg", "p/.a.jpg.part", "p/c.jpg.part", "p/out/a.jpg"
    )
    assert list(pairs(make_plan(["p"], "m", out="p/out"))) == ["p/a.jpg"]
    assert list(pairs(make_plan(["p"], "m"))) == ["p/a.jpg", "p/out/a.jpg"]


def test_output_folders_are_no_inputs_of_any_argument() -> None:
    touch("top/in/a.jpg")
    first = pairs(make_plan(["top", "top/in"], "m"))
    for output in first.values():
        touch(output)
    touch("top/in-m/a.jpg")
    assert pairs(make_plan(["top", "top/in"], "m")) == first


def test_what_an_earlier_command_left_in_the_output_folder_is_no_input() -> None:
    touch("top/a.jpg", "other/b.jpg", "top/out/made-by-another-command.jpg")
    assert list(pairs(make_plan(["top", "other"], "m", out="top/out"))) == [
        "top/a.jpg",
        "other/b.jpg",
    ]


def test_recursion_can_be_turned_off() -> None:
    touch("p/a.jpg", "p/sub/b.jpg")
    assert list(pairs(make_plan(["p"], "m", recursive=False))) == ["p/a.jpg"]


def test_links_to_files_are_followed_and_links_to_folders_are_not() -> None:
    touch("p/sub/a.jpg", "elsewhere/b.jpg", "elsewhere/c.jpg")
    Path("p/b.jpg").symlink_to("../elsewhere/b.jpg")
    Path("p/others").symlink_to("../elsewhere")
    Path("p/sub/loop").symlink_to("..")
    plan = make_plan(["p"], "m")
    assert list(pairs(plan)) == ["p/b.jpg", "p/sub/a.jpg"]
    assert plan.notes == (
        "p/others: left aside: a link to a folder",
        "p/sub/loop: left aside: a link to a folder",
    )


def test_a_broken_link_is_kept_to_fail_and_a_pipe_is_no_image() -> None:
    touch("p/a.jpg")
    Path("p/broken.jpg").symlink_to("nowhere.jpg")
    os.mkfifo("p/pipe.jpg")
    assert list(pairs(make_plan(["p"], "m"))) == ["p/a.jpg", "p/broken.jpg"]


def test_the_same_input_twice_is_done_once() -> None:
    touch("p/a.jpg", "p/b.jpg")
    plan = make_plan(["p/a.jpg", "./p/a.jpg", "p/../p/b.jpg", "p/b.jpg", "-", "-"], "m")
    assert [item.source.name for item in plan.items] == ["p/a.jpg", "p/../p/b.jpg", "-"]
    assert len(make_plan(["p", "p/", "p/a.jpg"], "m", out="out").items) == 2
    assert pairs(make_plan(["p", "p/"], "m", out="out"))["p/a.jpg"] == "out/a.jpg"


def test_two_links_to_one_file_are_two_inputs() -> None:
    touch("a.jpg")
    Path("b.jpg").symlink_to("a.jpg")
    assert list(pairs(make_plan(["a.jpg", "b.jpg"], "m")).values()) == ["a-m.jpg", "b-m.jpg"]


def test_a_folder_without_images_is_noted_beside_one_with_images() -> None:
    touch("p/a.jpg", "empty/notes.txt")
    assert make_plan(["p", "empty"], "m").notes == ("empty: no image in it",)


def test_a_folder_that_may_not_be_read_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    touch("p/a.jpg", "p/secret/b.jpg")
    scandir = os.scandir

    def refuse(path: str) -> object:  # the tests may run as root, whom no permission stops
        if os.fspath(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert make_plan(["p"], "m").notes == ("p/secret: left aside: Permission denied",)
    with pytest.raises(UsageError, match="p/secret: Permission denied"):
        make_plan(["p/secret"], "m")


# Odd names


@pytest.mark.parametrize(
    "name", ["two\nlines.jpg", " space .jpg", "-o.jpg", "--.png", b"latin\xe9.jpg", "naïve 😀.png"]
)
def test_odd_names_work_and_are_shown_on_one_line(name: str | bytes, here: Path) -> None:
    path = Path("p", os.fsdecode(name))
    path.parent.mkdir()
    path.write_bytes(b"")
    (item,) = make_plan(["p"], "m").items
    assert item.output == Path("p-m", path.name)
    assert item.source.path is not None
    assert item.source.path.exists()
    assert item.source.name.isprintable()
    with pytest.raises(UsageError) as caught:
        make_plan([str(path) + "?"], "m")
    caught.value.args[0].encode()  # can be printed


def test_show_leaves_ordinary_names_alone() -> None:
    assert show("naïve 😀.png") == "naïve 😀.png"
    assert show(os.fsdecode(b"a\xe9\t\n")) == r"a\xe9\t\n"


def test_a_file_called_dash_needs_its_folder() -> None:
    touch("-")
    (item,) = make_plan(["./-"], "m").items
    assert (item.source.path, item.output) == (Path("-"), Path("--m.png"))


# Properties

NAMES = st.lists(
    st.tuples(
        st.sampled_from(["", "s/", "s/t/", "S/"]),
        st.sampled_from(["a", "A", "a-m", "b.c", "é", "e\u0301"]),
        st.sampled_from([".jpg", ".JPG", ".jpeg", ".png", ".gif", ".tif", ".txt", ""]),
    ).map("".join),
    min_size=1,
    max_size=8,
    unique=True,
)


@settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    names=NAMES,
    named=st.booleans(),
    out=st.sampled_from([None, "out", "p/out", "p", "."]),
    format=st.sampled_from(["keep", "png", "jpg"]),
    overwrite=st.booleans(),
)
def test_no_two_inputs_share_an_output_no_input_is_written_and_a_second_run_adds_nothing(
    names: list[str],
    named: bool,
    out: str | None,
    format: str,
    overwrite: bool,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("run"))
    files = [f"p/{name}" for name in names]
    touch(*files)
    inputs = files if named else ["p"]
    try:
        plan = make_plan(inputs, "m", out=out, format=format, overwrite=overwrite)
    except UsageError:
        return
    outputs = [os.path.realpath(item.output) for item in plan.items if item.output is not None]
    sources = {os.path.realpath(item.source.path) for item in plan.items if item.source.path}
    assert len(outputs) == len(plan.items) == len(set(outputs))
    assert not sources & set(outputs)
    # The same command again, when its outputs exist: the resume.
    touch(*outputs)
    again = make_plan(inputs, "m", out=out, format=format, overwrite=overwrite)
    assert [item.output for item in again.items] == [item.output for item in plan.items]
    assert len(again.to_write) == (len(plan.items) if overwrite else 0)


def test_planning_imports_neither_torch_nor_pillow() -> None:
    code = (
        "import sys, translate.inference.plan\n"
        "assert not {'torch', 'PIL', 'numpy', 'cv2'} & sys.modules.keys(), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)
