"""The method under check, with all that checks need of it: made anew, on data of its kind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from translate.bundle import Model
from translate.dataset import Dataset
from translate.host import the_host
from translate.inference.engine import Engine
from translate.method import Batch, Export, Fit, Method
from translate.model import Header
from translate.options import Facts, Settings, build
from translate.pipeline.loader import collate
from translate.pipeline.seeds import mix
from translate.registry import MethodEntry
from translate.testing.report import Skip, doing
from translate.testing.session import Session

_SEED = 0
_LEAST_SIDE = 16  # pixels; fewer say little of a network

# One training sample: pictures uint8 (H, W, C), labels, texts.
Fields = Mapping[str, NDArray[np.uint8] | int | str]
Samples = str | Dataset[Any] | Callable[[int, int], Fields]


class Subject:
    """A method's class with options, facts and training samples.

    Attributes:
        entry: what registers it; None if no plugin does.
    """

    def __init__(
        self,
        method: type[Method[Any]] | str,
        *,
        options: Mapping[str, Any] | Settings | None,
        facts: Facts | None,
        sample: Samples | None,
        size: int | None,
        folder: Path,
    ) -> None:
        if isinstance(method, str):
            self.entry: MethodEntry | None = the_host().method(method)
            self.kind: type[Method[Any]] = self.entry.load()
        else:
            self.kind, self.entry = method, _entry_of(method)
        self._options, self._facts, self._sample, self._size = options, facts, sample, size
        self.folder = folder
        self.name = f"{self.kind.__module__}:{self.kind.__qualname__}"

    @cached_property
    def options(self) -> Settings:
        """The options it is checked with, as they come from a command or a bundle."""
        given = self._options or {}
        values = given.model_dump(mode="json") if isinstance(given, Settings) else given
        options: Settings = build(self.kind.Options, values, what="options")
        return options

    @property
    def facts(self) -> Facts:
        if self._facts is not None:
            return self._facts
        try:
            return self.dataset.facts if self.dataset else Facts()
        except Skip:
            return Facts()

    @property
    def size(self) -> int:
        """The sides of training pictures: as given, or the least that the method takes."""
        needs: Mapping[str, Any] = self.kind.data(self.options)
        least = max(_LEAST_SIDE, needs.get("minimum", 1))
        return self._size or _up(least, needs.get("multiple_of", 1))

    @cached_property
    def dataset(self) -> Dataset[Any] | None:
        """The data set that samples come from, if they do not come from a function."""
        if isinstance(self._sample, Dataset):
            return self._sample
        if callable(self._sample):
            return None
        kind = self._sample or (self.entry.data if self.entry else None)
        if kind is None:
            raise Skip("no plugin registers it, so its kind of data is unknown; pass sample=...")
        entries = the_host().datasets.values()
        if not any(kind in (entry.name, entry.kind) for entry in entries):
            raise Skip(f"no reader of {kind!r} data is installed; pass sample=...")
        reader = the_host().load_dataset(kind)
        try:
            values = reader.example(self.folder / "data", self.size)
        except NotImplementedError:
            raise Skip(f"the reader of {kind!r} data has no example(); pass sample=...") from None
        with doing(f"the reader of {kind!r} data, given what data() says", "data"):
            wanted = build(reader.Options, values, what="data")
            return reader([self.folder / "data"], wanted, self.kind.data(self.options))

    def batch(self, number: int = 0, count: int = 2) -> Batch:
        """Return training batch ``number``, as the loop would."""
        dataset = self.dataset
        sample: Any = dataset.sample if dataset else self._sample
        numbers = range(number * count, (number + 1) * count)
        batch = as_batch([sample(n, _SEED) for n in numbers], [mix(_SEED, n) for n in numbers])
        return dataset.on_device(batch) if dataset else batch

    def new(self, *, seed: int = 0, device: str = "cpu") -> Method[Any]:
        """Return a fresh method, evaluating; equal seeds give equal weights."""
        torch.default_generator.manual_seed(seed)
        with torch.device(device) if device != "cpu" else contextlib.nullcontext():
            return self.kind(self.options, self.facts).eval()

    def ready(self, *, seed: int = 0) -> Method[Any]:
        """Return a fresh method, ready for its first training step."""
        method = self.new(seed=seed)
        method.prepare()
        return method

    def fit(self, export: str) -> Fit:
        return self._for_facts.fit(export)

    @cached_property
    def exports(self) -> Mapping[str, Export]:
        """The exports of one method that is never trained; for reading."""
        return self._for_facts.exports()

    @cached_property
    def _for_facts(self) -> Method[Any]:
        return self.new()

    @cached_property
    def session(self) -> Session:
        """A short training through every stage, which several checks look at."""
        session = Session(self, seed=0)
        session.visit_stages()
        return session

    def side(self, fit: Fit, least: int = _LEAST_SIDE) -> int:
        """Return the smallest side, of at least ``least``, that an export takes unpadded."""
        return _up(max(least, fit.minimum), fit.multiple_of)

    def source(
        self, export: Export, shape: tuple[int, int], *, count: int = 2, start: int = 0
    ) -> Batch:
        """Return sources for an export: pictures of (height, width), or what it reads else."""
        batch = self.batch(count=count)
        seeds = torch.arange(start, start + count)
        tensors: dict[str, Tensor] = {}
        for ours, theirs in export.reads.items():
            if is_picture(batch, theirs):
                tensors[ours] = pictures(seeds, (batch[theirs].shape[1], *shape))
            elif theirs in batch.tensors:
                tensors[ours] = batch[theirs]
        texts = {o: batch.texts[t] for o, t in export.reads.items() if t in batch.texts}
        return Batch(tensors, seeds, texts, self.kind.RunOptions())

    def reads_one_picture(self, export: Export) -> bool:
        return len(export.reads) == 1 and is_picture(self.batch(), *export.reads.values())

    def model(self, name: str) -> Model:
        """Return an export as if it had been loaded from a bundle."""
        method = self.new()
        return Model(self.header(name), method, method.exports()[name])

    def header(self, name: str) -> Header:
        """Return what an export's bundle says of itself."""
        export = self.exports[name]
        return Header(
            method=self.entry.name if self.entry else self.kind.__name__,
            options=self.options.model_dump(mode="json"),
            facts=self.facts,
            export=name,
            reads=tuple(export.reads),
            mode=export.mode,
        )

    def engine(self, name: str, precision: str = "fp32") -> Engine:
        """Return an export on the engine that runs models, which pads and crops."""
        return Engine(self.model(name), device="cpu", precision=precision, size=None)

    @torch.no_grad()
    def run(self, model: Model, source: Batch, network: nn.Module | None = None) -> Tensor:
        """Translate as the host does: all at once, or one by one, each under its own seed."""
        method, network = model.method, network or model.network
        if model.fit.independent:
            return method.translate(network, source)
        outputs = []
        for place, seed in enumerate(source.seeds):
            torch.default_generator.manual_seed(int(seed))
            outputs.append(method.translate(network, part(source, place)))
        return torch.cat(outputs)


def part(batch: Batch, place: int) -> Batch:
    """Return one item of a batch, as a batch."""
    here = slice(place, place + 1)
    tensors = {name: tensor[here] for name, tensor in batch.tensors.items()}
    texts = {name: list(lines)[here] for name, lines in batch.texts.items()}
    return replace(batch, tensors=tensors, seeds=batch.seeds[here], texts=texts)


def pictures(seeds: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Return noise (N, C, H, W) in [-1, 1], row i from ``seeds[i]`` alone."""
    rows = [torch.rand(shape, generator=torch.Generator().manual_seed(int(s))) for s in seeds]
    return torch.stack(rows) * 2 - 1


def is_picture(batch: Batch, name: str) -> bool:
    return name in batch.tensors and batch[name].ndim == 4


def as_batch(samples: list[Fields], seeds: list[int]) -> Batch:
    """Return samples as one batch, as the host does."""
    return collate(samples, seeds, torch.device("cpu"))


def _entry_of(kind: type[Method[Any]]) -> MethodEntry | None:
    """Return what registers a class, wherever it is defined."""
    package = kind.__module__.partition(".")[0]
    for entry in the_host().methods.values():
        if entry.factory.startswith(package):
            with contextlib.suppress(Exception):
                if entry.load() is kind:
                    return entry
    return None


def _up(side: int, multiple: int) -> int:
    return side + -side % multiple
