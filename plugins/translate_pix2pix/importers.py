"""U-Nets of pytorch-CycleGAN-and-pix2pix, by their key layout.

A block holds the next deeper one: the keys of depth d begin with ``model.model.1.model`` and, from
depth 2 on, ``.3.model`` d - 1 times. Inside a block stand the halving at 1, its norm at 2, the
deeper block at 3, the doubling at 5 and its norm at 6; the innermost has its doubling at 3
and that norm at 4; the outermost has its halving at 0 and its doubling at 3.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from translate import Facts, Imported, TranslateError

Tensors = Mapping[str, Tensor]
_DEEPEST = 10
_NOTES = (
    "dropout leaves no trace in the file: taken to have had it, and run as published, with "
    "dropout and the picture's own statistics on (translate MODEL INPUT --set deterministic=true "
    "leaves both out); taken for [-1, 1]"
)


def unet(tensors: Tensors) -> Imported | None:
    """Return a U-Net generator, or None if this is none.

    Raises:
        TranslateError: if it is one of a kind that our network cannot be.
    """
    tensors = _without_stale_statistics(tensors)
    halvings = _halvings(tensors)
    if halvings is None:
        return None
    convolutions, norms = _layers(halvings)
    if not tensors.keys() >= {f"{theirs}.weight" for theirs in convolutions}:
        return None
    downs = [tensors[f"{theirs}.weight"] for theirs in list(convolutions)[:halvings]]
    if any(down.ndim != 4 or down.shape[2:] != (4, 4) for down in downs):
        return None
    ours = convolutions | norms
    head = tensors[f"{list(convolutions)[-1]}.weight"]
    ins, outs = downs[0].shape[1], head.shape[1]
    return Imported(
        method="pix2pix",
        export="generator",
        facts=_facts(ins, outs),
        options=_options(tensors, [down.shape[0] for down in downs], next(iter(norms))),
        weights={_renamed(key, ours): tensor for key, tensor in tensors.items()},
        working_size=2**halvings,
        notes=_NOTES,
    )


def _facts(ins: int, outs: int) -> Facts:
    if ins not in (1, 3) or outs not in (1, 3):
        raise TranslateError(f"it makes {outs} channels of {ins}; we do 1 and 3 on either side")
    return Facts(channels=ins, channels_out=None if ins == outs else outs)


def _block(depth: int) -> str:
    """Return what the keys of the block at a depth begin with."""
    return "model.model" + (".1.model" + ".3.model" * (depth - 1) if depth else "")


def _halvings(tensors: Tensors) -> int | None:
    """Return how many halvings there are, from 2 on; None if it is no U-Net."""
    if "model.model.0.weight" not in tensors:
        return None
    depths = [depth for depth in range(1, _DEEPEST) if f"{_block(depth)}.1.weight" in tensors]
    if not depths or depths != list(range(1, len(depths) + 1)):
        return None
    return 1 + len(depths)


def _layers(halvings: int) -> tuple[dict[str, str], dict[str, str]]:
    """Return our names of convolutions (halvings first, the head last) and of norms, by theirs."""
    deepest = halvings - 1
    downs, ups, norms = {"model.model.0": "downs.0.conv"}, {}, {}
    for depth in range(1, halvings):
        theirs, mine, inner = _block(depth), halvings - 1 - depth, depth == deepest
        downs[f"{theirs}.1"] = f"downs.{depth}.conv"
        ups[f"{theirs}.{3 if inner else 5}"] = f"ups.{mine}.conv"
        if not inner:
            norms[f"{theirs}.2"] = f"downs.{depth}.norm"
        norms[f"{theirs}.{4 if inner else 6}"] = f"ups.{mine}.norm"
    return downs | ups | {"model.model.3": f"ups.{deepest}.conv"}, norms


def _options(tensors: Tensors, widths: list[int], norm: str) -> dict[str, object]:
    """Read the network's options off the keys and shapes."""
    biased, scaled = "model.model.0.bias" in tensors, f"{norm}.weight" in tensors
    if biased == scaled:
        what = "instance norm with weights of its own" if scaled else "no normalisation"
        raise TranslateError(f"it has {what}; we do plain instance norm and batch norm")
    width, widest = widths[0], max(widths) // widths[0]
    if widths != [width * min(2**level, widest) for level in range(len(widths))]:
        raise TranslateError(f"its widths are {widths}; ours double up to a bound")
    return {
        "width": width,
        "widest": widest,
        "halvings": len(widths),
        "norm": "batch" if scaled else "instance",
        # Theirs has dropout in the middle blocks of full width, not in the innermost.
        "dropout_at": tuple(range(1, len(widths) - 4)),
    }


def _without_stale_statistics(tensors: Tensors) -> Tensors:
    """Drop running statistics that have no weight beside them: they are instance norm's."""
    statistics = ("running_mean", "running_var", "num_batches_tracked")

    def stale(key: str) -> bool:
        module, _, name = key.rpartition(".")
        return name in statistics and f"{module}.weight" not in tensors

    return {key: tensor for key, tensor in tensors.items() if not stale(key)}


def _renamed(key: str, layers: Mapping[str, str]) -> str:
    layer, _, name = key.rpartition(".")
    return f"{layers[layer]}.{name}" if layer in layers else key  # that is surplus, and refused
