"""One folder with everything that goes wrong in folders: every promise holds, nothing is lost."""

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image

from simple_methods import PLUGIN, save_simple
from translate.cli.group import cli
from translate.images import read_picture

LEVELS = 20  # what the model adds to each colour
W, H = 40, 24

# Broken, and what is said of it.
FAILS = {
    "animated.gif": "animated (3 frames)",
    "bomb.png": "more than 178,956,970 pixels",
    "empty.jpg": "empty file",
    "text.jpg": "text",
    "truncated.jpg": "truncated",
}


def smooth() -> NDArray[np.uint8]:
    """Return a picture whose corners differ, so that every orientation can be told."""
    y, x = np.mgrid[0:H, 0:W]
    return np.stack([40 + 3 * x, 50 + 5 * y, 60 + x + y], axis=-1).astype(np.uint8)


def deep() -> NDArray[np.uint16]:
    return np.arange(H * W, dtype=np.uint16).reshape(H, W) * 50 + 7


def oriented(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Store upright pixels so that a viewer must apply ``orientation``."""
    turned = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: np.rot90(pixels),
        7: pixels[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(pixels, -1),
    }
    return np.ascontiguousarray(turned[orientation])


def bomb() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.fixture
def hostile(home: Path, fake_plugin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the folder, and a model that brightens pictures at a working size of 20×20."""
    fake_plugin(PLUGIN)
    monkeypatch.chdir(tmp_path)
    save_simple(
        home / "models" / "plus.safetensors",
        working_size=20, shift=LEVELS * 2 / 255, multiple_of=4, minimum=16,
    )  # fmt: skip
    folder = tmp_path / "in"
    folder.mkdir()
    image = Image.fromarray(smooth())

    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    (folder / "truncated.jpg").write_bytes(buffer.getvalue()[:-400])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("This is not a picture at all.\n")
    (folder / "bomb.png").write_bytes(bomb())
    frames = [Image.new("L", (9, 9), value) for value in (0, 100, 200)]
    frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:])

    Image.new("RGB", (1, 1), (1, 2, 3)).save(folder / "dot.png")
    image.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    Image.fromarray(deep()).save(folder / "deep.png")
    palette = image.quantize(16)
    palette.save(folder / "palette.png", transparency=palette.getpixel((5, 5)))
    image.save(folder / "profile.jpg", quality=95, icc_profile=b"this is no profile")
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112], exif[0x010F] = orientation, "Maker"
        stored = Image.fromarray(oriented(smooth(), orientation))
        stored.save(folder / f"turned{orientation}.jpg", quality=98, subsampling=0, exif=exif)
    image.save(folder / "two\nlines.png")
    (folder / "notes.txt").write_text("not an image, and named as none")
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    return folder


def run(*words: str) -> Result:
    line = [*words, "--precision", "fp32", "--device", "cpu"]
    return CliRunner().invoke(cli, line, prog_name="translate")


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.iterdir())
        if path.is_file()
    }


def brighter(pixels: NDArray[Any], levels: int = LEVELS) -> NDArray[np.int64]:
    brightest = np.iinfo(pixels.dtype).max
    return (pixels.astype(np.int64) + levels).clip(max=brightest)


def test_every_promise_holds_on_a_hostile_folder(hostile: Path) -> None:
    before = snapshot(hostile)
    result = run("plus", "in", "--json")
    assert result.exit_code == 1
    assert "Traceback" not in result.stderr

    # Every picture is accounted for once, in both streams.
    statuses = {Path(one["input"]).name: one for one in map(json.loads, result.stdout.splitlines())}
    good = ["cmyk.jpg", "deep.png", "dot.png", "palette.png", "profile.jpg", "two\nlines.png"]
    good += [f"turned{n}.jpg" for n in range(1, 9)]
    assert sorted(statuses) == sorted([*FAILS, *good])
    for name, reason in FAILS.items():
        assert statuses[name]["status"] == "failed"
        error = statuses[name]["error"]
        assert error.startswith(f"in/{name}: ")
        assert error.count(name) == 1
        assert reason in error
        assert result.stderr.count(error) == 2  # as it came, and in the closing list
    assert result.stderr.splitlines()[-1] == f"{len(good)} written, {len(FAILS)} failed"
    assert "in/loop: left aside: a link to a folder" in result.stderr

    # What was to be made is there, and nothing else; what was there is as it was.
    assert sorted(path.name for path in Path("in-plus").iterdir()) == sorted(good)
    assert snapshot(hostile) == before

    # Each output is what it should be.
    out = Path("in-plus")
    for n in range(1, 9):
        with Image.open(out / f"turned{n}.jpg") as made:
            assert (made.size, made.mode) == ((W, H), "RGB")
            assert dict(made.getexif()) == {0x010F: "Maker"}
            assert np.abs(np.asarray(made) - brighter(smooth())).max() <= 8, n
    expected = {
        "dot.png": (np.array([[[1, 2, 3]]]), 0),
        "two\nlines.png": (smooth(), 0),
        "profile.jpg": (smooth(), 12),
        "cmyk.jpg": (smooth(), 12),
    }
    for name, (pixels, tolerance) in expected.items():
        with Image.open(out / name) as made:
            assert (made.size, made.mode) == (pixels.shape[1::-1], "RGB"), name
            apart = np.abs(np.asarray(made) - brighter(pixels.astype(np.uint8)))
            assert apart.max() <= tolerance, name
            assert "icc_profile" not in made.info
    made_deep = read_picture(out / "deep.png").pixels
    assert made_deep.dtype == np.uint16
    assert made_deep.shape == (H, W, 3)
    assert (made_deep == brighter(deep(), LEVELS * 257)[..., None]).all()
    with Image.open(hostile / "palette.png") as given, Image.open(out / "palette.png") as made:
        rgba = np.asarray(given.convert("RGBA"))
        assert (made.size, made.mode) == ((W, H), "RGBA")
        assert 0 < (rgba[..., 3] == 0).sum() < W * H
        assert np.array_equal(np.asarray(made)[..., 3], rgba[..., 3])
        assert np.array_equal(np.asarray(made)[..., :3], brighter(rgba[..., :3]))

    # The same command again does only what is missing, and changes nothing that is there.
    after = snapshot(out)
    again = run("plus", "in")
    assert again.exit_code == 1
    assert again.stderr.splitlines()[-1] == (
        f"{len(good)} existed, perhaps made with other options "
        f"(--overwrite redoes them), {len(FAILS)} failed"
    )
    assert snapshot(out) == after


def test_repaired_pictures_are_all_that_is_done_the_next_time(hostile: Path) -> None:
    assert run("plus", "in").exit_code == 1
    for name in FAILS:
        (hostile / name).unlink()
    Image.fromarray(smooth()).save(hostile / "text.jpg")
    again = run("plus", "in")
    assert again.exit_code == 0
    assert again.stderr.splitlines()[-1].startswith("1 written, 14 existed")


@pytest.mark.parametrize("format", ["png", "jpg", "webp", "tiff", "bmp"])
def test_every_good_picture_of_it_fits_every_format(format: str, hostile: Path) -> None:
    result = run("plus", "in", "--format", format)
    assert result.stderr.splitlines()[-1] == "14 written, 5 failed"
    for path in Path("in-plus").iterdir():
        assert path.suffix == f".{format}" or path.suffix == ".jpg" == f".{format}"
        with Image.open(path) as made:
            made.load()
            assert made.size == ((1, 1) if path.stem == "dot" else (W, H))


def test_a_colliding_pair_is_refused_before_any_work_and_neither_is_lost(hostile: Path) -> None:
    Image.fromarray(smooth()).save(hostile / "a.jpg")
    Image.fromarray(smooth()).save(hostile / "a.png")
    before = snapshot(hostile)
    refused = run("plus", "in", "--format", "png")
    assert refused.exit_code == 2
    assert "in/a.jpg and in/a.png would become one file, in-plus/a.png" in refused.stderr
    assert not os.path.exists("in-plus")
    assert snapshot(hostile) == before
    # Each keeping its own format, they do not collide.
    assert run("plus", "in").stderr.splitlines()[-1] == "16 written, 5 failed"
    assert {"a.jpg", "a.png"} <= {path.name for path in Path("in-plus").iterdir()}
