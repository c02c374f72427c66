"""The contract between the host and a method: what a plugin author subclasses and returns.

A method is an ``nn.Module`` bound to its options. Its attributes are its networks, its judges and
its memory. It lists phases (who learns, by which losses), exports (which networks become models)
and says how a network translates a source. Files, devices, precision, stepping, averaging, logs
and checkpoints are the host's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Literal, Self, TypeVar

import torch
from torch import Tensor, nn

from translate.options import Facts, Settings
from translate.runtime import global_mean

O = TypeVar("O", bound=Settings)  # noqa: E741
N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True)
class Batch:
    """N training samples, or N sources at run time: the same object.

    Attributes:
        tensors: images (N, C, H, W) float in [-1, 1], labels (N,) int64; on the device.
        seeds: (N,) int64 on the CPU, one of each sample's own.
        texts: N strings a field.
        settings: the run-time options, None in training.
    """

    tensors: Mapping[str, Tensor]
    seeds: Tensor
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    settings: Settings | None = None

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def __len__(self) -> int:
        return len(self.seeds)

    def noise(self, *shape: int, stream: int = 0) -> Tensor:
        """Return normal noise (N, *shape) on the CPU.

        Row i depends on ``seeds[i]`` and ``stream`` (0 to 7) alone: not on N, device or process.
        """
        rows = [torch.Generator().manual_seed(int(s) * 8 + stream) for s in self.seeds]
        return torch.stack([torch.randn(shape, generator=g) for g in rows])


@dataclass
class Step:
    """One micro-batch's scratch: it lives through all phases of one training step."""

    number: int  # steps done before this one
    images: int  # training images seen before this one
    kept: dict[str, Tensor] = field(default_factory=dict)
    logged: dict[str, Tensor] = field(default_factory=dict)

    def keep(self, **tensors: Tensor) -> None:
        """Keep tensors, detached, for later phases of this step."""
        self.kept |= {name: tensor.detach() for name, tensor in tensors.items()}

    def log(self, **scalars: Tensor) -> None:
        """Log scalars that are not losses."""
        self.logged |= {name: scalar.detach() for name, scalar in scalars.items()}

    def recall(self, name: str, make: Callable[[], Tensor]) -> Tensor:
        """Return what an earlier phase of this step kept, or make it now, without a graph."""
        if name not in self.kept:
            with torch.no_grad():
                self.keep(**{name: make()})
        return self.kept[name]

    def mean(self, x: Tensor, dims: Sequence[int] | None = None) -> Tensor:
        """Return x's mean over all processes, differentiable: for losses that need the batch's.

        Args:
            dims: what the mean goes over, with the samples' own among them; None: everything.
        """
        return global_mean(x, dims)


@dataclass(frozen=True)
class Optimizer:
    """How one phase's networks learn; a user may change any of it for any phase.

    Attributes:
        name: Adam (Kingma and Ba 2014), AdamW (Loshchilov and Hutter 2017) or RMSprop.
        lr: learning rate.
        betas: of the Adams; RMSprop has none.
        schedule: "linear" is constant for half of the phase, then falls to 0; "cosine" falls to 0
            all the way; "step" multiplies by ``drop`` at each of ``drops``.
        weight_decay: share of the weights taken off, times the learning rate, in AdamW; added
            to the gradient in the others.
        drops: for "step", shares of the phase that are done.
        drop: for "step", what is left of the rate.
    """

    name: Literal["adam", "adamw", "rmsprop"] = "adam"
    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    schedule: Literal["constant", "linear", "step", "cosine"] = "constant"
    weight_decay: float = 0.0
    drops: tuple[float, ...] = (0.5, 0.75)
    drop: float = 0.1


@dataclass(frozen=True, eq=False)
class Phase:
    """One player's turn inside a training step.

    Attributes:
        name: for logs and checkpoints; unique in the method.
        trains: the networks that learn; all other parameters are frozen during the turn.
        losses: gives weighted scalar terms; the host adds them, scales and steps.
        optimizer: how they learn.
        every: in steps.
        since, until: in training images; stages are phases with a beginning and an end.
        after: called after each update without gradients, with the terms and logs averaged.
        updates: how often it learns in a step, each time from a fresh batch; None: as often as
            the objective of a ``Discriminator`` among ``trains`` asks for, else once.
        clip: largest norm of the gradient, all parameters together; None: any.
    """

    name: str
    trains: Sequence[nn.Module]
    losses: Callable[[Batch, Step], dict[str, Tensor]]
    optimizer: Optimizer = field(default_factory=Optimizer)
    every: int = 1
    since: int = 0
    until: int | None = None
    after: Callable[[Mapping[str, Tensor]], None] | None = None
    updates: int | None = None
    clip: float | None = None

    def active(self, images: int) -> bool:
        """Say whether the phase takes part once ``images`` training images are seen."""
        return self.since <= images and (self.until is None or images < self.until)


@dataclass(frozen=True, eq=False)
class Export:
    """A network that becomes a model.

    Attributes:
        network: what is averaged, bundled and run.
        reads: run-time field -> training field, such as {"image": "a"}.
        like: the training field that its output should resemble.
        mode: PIL modes in and out, such as ("L", "RGB").
    """

    network: nn.Module
    reads: Mapping[str, str]
    like: str | None = None
    mode: tuple[str, str] = ("RGB", "RGB")


@dataclass(frozen=True)
class Fit:
    """Which pictures an export takes and what it gives.

    Attributes:
        multiple_of: width and height must be multiples; the host pads and crops.
        minimum: smallest width and height, after padding.
        scale: output pixels for each input pixel, along each side.
        halo: pixels around a tile that its result depends on; None: needs the whole picture.
        independent: False: run one item at a time, each under its own seed.
        detail: what a picture larger than the working size keeps of its own. "change": all, and
            the change made at working size is added to it. "lightness": its lightness, exactly,
            and the output gives the colours. "none": nothing; the output is enlarged, and what
            is transparent is laid on white before.
    """

    multiple_of: int = 1
    minimum: int = 1
    scale: int = 1
    halo: int | None = None
    independent: bool = True
    detail: Literal["change", "lightness", "none"] = "change"


class Fixed(Generic[N]):
    """Holds a network that takes part but never learns: a teacher, a content network.

    It is no ``nn.Module``, so it is in no checkpoint and no optimizer. As an attribute of a
    method it moves with the method from device to device. It always evaluates.
    """

    def __init__(self, network: N) -> None:
        self.network = network.eval().requires_grad_(False)


class Method(nn.Module, ABC, Generic[O]):
    """A way to train and run generators. Its attributes are its networks, judges and memory.

    Memory (an image pool, a running balance) is buffers or ``get_extra_state`` (of tensors,
    numbers and texts), so that one ``state_dict`` is the whole checkpoint.
    """

    Options: ClassVar[type[Settings]] = Settings
    RunOptions: ClassVar[type[Settings]] = Settings

    def __init__(self, options: O, facts: Facts) -> None:
        super().__init__()
        self.options, self.facts = options, facts

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        for value in vars(self).values():
            if isinstance(value, Fixed):
                value.network._apply(fn, recurse)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    @classmethod
    def data(cls, options: O) -> Mapping[str, object]:
        """Return what the data set must know to make samples, such as {"multiple_of": 4}."""
        return {}

    def prepare(self) -> None:
        """Fetch what only training needs (a teacher); called once, before the first step."""

    def begin(self, export: str, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the weights of an export that a run begins from (``--init``), as ours takes them.

        For a stage whose network holds more than that of the stage before.
        """
        return weights

    @abstractmethod
    def phases(self) -> Sequence[Phase]:
        """Return the players' turns in one step, in order."""

    @abstractmethod
    def exports(self) -> Mapping[str, Export]:
        """Return the networks that become models, by name."""

    @abstractmethod
    def translate(self, network: nn.Module, source: Batch) -> Tensor:
        """Return (N, C, sH, sW) in [-1, 1] for ``source``; differentiable.

        Args:
            network: an export's network: the learning one, its average, or a loaded one.
            source: holds the fields that the export reads; images are (N, C, H, W) in [-1, 1].
        """

    def fit(self, export: str) -> Fit:
        """Return which pictures the export takes and what it gives."""
        return Fit()


class Latent(Method[O]):
    """A method whose models make pictures of codes, drawn by their seeds, under conditions.

    ``translate walk`` goes from code to code along arcs, and from condition to condition along
    straight lines; ``translate mix`` adds and subtracts both.
    """

    @abstractmethod
    def encode(self, network: nn.Module, source: Batch) -> tuple[Tensor, Tensor]:
        """Return the codes (N, L) that the seeds draw, and the conditions (N, D); D may be 0.

        Codes are drawn around 0: truncation draws them towards it.
        """

    @abstractmethod
    def decode(self, network: nn.Module, codes: Tensor, conditions: Tensor) -> Tensor:
        """Return (N, C, H, W) in [-1, 1] for codes and conditions, whatever they come from."""

    def translate(self, network: nn.Module, source: Batch) -> Tensor:
        return self.decode(network, *self.encode(network, source))
