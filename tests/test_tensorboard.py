"""What a run writes for TensorBoard, read back with TensorBoard's own reader."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tiny import DATA, NETWORK, finish, start, unpaired_folder
from translate.host import the_host

ROOT = Path(__file__).parent.parent

accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator",
    reason="tensorboard is not installed; install the extra tensorboard",
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return unpaired_folder(tmp_path / "pictures")


def read(run: Path) -> Any:
    """Return the board of a run, with everything in it."""
    board = accumulator.EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0})
    return board.Reload()


def steps(board: Any, curve: str) -> list[int]:
    return [event.step for event in board.Scalars(curve)]


def test_curves_are_those_of_the_log(tmp_path: Path, data: Path) -> None:
    finish(start(tmp_path / "run", data))
    board = read(tmp_path / "run")
    assert {"generator/cycle", "waiting", "images_per_second"} <= set(board.Tags()["scalars"])
    assert steps(board, "generator/cycle") == [2, 4, 6, 8]


def test_sample_grids_are_images(tmp_path: Path, data: Path) -> None:
    finish(start(tmp_path / "run", data, training__sample_every=4))
    images = read(tmp_path / "run").Images("samples")
    assert [image.step for image in images] == [1, 4, 8]
    with Image.open(tmp_path / "run" / "samples" / "00000008.png") as grid:
        shown = Image.open(io.BytesIO(images[-1].encoded_image_string))
        assert shown.tobytes() == grid.convert("RGB").tobytes()


def test_alarms_are_texts(tmp_path: Path, data: Path) -> None:
    run = start(tmp_path / "run", data)

    def alarm(images: int, scalars: object) -> None:
        if images == 3:
            facts = {"alarm": "mode-collapse", "text": "All outputs look alike."}
            the_host().notify("training_alarmed", run=run.folder, images=images, **facts)

    run.train(workers=1, progress=alarm)
    [event] = read(tmp_path / "run").Tensors("alarms/mode-collapse/text_summary")
    assert event.step == 3
    assert event.tensor_proto.string_val == [b"All outputs look alike."]


def test_a_killed_run_that_goes_on_has_each_point_once(tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "run"
    finish(start(folder, data, training__images=4))
    kept = (folder / "last.pt").read_bytes()
    finish(start(folder, data, resume=True))
    (folder / "last.pt").write_bytes(kept)  # as if it was killed at the end, past its checkpoint
    assert steps(read(folder), "generator/cycle") == [2, 4, 6, 8]
    finish(start(folder, data, resume=True))
    assert len(list((folder / "tensorboard").iterdir())) == 3
    assert steps(read(folder), "generator/cycle") == [2, 4, 6, 8]


def test_a_run_killed_before_its_first_checkpoint_begins_its_curves_again(
    tmp_path: Path, data: Path
) -> None:
    folder = tmp_path / "run"
    finish(start(folder, data, training__images=4))
    (folder / "last.pt").unlink()
    finish(start(folder, data, resume=True))
    assert steps(read(folder), "generator/cycle") == [2, 4, 6, 8]


def test_a_run_that_fails_closes_its_file(tmp_path: Path, data: Path) -> None:
    def fail(images: int, scalars: object) -> None:
        if images == 2:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        start(tmp_path / "run", data).train(workers=1, progress=fail)
    assert steps(read(tmp_path / "run"), "generator/cycle") == [2]
    writers = [t for t in threading.enumerate() if type(t).__module__.startswith("tensorboard")]
    assert not writers


def test_a_run_without_the_plugin_writes_nothing(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSLATE_DISABLE", "tensorboard")
    the_host.cache_clear()
    finish(start(tmp_path / "run", data, training__images=2))
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_without_tensorboard_installed_a_run_is_silent(tmp_path: Path, data: Path) -> None:
    """Train in a Python that has everything that this one has but tensorboard."""
    site = tmp_path / "site"
    site.mkdir()
    for entry in Path(torch.__file__).parent.parent.iterdir():
        if not entry.name.startswith("tensorboard"):
            (site / entry.name).symlink_to(entry)
    paths = [site, *(ROOT / part for part in (".", "plugins", "datasets"))]
    words = ["train", "cyclegan", "--data", str(data), "--out", str(tmp_path / "run")]
    words += ["--images", "2", "--quiet"]
    small = [f"{key}={value}" for key, value in NETWORK.items()]
    small += [f"data.{key}={value}" for key, value in DATA.items()]
    done = subprocess.run(
        [sys.executable, "-S", "-m", "translate", *words, *(f"--set={text}" for text in small)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(path.name for path in (tmp_path / "run" / "samples").iterdir())
    assert not (tmp_path / "run" / "tensorboard").exists()
