"""A tiny training in as many processes as torchrun starts; prints nothing, saves the weights.

``python in_processes.py DATA OUT``: every case of CASES is trained and saved by the first process.
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from translate import Batch, Facts
from translate.losses import gathered
from translate.pipeline.loader import batches
from translate.training import processes
from translate.training.loop import Trainer
from translate.training.settings import TrainingSettings
from translate_cyclegan.method import CycleGAN, CycleGANOptions
from translate_datasets.unpaired import Unpaired, UnpairedOptions
from translate_text2image.method import TextToImage, TextToImageOptions

TINY: dict[str, Any] = {"width": 4, "blocks": 3, "critic_width": 4, "critic_layers": 1, "pool": 3}
TINY_TEXTS: dict[str, Any] = {
    "size": 32,
    "width": 4,
    "critic_width": 4,
    "text_width": 32,
    "text_layers": 1,
    "text_bytes": 16,
    "encoder_images": 0,
}
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "batch norm": {"norm": "batch"},
    "penalty": {"adversarial": "wgan-gp"},
    "noise": {
        "adversarial": "hinge",
        "relativistic": True,
        "augment": ("colour", "translation", "cutout"),
    },
    "labels": {"label_noise": 0.3, "r1": 1.0, "r1_every": 2, "critic_spectral": True},
}


def train(data: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Return the state after four steps of a batch of four, in float64.

    In fp32 rounding alone would part them: biases before instance norm have hardly a gradient,
    and Adam makes steps of full size of it.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    method = CycleGAN(CycleGANOptions(**(TINY | options)), Facts()).double()
    settings = TrainingSettings(images=64, batch_size=4, accumulate=2, seed=5, ema_halflife=8)
    cpu = torch.device("cpu")
    trainer = Trainer(method, settings, cpu, torch.float32)
    reader = Unpaired([data], UnpairedOptions(size=16, load=20, colour=0.3), {})
    share: dict[str, Any] = {"rank": processes.rank(), "processes": processes.count()}
    source = batches(reader, seed=5, start=0, batch_size=2, workers=1, device=cpu, **share)
    for _ in range(4):
        parts = [[double(b) for b in islice(source, 2)] for _ in range(trainer.updates())]
        scalars = trainer.step(parts)
    source.close()
    return trainer.state_dict() | {"scalars": processes.average_scalars(scalars)}


def name_pictures() -> dict[str, Tensor]:
    """Return the gathered weights after a step of captions that are all the same in one process.

    What a turn shares then, batch norm's moments and the means of scores, it must share in all.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rank = processes.rank()
    options = {"form": "concat", "adversarial": "hinge", "relativistic": True, "interpolate": 1}
    method = TextToImage(TextToImageOptions(**(TINY_TEXTS | options)), Facts())
    settings = TrainingSettings(images=16, batch_size=8, seed=5)
    trainer = Trainer(method, settings, torch.device("cpu"), torch.float32)
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(rank))
    words = ["a cat"] * 4 if rank else ["a cat", "a dog", "a bird", "a fish"]
    here = Batch({"image": images}, torch.arange(4) + 4 * rank, {"text": words})
    scalars = trainer.step([[here]] * trainer.updates())
    flat = torch.cat([p.detach().flatten() for p in method.parameters()])
    local = torch.stack([scalars[name] for name in sorted(scalars)])
    means = processes.average_scalars(scalars)
    return {
        "weights": gathered(flat[None]),
        "local": gathered(local[None]),
        "means": torch.stack([means[name] for name in sorted(means)]),
    }


def double(batch: Batch) -> Batch:
    return Batch({name: t.double() for name, t in batch.tensors.items()}, batch.seeds)


def main(data: str, out: str) -> None:
    with processes.joined("cpu"):
        for name, options in CASES.items():
            state = train(Path(data), options)
            if not processes.rank():
                torch.save(state, Path(out) / f"{name}.pt")
        named = name_pictures()
        if not processes.rank():
            torch.save(named, Path(out) / "captions.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
