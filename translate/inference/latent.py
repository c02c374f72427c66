"""The latent space: arcs between codes, sums of them, and codes in files."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from translate.atomic import replacing
from translate.errors import UsageError
from translate.files import show, system_reason
from translate.inference.generator import Generator
from translate.inference.plan import Request
from translate.inference.points import Point

_KEY = "translate-code"  # the one entry of a code's file's metadata that is ours
_LARGEST = 10_000_000  # bytes of a code's file
_PARALLEL = 1e-4  # radians: nearer than this there is no arc to speak of


@dataclass(frozen=True, eq=False)
class Place:
    """Codes (N, L) and conditions (N, D) on the CPU in fp32; D = 0 where there are none."""

    codes: Tensor
    conditions: Tensor


def place_of(generator: Generator, point: Point) -> Place:
    """Return the one place (N = 1) that a point means.

    Raises:
        UsageError: if the model's method has no codes, or the file holds none of this model.
    """
    if point.file is not None:
        place = load_code(point.file)
        like = generator.encode(generator.batch([Request("", 0, 0)]))
        sizes = [(t.shape[1], o.shape[1]) for t, o in zip(_parts(place), like, strict=True)]
        if any(own != wanted for own, wanted in sizes):
            raise UsageError(
                f"{show(point.file)}: a code of {sizes[0][0]} and {sizes[1][0]} numbers, but this "
                f"model's have {sizes[0][1]} and {sizes[1][1]}"
            )
        return place
    codes, conditions = (t.cpu() for t in generator.encode(generator.batch(point.requests)))
    return Place(mean_code(codes), conditions.mean(0, keepdim=True))


def mean_code(codes: Tensor) -> Tensor:
    """Return the direction between codes (N, L), as long as they are: (1, L).

    The mean itself is shorter than any code that is drawn, and such codes the decoder never saw.
    """
    return _as_long_as(codes, codes.mean(0, keepdim=True))


def _as_long_as(codes: Tensor, code: Tensor) -> Tensor:
    """Return (1, L) in its direction, with the mean length of codes (N, L)."""
    length, wanted = float(code.norm()), float(codes.norm(dim=1).mean())
    return code * (wanted / length) if length else code


def arc(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Return codes on the way between two: spherical interpolation.

    Args:
        start, end: (1, L); where their lengths differ, the length changes evenly.
        share: (N,) in [0, 1], how far.

    Returns:
        (N, L). Opposite codes have no one arc between them, and are joined by a straight line.

    Source: Shoemake 1985, doi:10.1145/325334.325242; for codes: White 2016, arXiv:1609.04468.
    """
    share = share[:, None]
    lengths = float(start.norm()), float(end.norm())
    if not min(lengths):
        return start + share * (end - start)
    one, other = start / lengths[0], end / lengths[1]
    angle = float(torch.arccos((one * other).sum().clamp(-1, 1)))
    if not _PARALLEL < angle < math.pi - _PARALLEL:
        return start + share * (end - start)
    parts = torch.sin((1 - share) * angle) * one + torch.sin(share * angle) * other
    return parts / math.sin(angle) * (lengths[0] + share * (lengths[1] - lengths[0]))


def walk(start: Place, end: Place, steps: int) -> Place:
    """Return ``steps`` places from one to the other, both included."""
    share = torch.linspace(0, 1, steps)
    line = start.conditions + share[:, None] * (end.conditions - start.conditions)
    return Place(arc(start.codes, end.codes, share), line)


def mix(plus: Sequence[Place], minus: Sequence[Place] = ()) -> Place:
    """Return the place that vector arithmetic leads to.

    The code is as long as those that it is made of. Conditions are divided by how many more are
    added than subtracted: two added ones are mixed half and half.

    Source: Radford et al. 2015, arXiv:1511.06434, section 6.3.2.
    """
    signed = [(1, place) for place in plus] + [(-1, place) for place in minus]
    codes = torch.cat([place.codes for _, place in signed])
    total = torch.stack([sign * place.codes for sign, place in signed]).sum(0)
    conditions = torch.stack([sign * place.conditions for sign, place in signed]).sum(0)
    surplus = len(plus) - len(minus)
    return Place(_as_long_as(codes, total), conditions / surplus if surplus > 0 else conditions)


def around(place: Place, count: int, *, seed: int, noise: float = 0.25) -> Place:
    """Return a place and others near it, up to ``noise`` away in each number.

    Source: Radford et al. 2015, figure 7.
    """
    generator = torch.Generator().manual_seed(seed % 2**63)
    change = (2 * torch.rand((count, place.codes.shape[1]), generator=generator) - 1) * noise
    change[0] = 0
    return Place(place.codes + change, place.conditions.expand(count, -1))


def save_code(path: Path, place: Place, *, model: str) -> None:
    """Write one place as a safetensors file.

    Raises:
        TranslateError: if it cannot be written.
    """
    tensors = {"code": place.codes.contiguous(), "condition": place.conditions.contiguous()}
    with replacing(path) as file:
        file.write(safetensors.torch.save(tensors, {_KEY: json.dumps({"model": model})}))


def load_code(path: Path) -> Place:
    """Return the place in a file.

    Raises:
        UsageError: if the file holds none.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise UsageError(f"{show(path)}: larger than any code; is it a model?")
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise UsageError(f"{show(path)}: {system_reason(error)}") from None
    except SafetensorError as error:
        raise UsageError(f"{show(path)}: not a code's file ({error})") from None
    if tensors.keys() != {"code", "condition"} or any(
        t.ndim != 2 or len(t) != 1 or t.dtype != torch.float32 or not t.isfinite().all()
        for t in tensors.values()
    ):
        raise UsageError(f"{show(path)}: not a code, as translate mix --save writes them")
    return Place(tensors["code"], tensors["condition"])


def _parts(place: Place) -> tuple[Tensor, Tensor]:
    return place.codes, place.conditions
