"""Samples that are cut out of pictures, all of one size: what single and paired ones share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Literal, Self, TypeVar

from pydantic import Field, model_validator

from translate import Dataset, Settings, UsageError
from translate.pipeline import random_box, zoom_box

C = TypeVar("C", bound="CutOptions")


class CutOptions(Settings):
    """How a sample's place in its picture is chosen, and what changes it."""

    mode: Literal["resize-and-crop", "zoom", "crop", "native"] = Field(
        default="resize-and-crop",
        description="resize-and-crop: squeeze to load×load, then crop; zoom: crop a random share "
        "of the picture and resize it; crop: cut from the picture as it is; native: whole",
    )
    size: int = Field(default=256, ge=16, le=4096, description="pixels of a sample's sides")
    load: int = Field(default=286, ge=16, le=4096, description="sides before resize-and-crop cuts")
    zoom: float = Field(default=0.5, gt=0, le=1, description="smallest share of the area zoom cuts")
    flip: bool = Field(default=True, description="mirror half of the samples")
    colour: float = Field(default=0.0, ge=0, le=1, description="strength of colour changes")

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if self.mode == "resize-and-crop" and self.load < self.size:
            raise ValueError(f"load ({self.load}) must be at least size ({self.size})")
        return self


class Cutting(Dataset[C], Generic[C]):
    """A reader whose samples are cut as ``CutOptions`` say."""

    def __init__(self, folders: Sequence[Path], options: C, needs: Mapping[str, Any]) -> None:
        super().__init__(folders, options, needs)
        self._multiple, self._least = needs.get("multiple_of", 1), needs.get("minimum", 1)
        if options.mode != "native" and (
            options.size % self._multiple or options.size < self._least
        ):
            raise UsageError(
                f"data.size={options.size}: this method needs a multiple of {self._multiple}, "
                f"at least {self._least}"
            )

    @property
    def working_size(self) -> int | None:
        return None if self.options.mode == "native" else self.options.size

    @property
    def resized(self) -> int | None:
        """The sides to which what was cut is brought; None: it stays as it is."""
        return self.options.size if self.options.mode == "zoom" else None

    def box(self, height: int, width: int, seed: int, file: Path) -> tuple[int, int, int, int]:
        """Return the top, left, height and width of a sample's place in its picture.

        Raises:
            UsageError: if the picture is too small.
        """
        o, multiple = self.options, self._multiple
        least = {"crop": o.size, "native": self._least}.get(o.mode, 1)
        if min(height, width) < least:
            raise UsageError(
                f"{file}: {width}×{height} is too small for data.mode={o.mode}, which needs "
                f"{least}×{least}; lower data.size, or set data.mode=zoom"
            )
        if o.mode == "native":
            return 0, 0, height - height % multiple, width - width % multiple
        if o.mode == "zoom":
            return zoom_box(height, width, seed, share=o.zoom)
        return random_box(height, width, o.size, seed)
