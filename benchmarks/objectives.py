"""Which adversarial objectives train a small GAN on MNIST, and do the alarms agree?

    python benchmarks/objectives.py mnist/ --out runs/objectives [--images 48000] [--only wgan]

Each objective trains the same networks on the same pictures, with what it cannot do without:
penalties and spectral norm stand in for the discriminator's batch norm, and BEGAN and the WGANs
want slower rates. All generators learn equally often.
The table says what the alarms said and, of 500 pictures from the average at the end:

- spread: the mean difference of two pictures beside that of as many real ones; 0 is collapse,
- classes: how many of the ten digits a classifier sees at least once in fifty pictures,
- sure: the share of pictures of which the classifier is at least 90 % sure (real ones: given).

The sheet has a row for each objective, in the order of the table, under a row of real pictures.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import translate
from translate.inference.plan import Request
from translate.training.plan import make_plan, split_assignments
from translate.training.run import Run
from translate_datasets.labelled import Labelled, LabelledOptions
from translate_measures.classes import spread
from translate_measures.classifier import train

PLAIN: dict[str, Any] = {"critic_norm": "none"}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "non-saturating": {},
    "minimax": {},
    "lsgan": {},
    "hinge": {**PLAIN, "critic_spectral": True},
    "wgan": {"rate": 2e-4},
    "wgan-gp": {**PLAIN, "rate": 5e-4},
    "dragan": PLAIN,
    "began": {"rate": 5e-4},  # without batch norm its reconstructions stay black for very long
    "relativistic": {"adversarial": "non-saturating", "relativistic": True},
}
OFTEN = {"wgan": 5, "wgan-gp": 5}  # turns of the critic, each on new images, for one generator's
SMALL = {"size": 28, "code": 32, "width": 32, "critic_width": 32}
_SHOWN, _JUDGED, _SURE = 16, 500, 0.9


def trained(name: str, data: Path, folder: Path, images: int) -> tuple[float, list[str], Path]:
    """Train with one objective; return the seconds it took, its alarms, and the model."""
    options = {**SMALL, "adversarial": name, **OBJECTIVES[name]}
    rate = options.pop("rate", 1e-3)
    images *= OFTEN.get(name, 1)
    training = {
        "images": images,
        "batch_size": 32,
        "log_every": 800,
        "sample_every": images,
        "save_every": images,
        "ema_halflife": 2000,
        "precision": "fp32",
        "players": {"all": {"lr": rate}},
    }
    groups = split_assignments({**options, "training": training})
    plan = make_plan("gan", (str(data),), "labelled", {}, groups)
    run = Run(folder, plan, device="cpu", resume=False)
    began, alarms = time.monotonic(), list[str]()
    try:
        run.train(workers=1, progress=lambda images, scalars: None, say=lambda text: None)
    except translate.TranslateError as error:
        print(f"{name}: {error}")
    for line in (folder / "log.jsonl").read_text().splitlines():
        if "alarm" in (entry := json.loads(line)):
            alarms.append(f"{entry['alarm']} at {entry['images']:,}")
    return time.monotonic() - began, alarms, folder / "generator.safetensors"


def pictures(model: Path) -> Tensor:
    """Return what a model makes of the first seeds, (N, 1, 28, 28) in [-1, 1]."""
    generator = translate.Generator(translate.load_model(str(model)), device="cpu")
    made = generator.pictures([Request("", seed) for seed in range(_JUDGED)])
    return _images(np.stack([picture.pixels for picture in made]))


def _images(pixels: Any) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.inference_mode()
def judged(classifier: nn.Module, images: Tensor) -> tuple[int, float]:
    """Return how many classes there are, and of how many pictures the classifier is sure."""
    surest, label = classifier(images).softmax(1).max(1)
    counts = torch.bincount(label, minlength=10)
    return int((counts >= len(images) / 50).sum()), float((surest >= _SURE).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=48_000)
    parser.add_argument("--only", nargs="*", default=list(OBJECTIVES))
    asked = parser.parse_args()

    data = Labelled([asked.data], LabelledOptions(), {"size": 28})
    samples = [data.sample(number, 0) for number in range(20_000)]
    real = _images(np.stack([sample["image"] for sample in samples]))
    labels = torch.tensor([sample["label"] for sample in samples])
    device = torch.device("cpu")
    classifier = train(real, labels, passes=2, width=16, seed=0, device=device)

    usual = spread(real[:_JUDGED])
    classes, sure = judged(classifier, real[:_JUDGED])
    print("| objective | minutes | spread | classes | sure | alarms |\n|---|---|---|---|---|---|")
    print(f"| real | | 1.00 | {classes} | {sure:.2f} | |", flush=True)
    rows = [real[:_SHOWN]]
    for name in asked.only:
        seconds, alarms, model = trained(name, asked.data, asked.out / name, asked.images)
        told = "; ".join(alarms) or "none"
        if not model.exists():
            print(f"| {name} | {seconds / 60:.1f} | | | | {told} |", flush=True)
            continue
        made = pictures(model)
        rows.append(made[:_SHOWN])
        share = spread(made) / usual
        classes, sure = judged(classifier, made)
        numbers = f"{seconds / 60:.1f} | {share:.2f} | {classes} | {sure:.2f}"
        print(f"| {name} | {numbers} | {told} |", flush=True)
        _save(asked.out / "sheet.png", rows)


def _save(path: Path, rows: list[Tensor]) -> None:
    sheet = torch.stack(rows)[:, :, 0]  # (rows, columns, 28, 28)
    padded = torch.nn.functional.pad(sheet, (0, 2, 0, 2), value=1.0)
    whole = padded.permute(0, 2, 1, 3).reshape(len(rows) * 30, -1)
    Image.fromarray(((whole + 1) * 127.5).round().byte().numpy()).save(path)


if __name__ == "__main__":
    main()
