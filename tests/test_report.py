"""``translate report``: whatever is in a run's folder becomes one page that needs nothing else."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tiny import finish, save_picture, start, unpaired_folder
from translate.cli.group import cli
from translate.reporting.axis import fit
from translate.reporting.chart import chart
from translate.reporting.curves import Group, group_of, grouped, smooth, thin, title_of
from translate.reporting.folder import Curve, read_run
from translate.reporting.overview import duration
from translate.reporting.status import status_of
from translate.training.settings import TrainingSettings

PLAN: dict[str, Any] = {
    "method": "cyclegan",
    "folders": ["/pictures/apples", "/pictures/oranges"],
    "found": "unpaired: 3 pictures in a, 4 pictures in b",
    "options": {"width": 8},
    "data": {"size": 64},
    "training": TrainingSettings(images=1000).model_dump(mode="json"),
    "card": {"summary": "turns apples into oranges", "notes": ""},
}


class Page(HTMLParser):
    """A page taken apart: its elements in order, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source, self.text = text, ""
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in ("meta", "img", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text += f"{data}\n"

    def of(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        """Return the attributes of the elements of that name (and class, and so on)."""
        wanted = {name.rstrip("_"): value for name, value in wanted.items()}
        return [a for name, a in self.elements if name == tag and wanted.items() <= a.items()]

    def charts(self) -> list[str]:
        return [attributes["aria-label"] for attributes in self.of("svg")]


def line(images: int, **scalars: Any) -> dict[str, Any]:
    return {"images": images, "images_per_second": 10.0, "waiting": 0.1, **scalars}


def run_folder(folder: Path, lines: list[dict[str, Any]] | None = None, **plan: Any) -> Path:
    """Write a run's folder with that log, and nothing else."""
    folder.mkdir(parents=True)
    (folder / "options.json").write_text(json.dumps(PLAN | plan))
    if lines is not None:
        log = "".join(f"{json.dumps(values)}\n" for values in lines)
        (folder / "log.jsonl").write_text(log)
    return folder


def grid(run: Path, images: int, size: tuple[int, int] = (40, 20)) -> Path:
    return save_picture(run / "samples" / f"{images:08}.png", images, size)


def report(*words: Path | str) -> Result:
    return CliRunner().invoke(cli, ["report", *map(str, words)])


def page_of(*runs: Path) -> Page:
    output = runs[0].parent / "page.html"
    result = report(*runs, "-o", output, "--overwrite")
    assert result.exit_code == 0, result.output
    page = Page(output.read_text())
    assert page.open == []
    return page


def test_a_real_runs_page_shows_all_that_is_in_its_folder(tmp_path: Path) -> None:
    run = tmp_path / "run"
    finish(start(run, unpaired_folder(tmp_path / "pictures"), training__sample_every=4))
    result = report(run)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"report: {run / 'report.html'}\n"
    page = Page((run / "report.html").read_text())
    logged = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
    assert sorted(page.charts()) == sorted(title_of(key) for key in logged if key != "images")
    assert len([a for a in page.of("img") if "samples at" in a["alt"]]) == 3
    assert "8 of 8, the end" in page.text
    options = json.loads((run / "options.json").read_text())
    given = [name for name, value in options["options"].items() if value not in (None, "")]
    assert given
    assert all(f"\n{name}\n" in page.text for name in given)


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [line(10, **{"generator/cycle": 1.0})])
    grid(run, 10)
    page = page_of(run)
    assert "default-src 'none'" in page.source
    sources = [v for _, a in page.elements for n, v in a.items() if n in ("src", "href", "data")]
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert not re.search(r"https?:|url\(|@import|\bimport\b", page.source)


def test_a_report_loads_no_torch(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [line(10)])
    grid(run, 10)
    code = (
        "import sys\nfrom translate.cli.group import cli\n"
        "try: cli.main(['report', sys.argv[1]], prog_name='translate')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'torch', 'numpy', 'cv2', 'kornia'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(run)], check=True, capture_output=True)


def test_a_report_replaces_its_own_page_and_no_other_file(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [line(10)])
    for _ in range(2):
        assert report(run).exit_code == 0
    before = (run / "log.jsonl").read_bytes()
    result = report(run, "-o", run / "log.jsonl")
    assert result.exit_code == 2
    assert "exists; add --overwrite" in result.stderr
    assert (run / "log.jsonl").read_bytes() == before
    assert report(run, "-o", run / "log.jsonl", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "no run (it has no options.json)"),
        ({"log.jsonl": "{}"}, "no run (it has no options.json)"),
        ({"options.json": "[1]"}, "options.json: not a run's options"),
        ({"options.json": "{"}, "options.json: not a run's options"),
    ],
)
def test_a_folder_that_is_no_run_is_one_line(
    tmp_path: Path, files: dict[str, str], reason: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    result = report(tmp_path)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "report.html").exists()


def test_a_file_and_nothing_at_all_are_no_runs(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 1)
    for word in ("a.png", "nowhere"):
        result = report(tmp_path / word)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert f"{word}: no run" in result.stderr


def test_a_page_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [line(10)])
    (run / "report.html" / "kept").mkdir(parents=True)
    result = report(run)
    assert result.exit_code == 1
    assert "report.html: cannot be written" in result.stderr
    assert (run / "report.html" / "kept").is_dir()


@pytest.mark.parametrize("lines", [None, []], ids=["no log", "an empty log"])
def test_a_run_that_has_not_logged_yet_has_a_page(
    tmp_path: Path, lines: list[dict[str, Any]] | None
) -> None:
    page = page_of(run_folder(tmp_path / "run", lines))
    assert "The log has no lines yet." in page.text
    assert "0 of 1,000 (0%)" in page.text
    assert page.charts() == []
    assert len(page.of("img")) == 1  # the empty one that a click fills


def test_a_killed_runs_last_line_is_left_out(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [line(n, loss=1.0) for n in (10, 20)])
    with (run / "log.jsonl").open("ab") as log:
        log.write(b'{"images": 30, "loss": 1.\xff')
    assert read_run(run).unread == 1
    page = page_of(run)
    assert "20 of 1,000 (2%)" in page.text
    assert "damaged lines of the log" in page.text


def test_values_that_are_no_finite_numbers_are_left_out(tmp_path: Path) -> None:
    odd = {"a": math.nan, "b": math.inf, "c": "text", "d": True, "e": None, "f": [1], "g": 10**400}
    run = run_folder(tmp_path / "run", [line(10, good=1, **odd), {"images": "x"}, {"loss": 3}])
    folder = read_run(run)
    assert set(folder.curves) == {"images_per_second", "waiting", "good"}
    assert folder.unread == 2


def test_curves_are_grouped_by_what_they_mean() -> None:
    keys = [
        *("images_per_second", "new", "generator/cycle", "generator/gradient", "generator/rate"),
        *("critic_a/above", "discriminator/a", "a2b/spread", "a2b/luminance", "waiting", "odd/"),
        "a2b/data_luminance",
    ]
    groups = {group.title: members for group, members in grouped(keys).items()}
    assert list(groups.items()) == [
        ("Losses: generator", ["generator/cycle"]),
        ("Losses: discriminator", ["discriminator/a"]),
        ("Losses: odd", ["odd/"]),
        ("Discriminators", ["critic_a/above"]),
        ("Variety of the outputs", ["a2b/spread"]),
        ("Light and dark", ["a2b/luminance", "a2b/data_luminance"]),
        ("Gradients", ["generator/gradient"]),
        ("Learning rates", ["generator/rate"]),
        ("Speed", ["images_per_second", "waiting"]),
        ("Other", ["new"]),
    ]
    assert [title_of(key) for key in keys[1:6]] == [
        "new",
        "cycle",
        "generator",
        "generator",
        "critic_a",
    ]
    assert title_of("odd/") == "odd/"
    assert title_of("a2b/data_luminance") == "a2b, in the data"


def test_alarms_come_first_and_are_marked_in_every_chart(tmp_path: Path) -> None:
    alarm = {"images": 20, "alarm": "mode-collapse", "text": "All outputs look alike."}
    page = page_of(run_folder(tmp_path / "run", [line(10), alarm, line(20), line(40)]))
    assert page.text.index("mode-collapse") < page.text.index("images seen")
    assert "at 20 images: All outputs look alike." in page.text
    marks = page.of("line", class_="alarm")
    assert len(marks) == len(page.charts()) == 2
    assert {float(mark["x1"]) for mark in marks} == {(46 + 344) / 2}


EVIL = '<evil a="1">&amp;\'"'


def test_names_with_markup_in_them_are_text(tmp_path: Path) -> None:
    lines = [
        line(10, **{f"{EVIL}/x": 1.0, EVIL: 2.0}),
        {"images": 10, "alarm": EVIL, "text": EVIL},
    ]
    card = {"summary": EVIL}
    run = run_folder(tmp_path / "<evil>", lines, method=EVIL, card=card, found=EVIL)
    (run / "recipe.toml").write_text(EVIL)
    (run / "environment.json").write_text(json.dumps({EVIL: EVIL}))
    (run / "snapshots" / "10").mkdir(parents=True)
    (run / "snapshots" / "10" / "<evil>.safetensors").touch()
    page = page_of(run)
    assert page.of("evil") == []
    assert EVIL in page.charts()
    assert page.text.count("<evil") > 10


def test_a_name_that_no_encoding_has_does_not_stop_the_page(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [line(10, **{"half \ud800": 1.0})])
    assert "half ?" in page_of(run).text


def test_a_thinned_curve_keeps_its_peaks_and_its_ends() -> None:
    values = [math.sin(n / 1000) for n in range(100_000)]
    values[54_321], values[65_432] = 50.0, -50.0
    values[0], values[-1] = values[100], values[-100]  # the ends are no peaks
    curve = Curve(list(range(100_000)), values)
    thinned = thin(curve)
    assert len(thinned.values) < 700
    assert {50.0, -50.0} <= set(thinned.values)
    assert (thinned.images[0], thinned.images[-1]) == (0, 99_999)
    assert thinned.images == sorted(thinned.images)
    assert all(values[n] == v for n, v in zip(thinned.images, thinned.values, strict=True))


def test_a_long_log_makes_no_long_page(tmp_path: Path) -> None:
    lines = [line(n, **{"generator/cycle": n % 7}) for n in range(1, 20_001)]
    page = page_of(run_folder(tmp_path / "run", lines))
    assert len(page.source) < 200_000
    assert all(line["points"].count(",") < 700 for line in page.of("polyline"))


def test_smoothing_takes_noise_away_and_does_not_lag() -> None:
    noisy = Curve(list(range(401)), [n + 20 * (-1) ** n for n in range(401)])
    calm = smooth(noisy)
    assert calm is not None
    # Away from the ends the average of a slope is the slope itself.
    middle = [(n, v) for n, v in zip(calm.images, calm.values, strict=True) if 100 < n < 300]
    assert all(abs(value - images) < 3 for images, value in middle)
    assert smooth(Curve([1, 2], [1.0, 2.0])) is None


def test_smoothing_leaves_a_constant_as_it_is() -> None:
    calm = smooth(Curve(list(range(50)), [0.25] * 50))
    assert calm is not None
    assert calm.values == pytest.approx([0.25] * 50)


@pytest.mark.parametrize(
    ("values", "logarithmic", "ticks"),
    [
        ([0.0, 1.0], False, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ([3.0, 3.0], False, [2.7, 2.8, 2.9, 3.0, 3.1, 3.2, 3.3]),
        ([0.0, 0.0], False, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ([-20.0, 35.0], False, [-20.0, 0.0, 20.0]),
        ([1e-4, 1.0], True, [1e-4, 1e-3, 1e-2, 1e-1, 1.0]),
        ([0.0, 1000.0], False, [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]),
    ],
)
def test_axes_hold_their_values_and_have_round_ticks(
    values: list[float], logarithmic: bool, ticks: list[float]
) -> None:
    axis = fit(values, may_be_logarithmic=True)
    assert axis.logarithmic == logarithmic
    assert axis.ticks() == pytest.approx(ticks)
    assert all(0 <= axis.place(value) <= 1 for value in values)
    assert axis.place(axis.low) == 0
    assert axis.place(axis.high) == pytest.approx(1)


def test_a_curve_is_drawn_where_its_values_are() -> None:
    group = Group("Share", "", range=(0, 1))
    drawn = Page(chart("a", {0: Curve([0, 50, 100], [0.0, 0.5, 1.0])}, group, 100))
    [points] = [attributes["points"] for attributes in drawn.of("polyline")]
    assert points == "46.0,168.0 195.0,88.0 344.0,8.0"
    outside = Page(chart("a", {0: Curve([0, 100], [0.0, 1.5])}, group, 100))
    assert float(outside.of("svg")[0]["data-y"].split()[1]) > 1.5


def test_a_single_point_can_be_seen(tmp_path: Path) -> None:
    page = page_of(run_folder(tmp_path / "run", [line(10)]))
    assert len(page.of("circle")) == 2


def test_the_rate_is_not_smoothed() -> None:
    curve = Curve(list(range(100)), [2e-4] * 50 + [1e-4] * 50)
    drawn = Page(chart("rate", {0: curve}, group_of("generator/rate"), 100))
    assert len(drawn.of("polyline")) == 1
    drawn = Page(chart("cycle", {0: curve}, group_of("generator/cycle"), 100))
    assert len(drawn.of("polyline")) == 2


def test_at_most_24_grids_are_shown_and_the_first_and_the_last_among_them(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [line(10)])
    for images in range(0, 1000, 10):
        grid(run, images)
    (run / "samples" / "notes.png").write_text("no grid")
    shown = [a["alt"] for a in page_of(run).of("img") if a["alt"]]
    assert len(shown) == 24
    assert (shown[0], shown[-1]) == ("samples at 0 images", "samples at 990 images")


def test_large_grids_are_shrunk_and_damaged_ones_passed_over(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [line(10)])
    grid(run, 10, size=(2000, 1000))
    whole = grid(run, 20, size=(200, 100)).read_bytes()
    grid(run, 30).write_bytes(whole[: len(whole) // 2])
    grid(run, 40).write_bytes(b"")
    large, small, _ = page_of(run).of("img")
    assert int(large["width"]) * int(large["height"]) <= 601_000
    assert int(large["width"]) == pytest.approx(2 * int(large["height"]), abs=2)
    assert (small["width"], small["height"]) == ("200", "100")


def test_snapshots_stand_side_by_side_with_the_numbers_around_them(tmp_path: Path) -> None:
    lines = [line(n, **{"generator/cycle": float(n // 100)}) for n in range(10, 1000, 10)]
    run = run_folder(tmp_path / "run", lines)
    for images in (200, 500, 800):
        grid(run, images)
    for images in (200, 900):
        (run / "snapshots" / f"{images:08}").mkdir(parents=True)
        (run / "snapshots" / f"{images:08}" / "a2b.safetensors").touch()
    text = " ".join(page_of(run).text.split())
    assert "200 images 900 images samples at 800 generator/cycle 2 9" in text
    assert "models a2b.safetensors a2b.safetensors" in text


def test_training_options_that_are_not_the_defaults_stand_out(tmp_path: Path) -> None:
    training = PLAN["training"] | {"batch_size": 4, "players": {"all": {"lr": 0.1}}}
    page = page_of(run_folder(tmp_path / "run", [], training=training))
    text = " ".join(page.text.split())
    assert "batch_size 4 default 1 " in text
    assert "players.all.lr 0.1 default not set" in text
    assert "images 1000 default 200000" in text
    assert len(page.of("tr", class_="marked")) == 3
    assert "notes" not in page.text


def test_recipe_and_environment_are_shown_where_they_are_there(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [line(10)])
    assert "Recipe" not in (text := page_of(run).text)
    assert "Environment" not in text
    (run / "recipe.toml").write_text("[options]\nwidth = 8\n")
    environment = {"command": ["translate", "train", "a b"], "gpu": {"name": "H200"}}
    (run / "environment.json").write_text(json.dumps(environment))
    text = page_of(run).text
    assert "[options]\nwidth = 8\n" in text
    assert "gpu.name\nH200\n" in text
    assert "command\ntranslate train 'a b'\n" in text


def test_runs_are_laid_over_one_another(tmp_path: Path) -> None:
    one = run_folder(tmp_path / "one", [line(n, **{"generator/cycle": 1.0}) for n in (10, 20)])
    two = run_folder(tmp_path / "two", [line(10, loss=1.0), line(30)], options={"width": 16})
    grid(one, 10)
    page = page_of(one, two)
    assert page.charts() == ["cycle", "images_per_second", "waiting", "loss"]
    kinds = [attributes["class"] for attributes in page.of("polyline")]
    assert kinds == ["line run0", "line run0", "line run1", "line run0", "line run1", "line run1"]
    assert all(svg["data-x"] == "0 30" for svg in page.of("svg"))
    assert "width 8 16" in " ".join(page.text.split())
    assert len(page.of("tr", class_="marked")) == 1


def test_a_page_on_several_runs_needs_a_place(tmp_path: Path) -> None:
    result = report(run_folder(tmp_path / "one"), run_folder(tmp_path / "two"))
    assert result.exit_code == 2
    assert "-o FILE: say where" in result.stderr


def test_the_status_counts_time_spent_and_time_left(tmp_path: Path) -> None:
    lines = [
        {"images": 100, "images_per_second": 10.0, "waiting": 0.5},  # 10 s
        {"images": 400, "images_per_second": 10.0, "waiting": 0.1},  # 30 s
        {"images": 400, "images_per_second": 10.0, "waiting": 0.1},  # the same again
    ]
    status = status_of(read_run(run_folder(tmp_path / "run", lines)))
    assert (status.images, status.planned) == (400, 1000)
    assert status.seconds == pytest.approx(40)
    assert status.waiting == pytest.approx((10 * 0.5 + 30 * 0.1) / 40)
    assert status.left == pytest.approx(60)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3661, "1 h 1 min"), (90_000, "1 d 1 h")],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_grids_are_read_as_pictures_whatever_their_mode(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [line(10)])
    for number, mode in enumerate(("L", "RGBA", "P", "I;16")):
        path = grid(run, number)
        Image.new(mode, (8, 8)).save(path)
    assert len([a for a in page_of(run).of("img") if a["alt"]]) == 4
