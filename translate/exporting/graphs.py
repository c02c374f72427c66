"""A model as one network from plain numbers to plain numbers, with what the host does around it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from translate.bundle import Model
from translate.errors import UsageError
from translate.inference.requests import starts_from
from translate.method import Batch, Latent
from translate.options import Settings
from translate.pipeline.resizing import mirrored

Inputs = tuple[Tensor, ...]

_USUAL = 32  # pixels a side of what is tried, where the network asks for no more


@dataclass(frozen=True)
class Port:
    """An input or the output.

    Attributes:
        sizes: a name for each that may be any.
        holds: its numbers, in words.
    """

    name: str
    sizes: tuple[int | str, ...]
    holds: str

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.sizes))}) {self.holds}"


class Graph(nn.Module, ABC):
    """What is exported.

    Attributes:
        inputs, output: what goes in, in order, and what comes out: pictures in [0, 1].
    """

    inputs: Sequence[Port]
    output: Port

    def __init__(self, model: Model, settings: Settings) -> None:
        super().__init__()
        self.network = model.network
        # A method is a module too, whose other networks have no memory; the model hides it.
        self.model, self.settings = model, settings

    @abstractmethod
    def forward(self, *inputs: Tensor) -> Tensor:
        """Return pictures (N, C, H, W) in [0, 1]."""

    @abstractmethod
    def example(self) -> Inputs:
        """Return inputs with sizes that nothing depends on."""

    @abstractmethod
    def trials(self) -> Iterator[Inputs]:
        """Yield inputs to compare two ways of computing by, several samples first."""


class ImageGraph(Graph):
    """Pictures (N, C, H, W) in [0, 1] become (N, C', sH, sW) in [0, 1], whatever H and W are.

    They are mirrored up to the sides that the network takes, and the result is cut again.
    """

    def __init__(self, model: Model, settings: Settings) -> None:
        super().__init__(model, settings)
        self.fit = model.fit
        ins, outs = model.export.mode
        self.channels = len(ins)
        self.inputs = [_pictures("image", ins, "height", "width")]
        times = f"{self.fit.scale}*" if self.fit.scale > 1 else ""
        self.output = _pictures("output", outs, f"{times}height", f"{times}width")

    def forward(self, *inputs: Tensor) -> Tensor:
        [image] = inputs
        count, _, height, width = image.shape
        rows, columns = (mirrored(side, 0, self._lacking(side)) for side in (height, width))
        x = image[:, :, rows][..., columns] * 2 - 1
        seeds = torch.zeros(count, dtype=torch.int64)
        source = Batch({"image": x}, seeds, settings=self.settings)
        y = self.model.method.translate(self.network, source)
        y = y[..., : height * self.fit.scale, : width * self.fit.scale]
        return ((y + 1) / 2).clamp(0, 1)

    def _lacking(self, side: int) -> int:
        """Return how many pixels a side lacks of what the network takes."""
        unit = self.fit.multiple_of
        # Python's max would be decided by the example's side, for all sides.
        wanted = cast(int, torch.sym_max(side, self.fit.minimum))
        return (wanted + unit - 1) // unit * unit - side

    def example(self) -> Inputs:
        return (torch.zeros(2, self.channels, self._side + 3, self._side + 5),)

    def trials(self) -> Iterator[Inputs]:
        generator = torch.Generator().manual_seed(0)
        side = self._side
        # Smaller than the network takes, larger, and just as it does.
        for count, height, width in ((3, 7, 13), (1, side + 1, 2 * side - 1), (2, side, side)):
            yield (torch.rand(count, self.channels, height, width, generator=generator),)

    @property
    def _side(self) -> int:
        least = max(self.fit.minimum, _USUAL)
        return least + -least % self.fit.multiple_of


class LatentGraph(Graph):
    """Codes (N, L), and numbers of classes (N,) where there are any, become pictures in [0, 1].

    What each class is to the network is kept as a table.
    """

    def __init__(self, model: Model, settings: Settings) -> None:
        super().__init__(model, settings)
        self.classes = len(model.header.facts.classes) if "class" in model.header.reads else 0
        count = max(self.classes, 1)
        codes, conditions = self._encoded(count, seed=0)
        if not torch.equal(conditions, self._encoded(count, seed=count)[1]):
            raise UsageError("what a class is to the network depends on chance")
        self.conditions: Tensor
        self.register_buffer("conditions", conditions)
        drawn = "float32, drawn around 0 as in training"
        self.inputs = [Port("codes", ("batch", codes.shape[1]), drawn)]
        if self.classes:
            self.inputs.append(Port("class", ("batch",), f"int64, in 0 … {self.classes - 1}"))
        size = self(*self.example()).shape[2:]
        self.output = _pictures("output", model.export.mode[1], *size)

    def forward(self, *inputs: Tensor) -> Tensor:
        codes = inputs[0]
        chosen = inputs[1] if self.classes else codes.new_zeros(codes.shape[0], dtype=torch.int64)
        method = self.model.method
        assert isinstance(method, Latent)
        y = method.decode(self.network, codes, self.conditions[chosen])
        return ((y + 1) / 2).clamp(0, 1)

    def example(self) -> Inputs:
        return self._inputs(2, seed=0)

    def trials(self) -> Iterator[Inputs]:
        yield self._inputs(max(self.classes, 3), seed=0)
        yield self._inputs(1, seed=100)

    def _inputs(self, count: int, *, seed: int) -> Inputs:
        codes, _ = self._encoded(count, seed=seed)
        return (codes, torch.arange(count) % self.classes) if self.classes else (codes,)

    @torch.no_grad()
    def _encoded(self, count: int, *, seed: int) -> tuple[Tensor, Tensor]:
        """Return the codes and conditions of so many samples, of one class after the other."""
        tensors = {"class": torch.arange(count) % self.classes} if self.classes else {}
        source = Batch(tensors, torch.arange(seed, seed + count), settings=self.settings)
        method = self.model.method
        assert isinstance(method, Latent)
        codes, conditions = method.encode(self.network, source)
        return codes.float(), conditions.float()


def graph_of(model: Model, settings: Settings) -> Graph:
    """Return a model as a graph.

    Raises:
        UsageError: if what it starts from is nothing that a graph can be given.
    """
    source = starts_from(model.header)
    if source == "image":
        return ImageGraph(model, settings).eval()
    if source in ("class", "noise") and isinstance(model.method, Latent):
        return LatentGraph(model, settings).eval()
    raise UsageError(
        f"the method {model.header.method!r} starts from {source}; ONNX is for models that "
        "start from a picture, or from codes and classes"
    )


def _pictures(name: str, mode: str, height: int | str, width: int | str) -> Port:
    return Port(name, ("batch", len(mode), height, width), f"float32, {mode} in [0, 1]")
