"""Images per second of `translate MODEL FOLDER` against the loop that a user would write.

Same weights, same pictures, same threads, in one run, in turns: a ResNet-9 generator (11.4 M
parameters) on 256×256 JPEGs. The plain loop is PIL, fp32, eager, one picture at a time, save.

    python benchmarks/translate_folder.py [--pictures 24] [--rounds 3] [--model FILE] [--data DIR]

The last line is the ratio of the medians. Above it stands what the speed costs: the largest and
the mean difference in grey levels between the two outputs, as PNG, before any encoder's loss.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from translate.bundle import Model, load_bundle, save_bundle
from translate.inference.pipeline import Encoding, Pipeline
from translate.inference.plan import make_plan
from translate.inference.translator import Translator
from translate.model import Header
from translate.networks import ResnetGenerator, initialise


def plain_loop(model: Model, files: list[Path], out: Path) -> None:
    """Translate as one would in a notebook."""
    network = model.network.eval()
    out.mkdir(parents=True)
    with torch.no_grad():
        for file in files:
            pixels = np.asarray(Image.open(file).convert("RGB"), dtype=np.float32)
            x = torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)[None]
            y = network(x)[0].permute(1, 2, 0)
            result = ((y + 1) * 127.5).round().clamp(0, 255).byte().numpy()
            Image.fromarray(result).save(out / f"{file.stem}.png")


def ours(translator: Translator, folder: Path, out: Path) -> None:
    engine = translator.engine
    plan = make_plan([str(folder)], "benchmark", out=str(out), format="png")
    pipeline = Pipeline(engine, Encoding(), batch_size=engine.batch_size(None), workers=2)
    failed = [outcome.error for outcome in pipeline(plan.to_write) if outcome.error]
    if failed:
        raise SystemExit(f"failed: {failed[0]}")


def make_pictures(folder: Path, count: int) -> None:
    """Write 256×256 JPEGs with the spectrum of photographs: noise falling off with frequency."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256), indexing="ij")
    fall = 1 / np.maximum(np.hypot(x, y), 1 / 256)
    for number in range(count):
        spectrum = np.fft.fft2(rng.normal(size=(3, 256, 256))) * fall
        waves = np.real(np.fft.ifft2(spectrum))
        pixels = np.clip(waves / waves.std() * 48 + 128, 0, 255).astype(np.uint8)
        Image.fromarray(pixels.transpose(1, 2, 0)).save(folder / f"{number:03}.jpg", quality=90)


def make_model(path: Path) -> None:
    torch.manual_seed(0)
    weights = initialise(ResnetGenerator(), 0.05).state_dict()
    save_bundle(path, Header(method="cyclegan", export="a2b", working_size=256), weights)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--model", type=Path, help="a bundle; a ResNet-9 with drawn weights if not given"
    )
    parser.add_argument("--data", type=Path, help="a folder of 256×256 pictures; made if not given")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        base = Path(place)
        bundle = options.model or base / "model.safetensors"
        if not options.model:
            make_model(bundle)
        folder = options.data or base / "in"
        if not options.data:
            make_pictures(folder, options.pictures)
        files = sorted(folder.iterdir())[: options.pictures]
        plain_model, translator = load_bundle(bundle), Translator(load_bundle(bundle))
        plain_loop(plain_model, files[:2], base / "warm-plain")
        ours(translator, folder, base / "warm-ours")

        seconds: dict[str, list[float]] = {"plain": [], "ours": []}
        for turn in range(options.rounds):
            began = time.perf_counter()
            plain_loop(plain_model, files, base / f"plain{turn}")
            middle = time.perf_counter()
            ours(translator, folder, base / f"ours{turn}")
            seconds["plain"].append(middle - began)
            seconds["ours"].append(time.perf_counter() - middle)

        apart = []
        for file in files:
            one, other = (
                np.asarray(Image.open(base / side / f"{file.stem}.png"), dtype=np.int16)
                for side in ("plain0", "ours0")
            )
            apart.append(np.abs(one - other))
    plain, own = (statistics.median(seconds[side]) for side in ("plain", "ours"))
    count = len(files)
    print(f"{count} pictures, {torch.get_num_threads()} threads, {translator.engine.dtype}")
    print(f"plain loop: {count / plain:.2f} images/s  (seconds: {seconds['plain']})")
    print(f"translate:  {count / own:.2f} images/s  (seconds: {seconds['ours']})")
    print(
        f"difference in grey levels: largest {max(int(d.max()) for d in apart)}, "
        f"mean {np.mean([d.mean() for d in apart]):.2f}"
    )
    print(f"ratio: {plain / own:.2f}")


if __name__ == "__main__":
    main()
