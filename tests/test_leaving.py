"""What a run leaves behind beside its checkpoint: snapshots, its recipe, what it ran on."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import translate
from test_training import full_disk, same_state
from tiny import finish, start, unpaired_folder
from translate.bundle import load_bundle
from translate.errors import TranslateError
from translate.training import checkpoint

SOON: dict[str, Any] = {
    "training__images": 10,
    "training__snapshot_every": 4,
    "training__save_every": 3,
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return unpaired_folder(tmp_path / "pictures")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


def snapshots(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "snapshots").iterdir())


def test_snapshots_stay_while_the_run_goes_on(folder: Path, data: Path) -> None:
    finish(start(folder, data, **SOON))
    assert snapshots(folder) == ["00000004", "00000008"]
    for name in snapshots(folder):
        inside = folder / "snapshots" / name
        names = sorted(path.name for path in inside.iterdir())
        assert names == ["a2b.safetensors", "b2a.safetensors", "last.pt"]
        state = checkpoint.load(inside / "last.pt")
        assert state["images"] == int(name)
        model = load_bundle(inside / "b2a.safetensors")
        assert model.header.card.training["images"] == int(name)
        average = state["averages"]["b2a"]
        assert all(torch.equal(t, average[k]) for k, t in model.network.state_dict().items())
    assert checkpoint.load(folder / "last.pt")["images"] == 10


def test_a_run_begun_from_a_snapshot_in_its_place_goes_on_from_there(
    folder: Path, data: Path
) -> None:
    finish(start(folder, data, **SOON))
    whole = checkpoint.load(folder / "last.pt")
    shutil.copy(folder / "snapshots" / "00000004" / "last.pt", folder / "last.pt")
    finish(start(folder, data, resume=True, **SOON))
    same_state(checkpoint.load(folder / "last.pt"), whole)
    assert snapshots(folder) == ["00000004", "00000008"]
    images = [json.loads(line)["images"] for line in (folder / "log.jsonl").open()]
    assert images == [2, 4, 6, 8, 10]


def test_what_is_written_into_a_run_changes_no_snapshot(folder: Path, data: Path) -> None:
    finish(start(folder, data, **SOON))
    kept = folder / "snapshots" / "00000008" / "last.pt"
    before = kept.read_bytes()
    (folder / "last.pt").write_bytes(b"something else")  # in place, as cp does
    assert kept.read_bytes() == before


@pytest.mark.parametrize("step", ["copyfile", "rename"])
def test_a_snapshot_that_cannot_be_written_harms_nothing(
    step: str, folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Any = shutil.copyfile if step == "copyfile" else Path.rename
    done: list[object] = []

    def full(*arguments: Any) -> Any:
        done.append(arguments)
        if len(done) > {"copyfile": 4, "rename": 1}[step]:  # in the midst of the second snapshot
            raise OSError(28, "No space left on device")
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(shutil if step == "copyfile" else Path, step, full)
        with pytest.raises(TranslateError, match=r"00000008: cannot be written \(no space left"):
            finish(start(folder, data, **SOON))
    assert os.listdir(folder / "snapshots") == ["00000004"]
    assert checkpoint.load(folder / "snapshots" / "00000004" / "last.pt")["images"] == 4
    assert checkpoint.load(folder / "last.pt")["images"] == 8
    assert load_bundle(folder / "a2b.safetensors").header.card.training["images"] == 8
    finish(start(folder, data, resume=True, **SOON))
    assert checkpoint.load(folder / "last.pt")["images"] == 10


def test_a_checkpoint_that_cannot_be_written_leaves_the_snapshots_as_they_were(
    folder: Path, data: Path
) -> None:
    """A snapshot's files are second names of the run's own, which must not be written into."""
    finish(start(folder, data, **SOON | {"training__images": 4}))
    run = start(folder, data, resume=True, **SOON)
    with full_disk(20_000), pytest.raises(TranslateError, match="cannot be written"):
        finish(run)
    assert checkpoint.load(folder / "snapshots" / "00000004" / "last.pt")["images"] == 4
    assert snapshots(folder) == ["00000004"]


def test_what_a_killed_snapshot_left_is_in_nobodys_way(folder: Path, data: Path) -> None:
    left = folder / "snapshots" / ".00000004.part"
    left.mkdir(parents=True)
    (left / "last.pt").write_bytes(b"half")
    finish(start(folder, data, **SOON))
    assert snapshots(folder) == ["00000004", "00000008"]
    assert checkpoint.load(folder / "snapshots" / "00000004" / "last.pt")["images"] == 4


def test_without_the_setting_there_are_none(folder: Path, data: Path) -> None:
    finish(start(folder, data, training__images=2))
    assert not (folder / "snapshots").exists()


def test_what_it_ran_on_is_written_down(folder: Path, data: Path) -> None:
    run = start(folder, data, training__images=2)
    assert not folder.exists()
    finish(run)
    environment = json.loads((folder / "environment.json").read_text())
    assert environment == {
        "command": sys.argv,
        "translate": translate.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": "cpu",
        "precision": "float32",
        "threads": torch.get_num_threads(),
    }
