"""Several processes end where one ends: with the same global batch, the same weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from in_processes import CASES, train
from tiny import unpaired_folder
from translate.training import checkpoint

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
HERE = Path(__file__).parent


def run(command: list[str]) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Train every case in two processes, started once."""
    folder = tmp_path_factory.mktemp("processes")
    data = unpaired_folder(folder / "pictures")
    run([*TORCHRUN, str(HERE / "in_processes.py"), str(data), str(folder)])
    return data, folder


def each_tensor(one: Any, other: Any, compare: Callable[[Tensor, Tensor, str], None]) -> None:
    def walk(x: Any, y: Any, where: str) -> None:
        if isinstance(x, Tensor):
            compare(x, y, where)
        elif isinstance(x, dict):
            assert x.keys() == y.keys(), where
            for key in x:
                walk(x[key], y[key], f"{where}.{key}")
        elif isinstance(x, list | tuple):
            assert len(x) == len(y), where
            for place, pair in enumerate(zip(x, y, strict=True)):
                walk(*pair, f"{where}.{place}")
        else:
            assert x == y, where

    walk(one, other, "")


@pytest.mark.parametrize("case", CASES)
def test_two_processes_end_where_one_ends(together: tuple[Path, Path], case: str) -> None:
    data, folder = together
    alone, both = train(data, CASES[case]), checkpoint.load(folder / f"{case}.pt")

    def close(x: Tensor, y: Tensor, where: str) -> None:
        # Scores and pictures are fp32 in places (losses, augmentation), so not quite float64.
        x, y = x.double(), y.double()
        torch.testing.assert_close(x, y, rtol=1e-4, atol=2e-6, msg=lambda text: f"{where}: {text}")

    each_tensor(alone, both, close)
    assert alone["images"] == both["images"]


def test_processes_stay_alike_where_one_has_no_wrong_captions(together: tuple[Path, Path]) -> None:
    state = checkpoint.load(together[1] / "captions.pt")
    assert torch.equal(*state["weights"])
    assert not torch.equal(*state["local"])
    torch.testing.assert_close(state["local"].mean(0), state["means"])


def test_torchrun_trains_once_and_goes_on(tmp_path: Path) -> None:
    data, out = unpaired_folder(tmp_path / "pictures"), tmp_path / "run"
    options = "width=4 blocks=3 critic_width=4 critic_layers=1 data.size=16 data.load=20"
    options += " training.log_every=4 training.sample_every=8"
    command = ["-m", "translate", "train", "cyclegan", "--data", str(data), "--out", str(out)]
    command += [p for o in options.split() for p in ("--set", o)]
    command += ["--batch-size", "4", "--device", "cpu", "--precision", "fp32"]
    said = run([*TORCHRUN, *command, "--images", "8"])
    assert said.count("a2b.safetensors") == 1
    run([*TORCHRUN, *command, "--images", "16", "--resume"])
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines] == [4, 8, 12, 16]
    assert sorted(p.name for p in (out / "samples").iterdir()) == [
        f"{n:08}.png" for n in (4, 8, 16)
    ]
    assert checkpoint.load(out / "last.pt")["images"] == 16
