"""Small real things for the tests of training: pictures, folders, runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from translate.training.plan import RunPlan, make_plan, split_assignments
from translate.training.run import Run

# More threads than one only get in each other's way on work this small.
torch.set_num_threads(1)

# Everything as small as it goes, in fp32 so that bits can be compared.
NETWORK: dict[str, Any] = {"width": 4, "blocks": 3, "critic_width": 4, "critic_layers": 1}
DATA: dict[str, Any] = {"size": 16, "load": 20}
TRAINING: dict[str, Any] = {"precision": "fp32", "images": 8, "batch_size": 1, "log_every": 2}


def save_picture(path: Path, seed: int, size: tuple[int, int] = (20, 20)) -> Path:
    """Write a smooth coloured picture of (width, height) at ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 255, (3, 3, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def unpaired_folder(folder: Path, count: int = 4) -> Path:
    """Make trainA and trainB, with one picture more in B."""
    for side, more in (("A", 0), ("B", 1)):
        for number in range(count + more):
            save_picture(folder / f"train{side}" / f"{number}.png", ord(side) * 100 + number)
    return folder


def plan(data: Path, method: str = "cyclegan", **values: Any) -> RunPlan:
    """Return the plan of a tiny run; ``training__images=3`` and the like reach into the groups."""
    groups: dict[str, Any] = {"data": dict(DATA), "training": dict(TRAINING)}
    groups |= NETWORK if method == "cyclegan" else {}
    for name, value in values.items():
        group, _, key = name.rpartition("__")
        (groups[group] if group else groups)[key] = value
    return make_plan(method, (str(data),), None, {}, split_assignments(groups))


def start(folder: Path, data: Path, *, resume: bool = False, **values: Any) -> Run:
    """Return a tiny run that has not begun."""
    return Run(folder, plan(data, **values), device="cpu", resume=resume)


def finish(run: Run) -> list[Path]:
    """Train to the end without a word."""
    return run.train(workers=2, progress=lambda images, scalars: None)
