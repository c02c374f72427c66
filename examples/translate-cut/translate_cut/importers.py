"""The residual generators of contrastive-unpaired-translation, by their key layout.

It numbers its layers ``model.N``. Blurs are layers of their own, with their filter ``filt`` as a
buffer: (C, 1, 3, 3) where they halve, (C, 1, 4, 4) where they double. Beside the blurs it has the
layers of our network in the same order, so the tensors are paired in order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from translate import Facts, Imported, TranslateError
from translate_cut.method import CUT, CUTOptions

_IN_A_LAYER = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_FILTERS = {3: torch.tensor([1.0, 2, 1]) / 4, 4: torch.tensor([1.0, 3, 3, 1]) / 4}


def resnet(tensors: Mapping[str, Tensor]) -> Imported | None:
    """Return a residual generator, or None if this is none.

    One without any blur cannot be told from CycleGAN's, and is the same network.

    Raises:
        TranslateError: if it is one of a kind that our network cannot be.
    """
    block = r"model\.\d+\.conv_block\.1\.weight"  # padded by reflection: index 0 has no key
    blocks = sum(re.fullmatch(block, key) is not None for key in tensors)
    stem = tensors.get("model.1.weight")
    if stem is None or stem.shape[2:] != (7, 7) or blocks < 3:
        return None
    blurs = {_check(key, tensor) for key, tensor in tensors.items() if key.endswith(".filt")}
    theirs = sorted((key for key in tensors if not key.endswith(".filt")), key=_place)
    head = next(tensors[key] for key in reversed(theirs) if key.endswith(".weight"))
    if head.shape[0] != stem.shape[1]:
        raise TranslateError(f"it makes {head.shape[0]} channels of {stem.shape[1]}")

    options = {
        "width": stem.shape[0],
        "blocks": blocks,
        "norm": "batch" if "model.2.weight" in tensors else "instance",
        "downsample": "blur" if 3 in blurs else "strided",
        "upsample": "blur" if 4 in blurs else "transposed",
    }
    facts = Facts(channels=stem.shape[1])
    with torch.device("meta"):
        ours = CUT(CUTOptions.model_validate(options), facts).generator.state_dict()
    if len(ours) != len(theirs):
        raise TranslateError(f"it has {len(theirs)} tensors where such a network has {len(ours)}")
    return Imported(
        method="cut",
        options=options,
        export="a2b",
        weights={name: tensors[key] for name, key in zip(ours, theirs, strict=True)},
        facts=facts,
        working_size=256,
        notes="taken for RGB in [-1, 1] at 256 pixels; the file does not say",
    )


def _check(key: str, found: Tensor) -> int:
    """Return the side of a blur's filter, if it is one of the two that our network computes."""
    side = found.shape[-1]
    filt = _FILTERS.get(side)
    if filt is None or not torch.allclose(found.float().cpu(), torch.outer(filt, filt), atol=1e-3):
        raise TranslateError(f"{key} {tuple(found.shape)} is no blur that we know")
    return side


def _place(key: str) -> tuple[list[int], int]:
    """Return what sorts keys by the order of their layers, and of the tensors in a layer."""
    name = key.rpartition(".")[2]
    if name not in _IN_A_LAYER:
        raise TranslateError(f"{key} is in no such network")
    return [int(number) for number in re.findall(r"\d+", key)], _IN_A_LAYER.index(name)
