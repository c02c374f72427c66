"""Networks of ESRGAN, BSRGAN and Real-ESRGAN, by their key layouts.

The network of residual dense blocks has three spellings: layers by number (ESRGAN of 2018),
``RRDB_trunk`` and ``HRconv`` (ESRGAN later, BSRGAN), ``body`` and ``conv_hr`` (Real-ESRGAN).
Real-ESRGAN's compact network, SRVGGNetCompact, is a chain of convolutions and activations by
number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from torch import Tensor

from translate import Facts, Imported, TranslateError

Tensors = Mapping[str, Tensor]
_SCALES = (1, 2, 4, 8)
_GATHERS = (1, 2, 4)
_NOTES = "taken for RGB in [0, 1], as its project has it; the file does not say"
_NOT_3 = "; an old file for 3 times looks like one for 2, which this is taken for"
_DENSE = (  # block, dense block, convolution
    r"model\.1\.sub\.(\d+)\.RDB([1-3])\.conv([1-5])\.0\.weight",
    r"RRDB_trunk\.(\d+)\.RDB([1-3])\.conv([1-5])\.weight",
    r"body\.(\d+)\.rdb([1-3])\.conv([1-5])\.weight",
)


def rrdb(tensors: Tensors) -> Imported | None:
    """Return a network of residual dense blocks, or None if this is none.

    Raises:
        TranslateError: if it is one of a kind that our network cannot be.
    """
    dense = _dense_layers(tensors)
    if not dense:
        return None
    if any(".conv1x1." in key for key in tensors):
        raise TranslateError("its dense blocks have shortcuts (conv1x1, as ESRGAN+); ours do not")
    layers = dense | _frame(tensors)
    weights = _renamed(tensors, layers)
    inner = weights.get("body.0.blocks.0.layers.0.weight")
    first, last = (weights.get(f"{name}.weight") for name in ("first", "last"))
    if inner is None or first is None or last is None:
        return None
    channels, gather = _channels(first.shape[1], last.shape[0])
    doublings = sum(ours.startswith("doublings.") for ours in layers.values())
    scale = 2**doublings // gather
    if scale not in _SCALES:
        raise TranslateError(
            f"it gathers {gather}×{gather} pixels and doubles {doublings} times; "
            f"we enlarge {', '.join(map(str, _SCALES))} times"
        )
    return Imported(
        method="srgan",
        export="generator",
        facts=Facts(channels=channels),
        options={
            "network": "rrdb",
            "scale": scale,
            "width": first.shape[0],
            "blocks": 1 + max(int(ours.split(".")[1]) for ours in dense.values()),
            "growth": inner.shape[0],
            "gather": gather,
        },
        weights=weights,
        notes=_NOTES + (_NOT_3 if "model.3" in layers and doublings == 1 else ""),
    )


def compact(tensors: Tensors) -> Imported | None:
    """Return Real-ESRGAN's compact network, or None if this is none.

    Raises:
        TranslateError: if it is one of a kind that our network cannot be.
    """
    names = [re.fullmatch(r"body\.(\d+)\.(?:weight|bias)", key) for key in tensors]
    numbers = sorted({int(name[1]) for name in names if name})
    if not all(names) or len(numbers) < 3 or numbers[-1] % 2:
        return None
    end = numbers[-1]
    first, last = (tensors.get(f"body.{number}.weight") for number in (0, end))
    if first is None or last is None or first.ndim != 4 or last.ndim != 4:
        return None
    if numbers == list(range(0, end + 1, 2)):
        raise TranslateError("its activations have no weights; ours do (PReLU)")
    channels, scale = first.shape[1], math.isqrt(last.shape[0] // first.shape[1])
    if channels not in (1, 3) or last.shape[0] != channels * scale**2 or scale not in _SCALES:
        raise TranslateError(
            f"it makes {last.shape[0]} channels of {channels} before they become pixels; "
            f"we enlarge 1 and 3 channels {', '.join(map(str, _SCALES))} times"
        )
    blocks = end // 2 - 1
    layers = {"body.0": "first", "body.1": "first_activation", f"body.{end}": "last"}
    layers |= {f"body.{2 * place + 2}": f"body.{place}" for place in range(blocks)}
    layers |= {f"body.{2 * place + 3}": f"activations.{place}" for place in range(blocks)}
    return Imported(
        method="srgan",
        export="generator",
        facts=Facts(channels=channels),
        options={
            "network": "compact",
            "scale": scale,
            "width": first.shape[0],
            "blocks": blocks,
            "skips": False,
            "base": "nearest",
        },
        weights=_renamed(tensors, layers),
        notes=_NOTES,
    )


def _channels(ins: int, outs: int) -> tuple[int, int]:
    """Return the pictures' channels, and the sides of the squares whose pixels are gathered."""
    for gather in _GATHERS:
        if outs in (1, 3) and ins == outs * gather**2:
            return outs, gather
    raise TranslateError(
        f"it makes {outs} channels of {ins}; we do 1 of 1 and 3 of 3, gathered from squares of "
        f"{' or '.join(map(str, _GATHERS))} pixels a side"
    )


def _dense_layers(tensors: Tensors) -> dict[str, str]:
    """Return our names of the convolutions in dense blocks, by theirs; none if there are none."""
    found = [[re.fullmatch(spelling, key) for key in tensors] for spelling in _DENSE]
    return {
        name[0].removesuffix(".weight"): (
            f"body.{name[1]}.blocks.{int(name[2]) - 1}.layers.{int(name[3]) - 1}"
        )
        for name in max(found, key=lambda names: sum(map(bool, names)))
        if name
    }


def _frame(tensors: Tensors) -> dict[str, str]:
    """Return our names of the layers around the blocks, by theirs."""
    if "conv_first.weight" not in tensors:
        return _numbered_frame(tensors)
    names = {"trunk_conv": "trunk", "HRconv": "before_last", "conv_body": "trunk"}
    names |= {"conv_first": "first", "conv_hr": "before_last", "conv_last": "last"}
    ups = dict(_numbered(tensors, r"(?:upconv|conv_up)(\d+)"))
    return names | {layer: f"doublings.{number - 1}" for layer, number in ups.items()}


def _numbered_frame(tensors: Tensors) -> dict[str, str]:
    """Return the same where layers have numbers.

    0 is the first; 1 holds the blocks, and after the last of them the trunk's convolution. Each
    doubling has three layers, the second its convolution; two on and two on again are the last.
    """
    outer = dict(_numbered(tensors, r"model\.(\d+)"))
    doublings = max(len(outer) - 3, 0)
    ups = {3 * place + 3: f"doublings.{place}" for place in range(doublings)}
    names = {0: "first", **ups, 3 * doublings + 2: "before_last", 3 * doublings + 4: "last"}
    if sorted(outer.values()) != list(names):
        raise TranslateError(
            f"its layers have the numbers {sorted(outer.values())}; those of one that doubles by "
            f"nearest neighbours would have {list(names)}"
        )
    trunk = {layer: "trunk" for layer, _ in _numbered(tensors, r"model\.1\.sub\.(\d+)")}
    return trunk | {layer: names[number] for layer, number in outer.items()}


def _numbered(tensors: Tensors, pattern: str) -> Iterator[tuple[str, int]]:
    """Yield the layers whose whole name is like the pattern, with their numbers."""
    for key in tensors:
        if found := re.fullmatch(rf"({pattern})\.weight", key):
            yield found[1], int(found[2])


def _renamed(tensors: Tensors, layers: Mapping[str, str]) -> dict[str, Tensor]:
    def ours(key: str) -> str:
        layer, _, name = key.rpartition(".")
        return f"{layers[layer]}.{name}" if layer in layers else key  # surplus, and refused

    return {ours(key): tensor for key, tensor in tensors.items()}
