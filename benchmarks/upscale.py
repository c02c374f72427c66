"""Output megapixels per second of `translate MODEL FOLDER/` against the loop a user would write.

Same weights, same pictures, same threads, in one run, in turns: a network that enlarges, on PNGs.
The plain loop is PIL, the whole picture through the network, eager, one after the other, save; once
in fp32 and once in bf16. And the network alone: pixels in memory to pixels in memory.

    python benchmarks/upscale.py [--network compact] [--scale 4] [--side 384] [--pictures 4]
        [--rounds 3] [--model FILE] [--tile N]

Weights are drawn where no model is given. The last lines are ratios of medians. Above them stands
what speed costs: differences in grey levels from the plain loop in fp32.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from translate import Batch, Facts
from translate.bundle import Model, load_bundle, save_bundle
from translate.images import read_picture
from translate.inference.network import in_precision
from translate.inference.pipeline import Encoding, Pipeline
from translate.inference.plan import make_plan
from translate.inference.translator import Translator
from translate.model import Header
from translate_srgan.method import SRGAN, SRGANOptions


@torch.inference_mode()
def enlarge(model: Model, pixels: np.ndarray) -> np.ndarray:
    """Enlarge a whole picture as one would in a notebook."""
    x = torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    y = model(Batch({"image": x}, torch.zeros(1, dtype=torch.int64)))[0].permute(1, 2, 0)
    return ((y.float() + 1) * 127.5).round().clamp(0, 255).byte().numpy()


def plain_loop(model: Model, files: list[Path], out: Path) -> None:
    out.mkdir(parents=True)
    for file in files:
        made = enlarge(model, np.asarray(Image.open(file).convert("RGB")))
        Image.fromarray(made).save(out / file.name)


def ours(translator: Translator, files: list[Path], out: Path) -> None:
    engine = translator.engine
    plan = make_plan([str(file) for file in files], "benchmark", out=f"{out}/", format="png")
    pipeline = Pipeline(engine, Encoding(), batch_size=engine.batch_size(None), workers=2)
    failed = [outcome.error for outcome in pipeline(plan.to_write) if outcome.error]
    if failed:
        raise SystemExit(f"failed: {failed[0]}")


def our_network(translator: Translator, files: list[Path]) -> None:
    engine = translator.engine
    for file in files:
        engine.run([engine.prepare(read_picture(file))], [0])


def make_pictures(folder: Path, count: int, side: int) -> None:
    """Write PNGs with the spectrum of photographs: noise falling off with frequency."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side), indexing="ij")
    fall = 1 / np.maximum(np.hypot(x, y), 1 / side)
    for number in range(count):
        spectrum = np.fft.fft2(rng.normal(size=(3, side, side))) * fall
        waves = np.real(np.fft.ifft2(spectrum))
        pixels = np.clip(waves / waves.std() * 48 + 128, 0, 255).astype(np.uint8)
        Image.fromarray(pixels.transpose(1, 2, 0)).save(folder / f"{number:03}.png")


def make_model(path: Path, network: str, scale: int) -> None:
    torch.manual_seed(0)
    options = {"network": network, "scale": scale, "base": "nearest"}
    method = SRGAN(SRGANOptions.model_validate(options), Facts())
    weights = method.exports()["generator"].network.state_dict()
    save_bundle(path, Header(method="srgan", export="generator", options=options), weights)


def apart(one: Path, other: Path, files: list[Path]) -> str:
    differences = []
    for file in files:
        first, second = (
            np.asarray(Image.open(side / file.name), np.int16) for side in (one, other)
        )
        differences.append(np.abs(first - second))
    largest = max(int(d.max()) for d in differences)
    return f"largest {largest}, mean {np.mean([d.mean() for d in differences]):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--network", default="compact", choices=["compact", "srresnet", "rrdb"])
    parser.add_argument("--scale", type=int, default=4, choices=[2, 4, 8])
    parser.add_argument("--side", type=int, default=384)
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", type=Path, help="a bundle that enlarges; drawn if not given")
    parser.add_argument("--tile", type=int, help="as the command's --tile")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        base = Path(place)
        bundle = options.model or base / "model.safetensors"
        if not options.model:
            make_model(bundle, options.network, options.scale)
        make_pictures(base / "in", options.pictures, options.side)
        files = sorted((base / "in").iterdir())
        plain, half = load_bundle(bundle), load_bundle(bundle)
        in_precision(half.network, torch.bfloat16)
        translator = Translator(load_bundle(bundle), device="cpu", tile=options.tile)
        arrays = [np.asarray(Image.open(file).convert("RGB")) for file in files]

        def alone(model: Model) -> None:
            for pixels in arrays:
                enlarge(model, pixels)

        sides: dict[str, Callable[[Path], None]] = {
            "plain fp32": lambda out: plain_loop(plain, files, out),
            "plain bf16": lambda out: plain_loop(half, files, out),
            "translate": lambda out: ours(translator, files, out),
            "network alone, plain fp32": lambda out: alone(plain),
            "network alone, plain bf16": lambda out: alone(half),
            "network alone, translate": lambda out: our_network(translator, files),
        }
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for turn in range(options.rounds + 1):
            for name, run in sides.items():
                began = time.perf_counter()
                run(base / f"{name}{turn}")
                if turn:  # the first one warms up
                    seconds[name].append(time.perf_counter() - began)
        differences = {
            name: apart(base / "plain fp321", base / f"{name}1", files)
            for name in ("plain bf16", "translate")
        }
    median = {name: statistics.median(times) for name, times in seconds.items()}
    scale = translator.engine.fit.scale
    megapixels = len(files) * (options.side * scale) ** 2 / 1e6
    print(
        f"{len(files)} pictures of {options.side}×{options.side}, ×{scale}, "
        f"{torch.get_num_threads()} threads, {translator.engine.dtype}"
    )
    for name, times in seconds.items():
        shown = ", ".join(f"{one:.2f}" for one in times)
        print(f"{name}: {megapixels / median[name]:.2f} output megapixels/s  (seconds: {shown})")
    for name, text in differences.items():
        print(f"{name}, difference in grey levels from plain fp32: {text}")
    for other in ("plain fp32", "plain bf16"):
        alone_ratio = median[f"network alone, {other}"] / median["network alone, translate"]
        ratio = median[other] / median["translate"]
        print(f"ratio to {other}: {ratio:.2f}, network alone {alone_ratio:.2f}")


if __name__ == "__main__":
    main()
