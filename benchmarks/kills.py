"""How many runs that were killed at a random moment end bit for bit where a whole one ends.

    python benchmarks/kills.py [--kills 20] [--seed 0]

A tiny CycleGAN (dropout, image pools, averages, snapshots) is trained through the command line
on the CPU in fp32, killed with SIGKILL, gone on with by --resume, and its last checkpoint compared
with that of a run that nobody killed. The last line is the count.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from translate.training import checkpoint
from translate_folder import make_pictures

IMAGES = 400
OPTIONS = (
    "width=4 blocks=3 critic_width=4 critic_layers=1 pool=8 dropout=0.5 data.size=32 data.load=36 "
    "data.colour=0.3 training.ema_halflife=40 training.save_every=16 training.log_every=20 "
    "training.sample_every=50 training.snapshot_every=64"
)


def command(data: Path, folder: Path) -> list[str]:
    given = [part for option in OPTIONS.split() for part in ("--set", option)]
    train = ["-m", "translate", "train", "cyclegan", "--data", str(data), "--out", str(folder)]
    flags = ["--images", str(IMAGES), "--batch-size", "2", "--device", "cpu", "--precision", "fp32"]
    return [sys.executable, *train, *flags, *given, "-q"]


def equal(one: Any, other: Any) -> bool:
    """Compare two states bit for bit."""
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def main() -> None:
    parser = argparse.ArgumentParser(description="kill and resume")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    moment = random.Random(a.seed)
    os.environ |= {"OMP_NUM_THREADS": "1", "TRANSLATE_DISABLE": "tensorboard"}
    with tempfile.TemporaryDirectory() as place:
        data = Path(place, "pictures")
        data.mkdir()
        for side in "AB":
            make_pictures(data / f"train{side}", 6)
        whole = Path(place, "whole")
        began = time.monotonic()
        subprocess.run(command(data, whole), check=True)
        seconds = time.monotonic() - began
        state = checkpoint.load(whole / "last.pt")
        print(f"a whole run takes {seconds:.1f} s")
        exact = 0
        for number in range(1, a.kills + 1):
            folder, kills = Path(place, str(number)), 0
            while True:
                resume = ["--resume"] if (folder / "options.json").exists() else []
                process = subprocess.Popen([*command(data, folder), *resume])
                if kills:
                    process.wait()
                    break
                time.sleep(moment.uniform(0, 1.1 * seconds))
                process.send_signal(signal.SIGKILL)
                if process.wait() == -signal.SIGKILL:  # else it was done already: once more
                    kills += 1
            reached = process.returncode == 0
            same = reached and equal(checkpoint.load(folder / "last.pt"), state)
            exact += same
            print(f"{number:3}: {'exact' if same else 'DIFFERS'}", flush=True)
    print(f"bit-exact: {exact} of {a.kills}")


if __name__ == "__main__":
    main()
