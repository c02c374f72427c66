"""translate MODEL INPUT..., from end to end."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from simple_methods import PLUGIN, save_simple
from translate.cli.group import cli

SHIFT = 20 * 2 / 255  # in levels of grey: 20

Models = Callable[..., Path]


@pytest.fixture
def model(home: Path, fake_plugin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Models:
    """Return ``model(name="plus", **options)``, which makes a model that adds 20 levels."""
    fake_plugin(PLUGIN)
    monkeypatch.chdir(tmp_path)

    def make(name: str = "plus", **options: Any) -> Path:
        return save_simple(home / "models" / f"{name}.safetensors", **{"shift": SHIFT, **options})

    make()
    return make


def run(*words: str | Path, stdin: bytes | None = None) -> Result:
    """Run the command as the shell does."""
    line = [*map(str, words), "--precision", "fp32", "--device", "cpu"]
    return CliRunner().invoke(cli, line, input=stdin, prog_name="translate")


def picture(path: str, value: int = 50, size: tuple[int, int] = (12, 8)) -> Path:
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(place)
    return place


def level(path: str | Path) -> int:
    with Image.open(path) as image:
        image.load()
        values = np.asarray(image.convert("RGB"))
    assert values.max() - values.min() <= 1
    return int(values.flat[0])


def files(folder: str = ".") -> list[str]:
    """Return the pictures and what else is below a folder, but not the fixtures' own."""
    return sorted(
        str(path)
        for path in Path(folder).rglob("*")
        if path.is_file() and path.parts[0] not in ("site", "translate-home")
    )


def test_a_folder_is_mirrored_and_its_pictures_translated(model: Models) -> None:
    for number, name in enumerate(("a.png", "b/c.png", "b/d/e.png")):
        picture(f"in/{name}", 50 + number)
    result = run("plus", "in")
    assert result.exit_code == 0, result.output
    assert files("in-plus") == ["in-plus/a.png", "in-plus/b/c.png", "in-plus/b/d/e.png"]
    assert [level(path) for path in files("in-plus")] == [70, 71, 72]
    assert result.stdout == ""
    assert result.stderr == "3 written\n"


def test_the_same_command_again_skips_what_exists_and_says_so(model: Models) -> None:
    for number in range(4):
        picture(f"in/{number}.png", 50)
    assert run("plus", "in").exit_code == 0
    os.unlink("in-plus/2.png")
    Path("in-plus/.2.png.99.part").write_bytes(b"half")  # long ago, by a process that was killed
    os.utime("in-plus/.2.png.99.part", (0, 0))
    picture("in-plus/0.png", 99)
    again = run("plus", "in")
    assert again.exit_code == 0
    assert again.stderr == (
        "1 written, 3 existed, perhaps made with other options (--overwrite redoes them)\n"
    )
    assert [level(path) for path in files("in-plus")] == [99, 70, 70, 70]
    redone = run("plus", "in", "--overwrite")
    assert redone.stderr == "4 written\n"
    assert level("in-plus/0.png") == 70


def test_one_picture_goes_beside_itself_or_where_it_is_told_and_nothing_is_said(
    model: Models,
) -> None:
    picture("a.png")
    for words in (("a.png",), ("a.png", "-o", "out/b.png"), ("a.png", "-o", "folder")):
        result = run("plus", *words)
        assert (result.exit_code, result.output) == (0, "")
    assert files() == ["a-plus.png", "a.png", "folder/a.png", "out/b.png"]
    assert level("out/b.png") == 70
    assert level("a.png") == 50


def test_a_named_file_that_exists_is_replaced_only_with_overwrite(model: Models) -> None:
    picture("a.png")
    picture("b.png", 1)
    refused = run("plus", "a.png", "-o", "b.png")
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert level("b.png") == 1
    assert run("plus", "a.png", "-o", "b.png", "--overwrite").exit_code == 0
    assert level("b.png") == 70


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["plus", "nowhere"], "no such file or folder: nowhere"),
        (["plus", "a.png", "-o", "a.png", "--overwrite"], "would overwrite an input"),
        (["plus", "a.png", "b.png", "-o", "c.png"], "takes one image"),
        (["plus", "a.png", "-o", "c.xyz"], "no image format"),
        (["plus", "a.png", "--size", "0"], "at least 1 pixel"),
        (["plus", "a.png", "--size", "big"], "neither working, native"),
        (["plus", "a.png", "--device", "abacus"], "--device abacus"),
        (["plus", "a.png", "--precision", "fp16"], "fp16"),
        (["plus", "a.png", "-o", "-", "--json"], "share standard output"),
        (["minus", "a.png"], "minus"),
        (["a.png", "plus"], "the model comes first"),
        (["says", "a.png"], "starts from text"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_work_is_refused_in_one_line_before_any_work(
    words: list[str], reason: str, model: Models
) -> None:
    model("says", method="wordy", reads="text")
    picture("a.png")
    picture("b.png")
    result = CliRunner().invoke(cli, words, prog_name="translate")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert reason in result.stderr
    assert "Traceback" not in result.stderr
    assert files() == ["a.png", "b.png"]


def test_a_failure_is_named_once_as_it_comes_and_once_at_the_end(model: Models) -> None:
    for number in range(3):
        picture(f"in/{number}.png")
    Path("in/1.png").write_bytes(b"")
    result = run("plus", "in")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "failed: in/1.png: empty file",
        "  in/1.png: empty file",
        "2 written, 1 failed",
    ]
    assert files("in-plus") == ["in-plus/0.png", "in-plus/2.png"]
    alone = run("plus", "in/1.png")
    assert (alone.exit_code, alone.stderr) == (1, "failed: in/1.png: empty file\n")


def test_the_closing_list_of_failures_is_short(model: Models) -> None:
    for number in range(23):
        Path("in").mkdir(exist_ok=True)
        Path(f"in/{number:02}.png").write_bytes(b"")
    lines = run("plus", "in").stderr.splitlines()
    assert sum(line.startswith("failed: ") for line in lines) == 23
    assert sum(line.startswith("  in/") for line in lines) == 20
    assert lines[-2:] == ["  and 3 more", "0 written, 23 failed"]


def test_fail_fast_begins_no_more(model: Models) -> None:
    for number in range(30):
        picture(f"in/{number:02}.png")
    Path("in/03.png").write_bytes(b"")
    result = run("plus", "in", "--fail-fast", "--workers", "1", "--batch-size", "1")
    assert result.exit_code == 1
    made = files("in-plus")
    assert made[:3] == ["in-plus/00.png", "in-plus/01.png", "in-plus/02.png"]
    assert len(made) < 15
    last = result.stderr.splitlines()[-1]
    assert last == f"{len(made)} written, 1 failed, {29 - len(made)} not begun"
    assert all(level(path) == 70 for path in made)


def test_json_has_one_object_a_picture_with_its_real_path(model: Models) -> None:
    picture("in/a.png")
    picture("in/two\nlines.png")
    picture("in/z.png")
    picture("in-plus/z.png")
    Path("in/bad.png").write_bytes(b"nonsense")
    result = run("plus", "in", "--json")
    assert result.exit_code == 1
    found = {one["input"]: one for one in map(json.loads, result.stdout.splitlines())}
    assert {name: one["status"] for name, one in found.items()} == {
        "in/a.png": "written",
        "in/bad.png": "failed",
        "in/two\nlines.png": "written",
        "in/z.png": "skipped",
    }
    for name, one in found.items():
        assert set(one) == {"input", "output", "status", "error", "seconds"}
        assert one["output"] == name.replace("in/", "in-plus/")
        assert (one["error"] is not None) == (one["status"] == "failed")
        assert isinstance(one["seconds"], float)
        assert Path(name).exists()
    assert found["in/bad.png"]["error"].startswith("in/bad.png: ")


def test_quiet_prints_failures_only_and_verbose_every_picture(model: Models) -> None:
    picture("in/a.png")
    picture("in/b.png")
    quiet = run("plus", "in", "-q")
    assert (quiet.exit_code, quiet.output) == (0, "")
    verbose = run("plus", "in", "-v", "--overwrite").stderr.splitlines()
    assert verbose[0].startswith("in/a.png -> in-plus/a.png (")
    assert len(verbose) == 3
    Path("in/b.png").write_bytes(b"")
    bad = run("plus", "in", "-q", "--overwrite")
    assert (bad.exit_code, bad.stderr) == (1, "failed: in/b.png: empty file\n")


def test_standard_input_becomes_standard_output(model: Models) -> None:
    data = picture("a.png").read_bytes()
    result = run("plus", "-", stdin=data)
    assert result.exit_code == 0
    Path("out.png").write_bytes(result.stdout_bytes)
    assert level("out.png") == 70
    assert result.stderr == ""
    jpeg = run("plus", "-", "--format", "jpg", stdin=data)
    assert jpeg.stdout_bytes[:3] == b"\xff\xd8\xff"
    to_file = run("plus", "-", "-o", "b.png", stdin=data)
    assert (to_file.exit_code, level("b.png")) == (0, 70)
    empty = run("plus", "-", stdin=b"")
    assert (empty.exit_code, empty.stdout) == (1, "")
    assert empty.stderr == "failed: standard input: empty file\n"


@pytest.mark.parametrize(
    ("format", "begins"),
    [
        ("png", b"\x89PNG"),
        ("jpg", b"\xff\xd8"),
        ("webp", b"RIFF"),
        ("tiff", b"II*\0"),
        ("bmp", b"BM"),
    ],
)
def test_every_format_can_be_asked_for(format: str, begins: bytes, model: Models) -> None:
    picture("in/a.png")
    assert run("plus", "in", "--format", format).exit_code == 0
    assert files("in-plus") == [f"in-plus/a.{format}"]
    assert Path(f"in-plus/a.{format}").read_bytes().startswith(begins)
    assert abs(level(f"in-plus/a.{format}") - 70) <= 1


def test_strip_drops_exif(model: Models) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    Image.new("RGB", (9, 9)).save("a.jpg", exif=exif)
    run("plus", "a.jpg", "-o", "kept.jpg")
    run("plus", "a.jpg", "-o", "bare.jpg", "--strip")
    assert dict(Image.open("kept.jpg").getexif()) == {0x010F: "Maker"}
    assert not Image.open("bare.jpg").getexif()


def test_size_decides_what_the_network_sees_and_never_what_comes_out(model: Models) -> None:
    model("doubtful", working_size=16, multiple_of=4)
    picture("a.png", size=(61, 47))
    for size in ("working", "native", "8", "1000"):
        assert run("doubtful", "a.png", "--size", size, "--overwrite").exit_code == 0
        with Image.open("a-doubtful.png") as made:
            assert made.size == (61, 47)
        assert level("a-doubtful.png") == 70


def test_a_dry_run_writes_and_imports_nothing(model: Models, home: Path) -> None:
    picture("in/a.png")
    picture("in/b.png")
    picture("in-plus/b.png")
    before = files()
    line = ["plus", "in", "--dry-run"]
    code = (
        "import sys\nfrom translate.cli.group import cli\n"
        f"try: cli.main({line}, prog_name='translate')\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'numpy', 'PIL', 'rich', 'cv2'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True
    )
    assert done.stderr == ""
    assert done.stdout == "in/a.png -> in-plus/a.png (write)\nin/b.png -> in-plus/b.png (skip)\n"
    assert files() == before
    found = [json.loads(one) for one in run(*line, "--json").stdout.splitlines()]
    assert found[0] == {"input": "in/a.png", "output": "in-plus/a.png", "action": "write"}


def test_a_full_disk_fails_the_pictures_that_do_not_fit_and_loses_none(model: Models) -> None:
    picture("in/small.png")
    noise = np.random.default_rng(0).integers(0, 200, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save("in/large.png")
    picture("in-plus/large.png", 99)
    with files_at_most(20_000):
        result = run("plus", "in", "--overwrite")
    assert result.exit_code == 1
    assert "failed: in/large.png: in-plus/large.png: cannot be written: " in result.stderr
    assert files("in-plus") == ["in-plus/large.png", "in-plus/small.png"]
    assert level("in-plus/large.png") == 99
    assert level("in-plus/small.png") == 70


@contextlib.contextmanager
def files_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# In a process of its own, with real signals


def environment() -> dict[str, str]:
    path = [str(Path("site").absolute()), str(Path(__file__).parent)]
    path += [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"}


def start(*words: str, **settings: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "translate", *words, "--device", "cpu", "--precision", "fp32"],
        env=environment(),
        stderr=subprocess.PIPE,
        **settings,
    )


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_interrupted_leaves_whole_files_and_goes_on_when_run_again(
    number: signal.Signals, model: Models
) -> None:
    slow = model("slow", seconds=0.15)
    for n in range(24):
        picture(f"in/{n:02}.png", n)
    process = start("slow", "in")
    wait_until(lambda: len(list(Path().glob("in-slow/*.png"))) >= 3)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    made = [path for path in files("in-slow") if path.endswith(".png")]
    assert 3 <= len(made) < 24
    if number != signal.SIGKILL:
        assert process.returncode == 130
        message = f"stopped after {len(made)} of 24; run the same command to go on"
        said = errors.decode().splitlines()
        # A slow machine tells of its progress before.
        assert [line for line in said if not line.endswith("images/s")] == [message]
        assert files("in-slow") == made  # and no temporary file
    slow.unlink()
    model("slow")
    again = run("slow", "in")
    assert again.exit_code == 0
    assert again.stderr.startswith(f"{24 - len(made)} written, {len(made)} existed")
    assert files("in-slow") == [f"in-slow/{n:02}.png" for n in range(24)]
    assert [level(path) for path in files("in-slow")] == [20 + n for n in range(24)]


def test_ctrl_c_also_ends_the_wait_for_standard_input(model: Models) -> None:
    process = start("plus", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    maps = Path(f"/proc/{process.pid}/maps")
    if not maps.exists():
        process.kill()
        pytest.skip("needs /proc to see how far the program is")
    wait_until(lambda: "libtorch" in maps.read_text())  # from here on it is importing or waiting
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert process.stderr is not None
    message = b"stopped after 0 of 1; run the same command to go on\n"
    assert process.stderr.read() == message


def test_a_reader_that_goes_away_ends_the_run_without_a_word(model: Models) -> None:
    for n in range(20):
        picture(f"in/{n:02}.png")
    for words in (("plus", "in/00.png", "-o", "-"), ("plus", "in", "--json", "-q")):
        process = start(*words, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.close()
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (1, b"")
    assert not list(Path().rglob("*.part"))


def test_run_time_options_reach_the_method(model: Models) -> None:
    picture("a.png")
    result = run("plus", "a.png", "--set", "strength=0.5")
    assert result.exit_code == 0, result.output
    assert level("a-plus.png") == 60


@pytest.mark.parametrize(
    ("assignment", "complaint"),
    [("strength=2", "strength: "), ("colour=red", "no option colour"), ("strength", "NAME=VALUE")],
)
def test_wrong_run_time_options_are_refused_in_words(
    model: Models, assignment: str, complaint: str
) -> None:
    picture("a.png")
    result = run("plus", "a.png", "--set", assignment)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not Path("a-plus.png").exists()
