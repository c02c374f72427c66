"""Generators of pytorch-CycleGAN-and-pix2pix and of GAN-Compression, by their key layouts.

Both number their layers ``model.N``: 1 stem, 4 and 7 halvings, from 10 the blocks, then two
doublings three apart, and the head four on. Instance norm has no parameters, so its layers show
only where an old version stored running statistics that nothing reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from translate import Facts, Imported, TranslateError

Tensors = Mapping[str, Tensor]
_WORKING_SIZE = 256  # pixels; what both projects train at unless told otherwise
_NOTES = "taken for RGB in [-1, 1] at 256 pixels, with reflected borders; the file does not say"


def resnet(tensors: Tensors) -> Imported | None:
    """Return an ordinary residual generator, or None if this is none.

    Raises:
        TranslateError: if it is one of a kind that our network cannot be.
    """
    return _convert(tensors, separable=False)


def mobile_resnet(tensors: Tensors) -> Imported | None:
    """Return a residual generator with depthwise separable blocks, or None if this is none.

    Raises:
        TranslateError: if it is one of a kind that our network cannot be.
    """
    return _convert(tensors, separable=True)


def _convert(tensors: Tensors, *, separable: bool) -> Imported | None:
    tensors = _without_stale_statistics(tensors)
    numbers = {int(m[1]) for key in tensors if (m := re.match(r"model\.(\d+)\.conv_block\.", key))}
    blocks, up = len(numbers), 10 + len(numbers)
    frame = [f"model.{n}.weight" for n in (1, 4, 7, up, up + 3, up + 7)]
    if blocks < 3 or numbers != set(range(10, up)) or not tensors.keys() >= set(frame):
        return None
    # Dropout and padding have no keys but shift what follows them.
    convolution = r"model\.10\.conv_block\.(\d+)\." + (r"conv\.0\." if separable else "") + "weight"
    places = sorted(
        int(m[1])
        for key, tensor in tensors.items()
        if (m := re.fullmatch(convolution, key)) and tensor.ndim == 4
    )
    if len(places) != 2 or tensors[frame[0]].shape[2:] != (7, 7):
        return None
    ours = _layers(blocks, *places, separable=separable)
    return Imported(
        method="cyclegan",
        export="a2b",
        facts=Facts(channels=_channels(tensors[frame[0]], tensors[frame[-1]])),
        options=_options(tensors, blocks, places[0], separable=separable),
        weights={_renamed(key, ours): tensor for key, tensor in tensors.items()},
        working_size=_WORKING_SIZE,
        notes=_NOTES,
    )


def _without_stale_statistics(tensors: Tensors) -> Tensors:
    """Drop running statistics that have no weight beside them: they are instance norm's."""
    statistics = ("running_mean", "running_var", "num_batches_tracked")

    def stale(key: str) -> bool:
        module, _, name = key.rpartition(".")
        return name in statistics and f"{module}.weight" not in tensors

    return {key: tensor for key, tensor in tensors.items() if not stale(key)}


def _channels(stem: Tensor, head: Tensor) -> int:
    ins, outs = stem.shape[1], head.shape[0]
    if ins != outs or ins not in (1, 3):
        raise TranslateError(f"it makes {outs} channels of {ins}; we do 3 of 3 and 1 of 1")
    return ins


def _options(tensors: Tensors, blocks: int, place: int, *, separable: bool) -> dict[str, Any]:
    """Read the network's options off the keys and shapes."""
    if place != 1:
        raise TranslateError(f"its blocks are not padded by reflection (conv_block.{place})")
    biased, scaled = "model.1.bias" in tensors, "model.2.weight" in tensors
    if biased == scaled:
        what = "instance norm with weights of its own" if scaled else "no normalisation"
        raise TranslateError(f"it has {what}; we do plain instance norm and batch norm")
    part = "1.conv.2.weight" if separable else "1.weight"
    return {
        "blocks": blocks,
        "separable": separable,
        "widths": tuple(tensors[f"model.{n}.weight"].shape[0] for n in (1, 4, 7)),
        "inners": tuple(
            tensors[f"model.{n}.conv_block.{part}"].shape[0] for n in range(10, 10 + blocks)
        ),
        "norm": "batch" if scaled else "instance",
    }


def _layers(blocks: int, first: int, second: int, *, separable: bool) -> dict[str, str]:
    """Return the names of our layers by theirs."""
    up = 10 + blocks
    ours = {1: "stem.1", 2: "stem.2", 4: "down1.0", 5: "down1.1", 7: "down2.0", 8: "down2.1"}
    ours |= {up: "up1.0", up + 1: "up1.1", up + 3: "up2.0", up + 4: "up2.1", up + 7: "head.1"}
    layers = {f"model.{number}": f"stages.{name}" for number, name in ours.items()}
    starts = (0, -(-blocks // 3), -(-2 * blocks // 3))  # of our three stages of blocks
    for block in range(blocks):
        third = sum(block >= start for start in starts)
        theirs = f"model.{10 + block}.conv_block"
        mine = f"stages.body{third}.{block - starts[third - 1]}"
        for place, name in ((first, "first"), (second, "second")):
            # Ours begin with the padding: then one convolution, or depthwise, norm, pointwise.
            if separable:
                layers |= {f"{theirs}.{place}.conv.{n}": f"{mine}.{name}.{n + 1}" for n in range(3)}
            else:
                layers[f"{theirs}.{place}"] = f"{mine}.{name}.1"
            layers[f"{theirs}.{place + 1}"] = f"{mine}.{name}_norm"
    return layers


def _renamed(key: str, layers: Mapping[str, str]) -> str:
    layer, _, name = key.rpartition(".")
    return f"{layers[layer]}.{name}" if layer in layers else key  # that is surplus, and refused
