"""The contract between the host and a reader of training data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from translate.method import Batch, Export
from translate.options import Facts, Settings
from translate.pipeline.cache import PixelCache, Store

if TYPE_CHECKING:
    from translate.evaluation.data import EvaluationSet

O = TypeVar("O", bound=Settings)  # noqa: E741

# Pictures (H, W, C) uint8, as arrays or as tensors on the device; whole numbers; texts; by field.
Sample = Mapping[str, Any]


class Dataset(ABC, Generic[O]):
    """Turns folders into training samples of one kind.

    A sample depends on its number in the run and the run's seed alone, so that a run can be taken
    up anywhere and shared between processes.
    """

    Options: ClassVar[type[Settings]] = Settings
    aligned: ClassVar[bool] = False  # the pictures of a sample show the same thing

    def __init__(self, folders: Sequence[Path], options: O, needs: Mapping[str, Any]) -> None:
        """Look at the folders; read nothing yet.

        Args:
            folders: what the user gave with ``--data``.
            options: ours.
            needs: what ``Method.data`` says that the data set must know: "domains" it learns
                from, what its networks take of a side ("multiple_of", "minimum"), the "size" of
                the squares that they make, or the "input" that its models are given ("grey").

        Raises:
            UsageError: if the folders do not hold what this kind needs.
        """
        self.folders, self.options, self.needs = tuple(folders), options, needs

    @classmethod
    def example(cls, folder: Path, size: int) -> Mapping[str, Any]:
        """Write a tiny data set with pictures of size×size, and return the options that read it.

        Methods of this kind are checked on it; without one, they bring samples of their own.

        Raises:
            NotImplementedError: if the reader has no example.
        """
        raise NotImplementedError

    @classmethod
    def evaluation(
        cls,
        folders: Sequence[Path],
        options: O,
        needs: Mapping[str, Any],
        export: Export,
        compare: Literal["pairs", "sets"] | None = None,
        side: Literal["A", "B"] | None = None,
    ) -> EvaluationSet:
        """Return what ``translate evaluate`` tries a model that learned from this kind of data on.

        Usually the pictures of two sides, testA and testB or two folders: as pairs where their
        names match, else as two sets.

        Args:
            folders: what the user gave with ``--data``.
            options: those that the model was trained with, as far as that is known.
            needs: as for training.
            export: the model's: which side it reads, and which it should come to look like.
            compare: what the user asks for; None: whatever the folders hold.
            side: the one that the user wants translated; None: the one that the model reads.

        Raises:
            UsageError: if the folders do not hold that.
        """
        from translate.evaluation.folders import find

        return find(folders, export, compare, side)

    @property
    def facts(self) -> Facts:
        """What the data says of itself, for the method and the bundle."""
        return Facts()

    @property
    def working_size(self) -> int | None:
        """The size in pixels that a model trained on this works at; None: any."""
        return None

    @abstractmethod
    def __len__(self) -> int:
        """Return how many samples an epoch has."""

    @abstractmethod
    def describe(self) -> str:
        """Return one line that says what was found."""

    @abstractmethod
    def sample(self, number: int, seed: int) -> Sample:
        """Return sample ``number`` of the run with that seed, by field.

        Pictures are uint8 (H, W, C), labels whole numbers, captions texts.
        Called in several threads at once.

        Raises:
            UsageError: if the files cannot give it.
        """

    def on_device(self, batch: Batch) -> Batch:
        """Return the batch augmented: images (N, C, H, W) in [-1, 1], on the device."""
        return batch

    def keep(self, store: Store) -> str:
        """Keep decoded pictures in ``store`` from now on; say how much that will be, if known.

        Raises:
            UsageError: if there is no room for them.
        """
        values = [v for v in vars(self).values() if isinstance(v, PixelCache | tuple)]
        parts = [part for v in values for part in (v if isinstance(v, tuple) else (v,))]
        caches = [part for part in parts if isinstance(part, PixelCache)]
        for cache in caches:
            cache.store = store
        return "; ".join(filter(None, (cache.describe() for cache in caches)))
