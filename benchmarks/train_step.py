"""Images per second of `translate train` against the loop that a competent user would write.

CycleGAN, the same networks, batch and pictures, in one run, in turns. The plain loop is fp32 and
eager, with torch's DataLoader reading JPEGs by PIL in two worker processes; it freezes the
discriminators while the generators learn, as the authors' does.

    python benchmarks/train_step.py [--data DIR] [--size 256] [--batch-size 1] [--width 64]
        [--blocks 9] [--steps 2] [--rounds 3] [--device auto] [--profile]

It prints the share of the time spent waiting for data, the arithmetic done as a share of what
matrix products reach here, and, last, the ratio of the medians.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms

from translate.networks import PatchGAN, ResnetGenerator, initialise
from translate.training.plan import make_plan
from translate.training.run import Run
from translate_folder import make_pictures

Step = Callable[[], float]  # one step; returns the seconds that it waited for data


class Pictures(Dataset[dict[str, Tensor]]):
    """Two folders, each picture resized, cut and mirrored as published."""

    def __init__(self, folder: Path, size: int) -> None:
        self.sides = [sorted((folder / f"train{side}").iterdir()) for side in "AB"]
        load = round(size * 286 / 256)
        self.transform = transforms.Compose(
            [
                transforms.Resize((load, load), transforms.InterpolationMode.BICUBIC),
                transforms.RandomCrop(size),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize([0.5] * 3, [0.5] * 3),
            ]
        )

    def __len__(self) -> int:
        return 10**6

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        files = [side[index % len(side)] for side in self.sides]
        a, b = (self.transform(Image.open(file).convert("RGB")) for file in files)
        return {"a": a, "b": b}


class Pool:
    """The published memory of 50 fakes."""

    def __init__(self) -> None:
        self.images: list[Tensor] = []

    def __call__(self, images: Tensor) -> Tensor:
        out = []
        for image in images:
            if len(self.images) < 50:
                self.images.append(image)
                out.append(image)
            elif torch.rand(()) < 0.5:
                place = int(torch.randint(50, ()))
                out.append(self.images[place])
                self.images[place] = image
            else:
                out.append(image)
        return torch.stack(out)


def plain_loop(folder: Path, a: argparse.Namespace, device: torch.device) -> Step:
    """Return a step of CycleGAN as one would write it after the paper."""

    def critic() -> nn.Module:
        return initialise(PatchGAN(3, width=a.width)).to(device)

    def generator() -> nn.Module:
        widths = (a.width, 2 * a.width, 4 * a.width)
        return initialise(ResnetGenerator(widths=widths, blocks=a.blocks)).to(device)

    a2b, b2a, critic_a, critic_b = generator(), generator(), critic(), critic()
    generators = [*a2b.parameters(), *b2a.parameters()]
    critics = [*critic_a.parameters(), *critic_b.parameters()]
    learn_generators = torch.optim.Adam(generators, 2e-4, (0.5, 0.999))
    learn_critics = torch.optim.Adam(critics, 2e-4, (0.5, 0.999))
    pool_a, pool_b = Pool(), Pool()
    loader = iter(
        DataLoader(
            Pictures(folder, a.size),
            a.batch_size,
            num_workers=2,
            pin_memory=device.type == "cuda",
            persistent_workers=True,
        )
    )

    def real(scores: Tensor) -> Tensor:
        return F.mse_loss(scores, torch.ones_like(scores))

    def fake(scores: Tensor) -> Tensor:
        return F.mse_loss(scores, torch.zeros_like(scores))

    def step() -> float:
        asked = time.perf_counter()
        batch = next(loader)
        waited = time.perf_counter() - asked
        x, y = (batch[side].to(device, non_blocking=True) for side in "ab")
        for p in critics:
            p.requires_grad_(False)
        fake_b, fake_a = a2b(x), b2a(y)
        loss = real(critic_b(fake_b)) + real(critic_a(fake_a))
        loss = loss + 10 * (F.l1_loss(b2a(fake_b), x) + F.l1_loss(a2b(fake_a), y))
        loss = loss + 5 * (F.l1_loss(b2a(x), x) + F.l1_loss(a2b(y), y))
        learn_generators.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        learn_generators.step()
        for p in critics:
            p.requires_grad_(True)
        loss = 0.5 * (real(critic_a(x)) + fake(critic_a(pool_a(fake_a.detach()))))
        loss = loss + 0.5 * (real(critic_b(y)) + fake(critic_b(pool_b(fake_b.detach()))))
        learn_critics.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        learn_critics.step()
        return waited

    return step


def ours(folder: Path, out: Path, a: argparse.Namespace) -> tuple[Step, Iterator[Any], Run]:
    """Return a step of the host's loop, what to close after it, and the run."""
    data = {"size": a.size, "load": round(a.size * 286 / 256)}
    options = {"width": a.width, "blocks": a.blocks, "critic_width": a.width}
    training = {"images": 10**6, "batch_size": a.batch_size}
    given = {"options": options, "data": data, "training": training}
    plan = make_plan("cyclegan", (str(folder),), None, {}, given)
    run = Run(out, plan, device=a.device, resume=False)
    if a.compile:
        run.trainer.compile()
    steps = run._steps(workers=2)

    def step() -> float:
        parts, waited = next(steps)
        run.trainer.step(parts)
        return waited

    return step, steps, run


def timed(step: Step, steps: int, device: torch.device) -> tuple[float, float]:
    """Return seconds a step, and the share of them spent waiting for data."""
    began = time.perf_counter()
    waited = sum(step() for _ in range(steps))
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    return seconds / steps, waited / seconds


def matrix_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Return the operations a second that a large matrix product reaches."""
    side = 8192 if device.type == "cuda" else 2048
    x = torch.randn(side, side, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(4):
        best = min(best, timed(lambda: float((x @ x)[0, 0] * 0), 1, device)[0])
    return float(2 * side**3 / best)


def main() -> None:
    parser = argparse.ArgumentParser(description="translate train against a plain loop")
    parser.add_argument("--data", type=Path, help="a folder with trainA and trainB")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--profile", action="store_true", help="where our time goes")
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = a.data or Path(place, "pictures")
        if not a.data:
            folder.mkdir()
            for side in "AB":
                make_pictures(folder / f"train{side}", 8)
        our_step, steps, run = ours(folder, Path(place, "run"), a)
        device, dtype = run.trainer.device, run.trainer.dtype
        loops = {"plain": plain_loop(folder, a, device), "ours": our_step}
        with closing(steps):  # type: ignore[type-var]
            compare(loops, run, a, device, dtype)


def compare(
    loops: dict[str, Step],
    run: Run,
    a: argparse.Namespace,
    device: torch.device,
    dtype: torch.dtype,
) -> None:
    """Run the loops in turns and print what came out."""
    with FlopCounterMode(display=False) as counter:
        loops["ours"]()  # the first step also warms up
    loops["plain"]()
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    waiting: dict[str, list[float]] = {name: [] for name in loops}
    for _, (name, step) in itertools.product(range(a.rounds), loops.items()):
        took, waited = timed(step, a.steps, device)
        seconds[name].append(took)
        waiting[name].append(waited)
    for name, found in seconds.items():
        speed = a.batch_size / statistics.median(found)
        share = statistics.median(waiting[name])
        print(f"{name}: {speed:.3f} images/s, waiting for data {share:.1%}")
    rate = counter.get_total_flops() / statistics.median(seconds["ours"])
    peak = matrix_peak(device, dtype)
    kind = str(dtype).removeprefix("torch.")
    print(
        f"ours: {rate / 1e12:.3f} TFLOP/s of {peak / 1e12:.3f} in {kind} matrix products "
        f"({rate / peak:.0%})"
    )
    if a.profile:
        with torch.profiler.profile() as profile:
            loops["ours"]()
        key = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
        print(profile.key_averages().table(sort_by=key, row_limit=12, max_name_column_width=40))
    ratio = statistics.median(seconds["plain"]) / statistics.median(seconds["ours"])
    print(f"ratio: {ratio:.2f}")


if __name__ == "__main__":
    main()
