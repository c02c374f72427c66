"""What the exports make of a few fixed samples, as numbers for the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translate.method import Batch, Export, Method

_PIXELS = 32  # along each side of the pictures compared: layout and colour, not fine noise
_FLAT = 0.01  # little more than one grey level: what counts as no difference at all
_USUAL = 0.5  # between two photographs, where there is no picture to compare with


@torch.inference_mode()
def observe(
    method: Method[Any],
    networks: Mapping[str, nn.Module],
    batch: Batch,
    *,
    aligned: bool = False,
) -> dict[str, Tensor]:
    """Return what the exports make of the same few samples, as scalars on their device.

    ``<export>/spread`` is how different the outputs are from each other, relative to how
    different the training pictures are (those of ``Export.like``, else the batch's first
    pictures). Difference: the root mean square over two pictures shrunk to 32×32, then the mean
    over all pairs. About 1 is healthy; 0 is one picture for all.

    ``<export>/luminance`` is the correlation of the input's and the output's luminance, the mean
    over the samples, where an image is read and one of its proportions given.
    ``<export>/data_luminance`` is the same of the input and the picture of ``Export.like``, where
    both show the same thing: it tells whether light stays light in the data. From masks and label
    maps to photographs it does not, and what an output's correlation is means nothing.

    Args:
        method: is left in evaluation mode.
        networks: by export; learning ones show a fault sooner than their averages.
        batch: a few different samples (4 to 8), always the same ones.
        aligned: the pictures of a sample show the same thing.
    """
    method.eval()
    exports, scalars = method.exports(), {}
    pictures = {name: t for name, t in batch.tensors.items() if t.ndim == 4}
    for name, network in networks.items():
        export = exports[name]
        output = outputs(method, name, network, source_of(method, export, batch))
        like = pictures.get(export.like or "")
        scalars[f"{name}/spread"] = _spread(output, like, pictures)
        image = next((pictures[f] for f in export.reads.values() if f in pictures), None)
        if image is not None and _alike(image, output):
            scalars[f"{name}/luminance"] = _correlation(image, output)
            if aligned and like is not None and _alike(image, like):
                scalars[f"{name}/data_luminance"] = _correlation(image, like)
    return scalars


def source_of(method: Method[Any], export: Export, batch: Batch) -> Batch:
    """Return what the export reads of training samples, as it would at run time."""
    reads = export.reads.items()
    return Batch(
        {ours: batch.tensors[theirs] for ours, theirs in reads if theirs in batch.tensors},
        batch.seeds,
        {ours: batch.texts[theirs] for ours, theirs in reads if theirs in batch.texts},
        method.RunOptions(),
    )


def outputs(method: Method[Any], name: str, network: nn.Module, source: Batch) -> Tensor:
    """Return what an export makes of sources, one by one where they depend on each other."""
    if method.fit(name).independent:
        return method.translate(network, source)
    return torch.cat([method.translate(network, one) for one in _singly(source)])


def _singly(batch: Batch) -> Iterator[Batch]:
    for i in range(len(batch)):
        yield Batch(
            {name: tensor[i : i + 1] for name, tensor in batch.tensors.items()},
            batch.seeds[i : i + 1],
            {name: texts[i : i + 1] for name, texts in batch.texts.items()},
            batch.settings,
        )


def _spread(output: Tensor, like: Tensor | None, pictures: Mapping[str, Tensor]) -> Tensor:
    """Return the outputs' difference as a share of the pictures'; 1 if neither has any."""
    reference = like if like is not None else next(iter(pictures.values()), None)
    usual = output.new_tensor(_USUAL) if reference is None else _difference(reference)
    return (_difference(output) + _FLAT) / (usual + _FLAT)


def _difference(pictures: Tensor) -> Tensor:
    """Return the mean over all pairs of the root mean square difference of two pictures."""
    x = _shrink(pictures).flatten(1)  # (N, C·h·w)
    pairs = (x[:, None] - x).square().mean(dim=2).sqrt()  # (N, N), 0 on the diagonal
    return pairs.sum() / max(1, len(x) * (len(x) - 1))


def _correlation(one: Tensor, other: Tensor) -> Tensor:
    """Return the mean over the samples of the correlation of two pictures' luminance."""
    x, y = (_shrink(t).mean(dim=1).flatten(1) for t in (one, other))  # (N, h·w)
    x, y = x - x.mean(dim=1, keepdim=True), y - y.mean(dim=1, keepdim=True)
    scale = (x.square().mean(dim=1) * y.square().mean(dim=1)).sqrt()
    # A flat picture has no direction: the small number makes that 0.
    return ((x * y).mean(dim=1) / (scale + _FLAT**2)).mean()


def _shrink(pictures: Tensor) -> Tensor:
    side = (min(_PIXELS, pictures.shape[-2]), min(_PIXELS, pictures.shape[-1]))
    return F.adaptive_avg_pool2d(pictures.float().clamp(-1, 1), side)


def _alike(one: Tensor, other: Tensor) -> bool:
    """Say whether pixels of one picture lie over those of the other once both are shrunk."""
    (h, w), (other_h, other_w) = one.shape[-2:], other.shape[-2:]
    return _shrink(one).shape[-2:] == _shrink(other).shape[-2:] and h * other_w == w * other_h
