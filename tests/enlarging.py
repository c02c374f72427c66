"""A method that enlarges with a small network of convolutions, whose halo is known exactly."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from translate import Batch, Export, Facts, Fit, Method, Phase, Settings
from translate.bundle import Model, save_bundle
from translate.images import Picture
from translate.inference.engine import Engine
from translate.model import Header

PLUGIN = """
@hookimpl
def register_methods(register):
    register(
        name="enlarging", summary="enlarges", source="image", data="unpaired",
        factory="enlarging:Enlarging",
    )
"""


class EnlargingOptions(Settings):
    """A small network that sees ``radius`` pixels far."""

    scale: int = 2
    radius: int = 2
    gather: int = 1
    minimum: int = 1
    norm: bool = False
    random: bool = False
    largest: int = Field(default=10**9, description="input pixels that fit into its memory")
    error: Literal["cuda", "cpu"] = "cuda"
    seconds: float = 0.0
    smooth: bool = Field(default=False, description="bicubic instead, which keeps flat colours")


class Enlarging(Method[EnlargingOptions]):
    Options = EnlargingOptions

    def __init__(self, options: EnlargingOptions, facts: Facts) -> None:
        super().__init__(options, facts)
        self.network = Network(options)

    def phases(self) -> Sequence[Phase]:
        return []

    def exports(self) -> Mapping[str, Export]:
        return {"it": Export(self.network, {"image": "a"})}

    def translate(self, network: nn.Module, source: Batch) -> Tensor:
        out: Tensor = network(source["image"])
        return out

    def fit(self, export: str) -> Fit:
        o = self.options
        halo = None if o.norm else o.radius * o.gather
        return Fit(o.gather, o.minimum, o.scale, halo=halo, independent=not o.random)


class Network(nn.Module):
    """Convolutions with zeros around, on gathered pixels; remembers what it was given."""

    def __init__(self, options: EnlargingOptions) -> None:
        super().__init__()
        o = self.options = options
        self.seen: list[tuple[int, int]] = []
        with torch.random.fork_rng():
            torch.manual_seed(1)
            width = 3 * (o.scale * o.gather) ** 2
            ins = [3 * o.gather**2, *[8] * (o.radius - 1)]
            outs = [*[8] * (o.radius - 1), width]
            self.layers = nn.ModuleList(
                nn.Conv2d(i, o, 3, 1, 1) for i, o in zip(ins, outs, strict=True)
            )

    def forward(self, x: Tensor) -> Tensor:
        o = self.options
        self.seen.append((x.shape[2], x.shape[3]))
        assert min(x.shape[2:]) >= o.minimum
        time.sleep(o.seconds)
        if x.shape[2] * x.shape[3] > o.largest:
            if o.error == "cuda":
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        if o.smooth:
            return F.interpolate(x, scale_factor=o.scale, mode="bicubic")
        out = F.pixel_unshuffle(x, o.gather)
        for layer in self.layers:
            out = 2 * torch.tanh(layer(out))
        return F.pixel_shuffle(out, o.scale * o.gather)


def save_enlarging(path: Path, **options: Any) -> Path:
    """Write a bundle."""
    built = EnlargingOptions(**options)
    header = Header(method="enlarging", export="it", options=built.model_dump(mode="json"))
    save_bundle(path, header, Network(built).state_dict())
    return path


def engine(tile: int | None = None, *, precision: str = "fp32", **options: Any) -> Engine:
    method = Enlarging(EnlargingOptions(**options), Facts())
    model = Model(Header(method="enlarging", export="it"), method, method.exports()["it"])  # type: ignore[arg-type]
    return Engine(model, device="cpu", precision=precision, size=None, tile=tile)


def noise(*shape: int, dtype: type = np.uint8) -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def translate(engine: Engine, picture: Picture) -> Picture:
    [finished] = engine.run([engine.prepare(picture)], [0])
    return engine.finish(finished)


def seen(engine: Engine) -> list[tuple[int, int]]:
    [network] = engine._networks.values()
    assert isinstance(network, Network)
    return network.seen
