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
from translate import Imported

Tensors = Mapping[str, Tensor]
_WORKING_SIZE = 256  # pixels; what both projects train at unless told otherwise


def resnet(tensors: Tensors) -> Imported | None:
    """Return an ordinary residual generator, or None if this is none."""
    return _convert(tensors, separable=False)


def mobile_resnet(tensors: Tensors) -> Imported | None:
    """Return a residual generator with depthwise separable blocks, or None if this is none."""
    return _convert(tensors, separable=True)


def _convert(tensors: Tensors, *, separable: bool) -> Imported | None:
    tensors = _without_stale_statistics(tensors)
    blocks = len({m[1] for key in tensors if (m := re.match(r"model\.(\d+)\.conv_block\.", key))})
    stem = tensors.get("model.1.weight")
    if blocks < 3 or stem is None or stem.shape[2:] != (7, 7):
        return None
    first_up = 10 + blocks
    wanted = {f"model.{n}.weight" for n in (4, 7, first_up, first_up + 3, first_up + 7)}
    mobile = "model.10.conv_block.1.conv.0.weight" in tensors
    if not wanted <= tensors.keys() or mobile != separable:
        return None
    names = _names(tensors, blocks, separable=separable)
    weights = {names(key): tensor for key, tensor in tensors.items()}
    return Imported(
        method="cyclegan", export="a2b", weights=weights, working_size=_WORKING_SIZE,
        options=_options(tensors, blocks, separable=separable),
    )


def _without_stale_statistics(tensors: Tensors) -> Tensors:
    """Drop running statistics that have no weight beside them: they are instance norm's."""
    statistics = ("running_mean", "running_var", "num_batches_tracked")

    def stale(key: str) -> bool:
        module, _, name = key.rpartition(".")
        return name in statistics and f"{module}.weight" not in tensors

    return {key: tensor for key, tensor in tensors.items() if not stale(key)}


def _options(tensors: Tensors, blocks: int, *, separable: bool) -> dict[str, Any]:
    """Read the network's options off the shapes."""
    part = ".conv.2.weight" if separable else ".weight"
    widths = tuple(tensors[f"model.{n}.weight"].shape[0] for n in (1, 4, 7))
    inners = tuple(
        tensors[f"model.{n}.conv_block.1{part}"].shape[0] for n in range(10, 10 + blocks)
    )
    options: dict[str, Any] = {"blocks": blocks, "separable": separable, "widths": widths}
    if set(inners) != {widths[2]}:
        options["inners"] = inners
    if "model.1.bias" not in tensors:
        options["norm"] = "batch"
    return options


def _names(tensors: Tensors, blocks: int, *, separable: bool) -> Any:
    """Return the function from their keys to ours."""
    thirds = (0, -(-blocks // 3), -(-2 * blocks // 3))
    layers = {1: "stem.1", 2: "stem.2", 4: "down1.0", 5: "down1.1", 7: "down2.0", 8: "down2.1"}
    up = 10 + blocks
    layers |= {
        up: "up1.0", up + 1: "up1.1", up + 3: "up2.0", up + 4: "up2.1", up + 7: "head.1",
    }
    # Dropout and padding have no keys but shift what follows: the second convolution of a block
    # is its last one with a 4-D weight.
    ends = [
        int(m[1])
        for key, t in tensors.items()
        if (m := re.match(r"model\.10\.conv_block\.(\d+)\.", key)) and t.ndim == 4
    ]
    inside = {min(ends): "first", max(ends): "second"}
    inside |= {min(ends) + 1: "first_norm", max(ends) + 1: "second_norm"}

    def name(key: str) -> str:
        number, rest = re.fullmatch(r"model\.(\d+)\.(.+)", key).groups()  # type: ignore[union-attr]
        if int(number) in layers:
            return f"stages.{layers[int(number)]}.{rest}"
        block = int(number) - 10
        third = sum(block >= start for start in thirds)
        place, rest = re.fullmatch(r"conv_block\.(\d+)\.(.+)", rest).groups()  # type: ignore[union-attr]
        layer = inside[int(place)]
        if layer in ("first", "second"):
            # Ours begins with the padding: ordinary 1; separable 1 depthwise, 2 norm, 3 pointwise.
            rest = re.sub(r"^conv\.(\d)", lambda m: str(int(m[1]) + 1), rest) if separable else f"1.{rest}"
        return f"stages.body{third}.{block - thirds[third - 1]}.{layer}.{rest}"

    return name
