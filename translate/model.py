"""The bundle: a trained model as one safetensors file that says all that is needed to use it.

The header is read without torch, so that lists and dry runs stay light.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from translate.errors import BundleError
from translate.options import Facts, Settings

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
SUFFIX = ".safetensors"
_KEY = "translate"  # the one entry of the file's metadata that is ours
_LARGEST_HEADER = 100_000_000  # bytes; safetensors' own limit


class Card(Settings):
    """What a person wants to know before using a model."""

    summary: str = ""
    licence: str = "not stated"
    source: str = ""
    data: str = ""
    teacher: str = ""
    training: Mapping[str, Any] = Field(default_factory=dict, description="recipe, time, hardware")
    notes: str = ""


class Header(Settings):
    """A bundle's metadata: with the weights, enough to rebuild its network and run it."""

    format: int = FORMAT
    method: str
    options: Mapping[str, Any] = Field(default_factory=dict)
    facts: Facts = Facts()
    export: str = Field(description="which of the method's exports the weights are")
    reads: tuple[str, ...] = Field(default=("image",), description="what it translates from")
    mode: tuple[str, str] = Field(default=("RGB", "RGB"), description="PIL modes in and out")
    working_size: int | None = Field(default=None, ge=1, description="pixels it was trained at")
    card: Card = Card()


@dataclass(frozen=True)
class Imported:
    """Another project's generator in our words: what an importer returns.

    Attributes:
        method: the method whose export the weights become.
        options: that method's options.
        export: which export.
        weights: the network's state, under our names.
        notes: what could not be known from the file.
    """

    method: str
    options: Mapping[str, Any]
    export: str
    weights: Mapping[str, Tensor]
    facts: Facts = field(default_factory=Facts)
    working_size: int | None = None
    notes: str = ""


def metadata(header: Header) -> dict[str, str]:
    """Return the header as safetensors metadata, from text to text."""
    return {_KEY: header.model_dump_json()}


def read_header(path: Path) -> Header:
    """Return what the bundle at ``path`` says of itself, without reading its weights.

    Raises:
        BundleError: if the file is missing, truncated, not a bundle, or newer than understood.
    """
    raw = _raw_header(path)
    notes = raw.get("__metadata__")
    if not isinstance(notes, dict) or _KEY not in notes:
        raise BundleError(f"{path}: a safetensors file, but not a model of translate")
    try:
        fields = json.loads(notes[_KEY])
        version = fields["format"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BundleError(f"{path}: its model description is not readable") from None
    if not isinstance(version, int) or not 1 <= version <= FORMAT:
        raise BundleError(
            f"{path}: bundle format {version}, but this version understands up to {FORMAT}; "
            "upgrade image-translate"
        )
    try:
        return Header.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = f"wrong at {where}: {first['msg']}"
        raise BundleError(f"{path}: its model description is {reason}") from None


def _raw_header(path: Path) -> dict[str, Any]:
    """Return a safetensors file's JSON header, after checking that the file is whole."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length_bytes = file.read(8)
            length = struct.unpack("<Q", length_bytes)[0] if len(length_bytes) == 8 else 0
            if not 2 <= length <= min(_LARGEST_HEADER, size - 8):
                raise BundleError(f"{path}: not a safetensors file, or cut short ({size:,} bytes)")
            raw: dict[str, Any] = json.loads(file.read(length))
        ends = [entry["data_offsets"][1] for key, entry in raw.items() if key != "__metadata__"]
        expected = 8 + length + max(ends, default=0)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror or error}") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise BundleError(f"{path}: not a safetensors file") from None
    if size != expected:
        raise BundleError(f"{path}: truncated ({size:,} of {expected:,} bytes)")
    return raw
