"""Memory and speed over many tiny steps: neither may drift.

    python benchmarks/long_run.py [--steps 10000]

A tiny CycleGAN through everything that a run does (loader, log, grids, checkpoints, alarms). The
last line is the speed and the memory of the last tenth as a share of the second tenth's.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from translate.training.plan import make_plan
from translate.training.run import Run
from translate_folder import make_pictures


def resident_megabytes() -> float:
    """Return what the process holds in memory now; Linux tells it in pages."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description="many tiny steps")
    parser.add_argument("--steps", type=int, default=10_000)
    a = parser.parse_args()
    torch.set_num_threads(1)
    options = {"width": 4, "blocks": 3, "critic_width": 4, "critic_layers": 1}
    training = {"images": a.steps, "save_every": 1000, "sample_every": 1000, "log_every": 100}
    given = {
        "options": options,
        "data": {"size": 16, "load": 20},
        "training": training | {"precision": "fp32"},
    }
    with tempfile.TemporaryDirectory() as place:
        for side in "AB":
            make_pictures(Path(place, f"train{side}"), 8)
        plan = make_plan("cyclegan", (place,), None, {}, given)
        run = Run(Path(place, "run"), plan, device="cpu", resume=False)
        marks = [(0, time.monotonic(), 0.0)]
        speeds: list[float] = []

        def watch(images: int, scalars: Mapping[str, float]) -> None:
            if images % (a.steps // 10):
                return
            now, memory = time.monotonic(), resident_megabytes()
            speeds.append((images - marks[-1][0]) / (now - marks[-1][1]))
            marks.append((images, now, memory))
            print(f"{images:8,} steps: {speeds[-1]:7.1f} steps/s, {memory:7.1f} MB", flush=True)

        run.train(workers=1, progress=watch)
    speed = speeds[-1] / statistics.median(speeds[1:])
    print(f"speed {speed:.2f} of the median, memory {marks[-1][2] / marks[2][2]:.3f} of the second")


if __name__ == "__main__":
    main()
