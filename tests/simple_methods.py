"""A method whose network is arithmetic, so that every pixel it should give is known."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from translate import Batch, Export, Facts, Fit, Method, Phase, Settings
from translate.bundle import Model, save_bundle
from translate.model import Card, Header

Mode = Literal["L", "RGB"]

PLUGIN = """
@hookimpl
def register_methods(register):
    for name, source in (("simple", "image"), ("wordy", "text")):
        register(
            name=name, summary="adds a number", source=source, data="unpaired",
            factory="simple_methods:Simple",
        )
"""


class SimpleOptions(Settings):
    """What the network does, and where it breaks."""

    shift: float = 0.0
    scale: int = 1
    mode: tuple[Mode, Mode] = ("RGB", "RGB")
    multiple_of: int = 1
    minimum: int = 1
    reads: str = "image"
    random: bool = False
    detail: Literal["change", "lightness", "none"] = "change"
    # How it breaks or dawdles:
    largest_batch: int = 1000
    dark: Literal["fine", "RuntimeError", "ValueError", "nan", "shape"] = "fine"
    seconds: float = 0.0


class SimpleRunOptions(Settings):
    """What can be said at run time."""

    strength: float = Field(default=1.0, ge=0, le=1, description="share of the shift")


class Simple(Method[SimpleOptions]):
    """Adds ``shift``, in other channels and ``scale`` times larger."""

    Options = SimpleOptions
    RunOptions = SimpleRunOptions

    def __init__(self, options: SimpleOptions, facts: Facts) -> None:
        super().__init__(options, facts)
        self.network = Arithmetic(options)

    def phases(self) -> Sequence[Phase]:
        return []

    def exports(self) -> Mapping[str, Export]:
        o = self.options
        return {"it": Export(self.network, {o.reads: "a"}, mode=o.mode)}

    def translate(self, network: nn.Module, source: Batch) -> Tensor:
        assert isinstance(source.settings, SimpleRunOptions)  # as the contract says of run time
        x = source["image"]
        strength = source.settings.strength
        out: Tensor = network(x)
        return out if strength == 1 else x + strength * (out - x)

    def fit(self, export: str) -> Fit:
        o = self.options
        return Fit(o.multiple_of, o.minimum, o.scale, independent=not o.random, detail=o.detail)


class Arithmetic(nn.Module):
    """Remembers the shapes and types that it was given."""

    def __init__(self, options: SimpleOptions) -> None:
        super().__init__()
        self.options = options
        self.shift = nn.Parameter(torch.tensor([options.shift]))
        self.seen: list[tuple[tuple[int, ...], torch.dtype]] = []

    def forward(self, x: Tensor) -> Tensor:
        o = self.options
        self.seen.append((tuple(x.shape), x.dtype))
        time.sleep(o.seconds)
        if len(x) > o.largest_batch:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        assert x.shape[1] == len(o.mode[0])
        assert x.shape[2] % o.multiple_of == x.shape[3] % o.multiple_of == 0
        assert min(x.shape[2:]) >= o.minimum
        if o.dark != "fine" and (x < -0.99).flatten(1).all(dim=1).any():
            match o.dark:
                case "RuntimeError":
                    raise RuntimeError("too dark\nfor this network")
                case "ValueError":
                    raise ValueError("too dark")
                case "nan":
                    return x * torch.nan
                case _:
                    return x[..., :-1]
        if o.random:
            x = x + 0.2 * torch.rand_like(x)
        if o.mode == ("L", "RGB"):
            x = x.repeat(1, 3, 1, 1)
        elif o.mode == ("RGB", "L"):
            x = x.mean(dim=1, keepdim=True)
        x = x + self.shift
        return x.repeat_interleave(o.scale, dim=2).repeat_interleave(o.scale, dim=3)


def simple_model(**options: Any) -> Model:
    """Return a model in memory."""
    built = SimpleOptions(**options)
    method = Simple(built, Facts())
    header = Header(method="simple", export="it", mode=built.mode)
    return Model(header, method, method.exports()["it"])  # type: ignore[arg-type]


def save_simple(
    path: Path,
    *,
    working_size: int | None = None,
    method: str = "simple",
    training: Mapping[str, Any] | None = None,
    **options: Any,
) -> Path:
    """Write a bundle; ``training`` is what its card tells of that."""
    built = SimpleOptions(**options)
    header = Header(
        method=method,
        export="it",
        options=built.model_dump(mode="json"),
        reads=(built.reads,),
        mode=built.mode,
        working_size=working_size,
        card=Card(training=training or {}),
    )
    save_bundle(path, header, Arithmetic(built).state_dict())
    return path
