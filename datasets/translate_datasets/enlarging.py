"""Photographs to enlarge: which belong together, and what a model that enlarges is tried on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from translate import Case, EvaluationSet, ImageError, UsageError
from translate.pipeline import bicubic, image_files, read_rgb
from translate_datasets.pairing import by_stem, held_out_pictures, some

Pixels = NDArray[np.uint8]

_BAND_ROWS = 64  # of low resolution at once: a large photograph's doubles fill the memory
_AROUND = 4  # rows on either side of a band that its pixels depend on


def to_enlarge(folders: Sequence[Path], scale: int) -> EvaluationSet:
    """Return pairs of low and high resolution, to be measured as papers do.

    Args:
        folders: one with pictures of high resolution, or with HR and LR in it, or two: one of
            either resolution. A picture of LR is called as its own of HR, or with ``x4`` after it.

    Raises:
        UsageError: if the folders do not hold that.
    """
    high, *low = _high_and_low(folders)
    files: Sequence[tuple[Path, Path | None]]
    files, unmatched = [(file, None) for file in image_files(high)], list[str]()
    described = f"{len(files)} pictures of {high}, and their low resolution, made by bicubic"
    if low:
        files, unmatched = _matched(high, low[0], scale)
        described = f"{len(files)} pairs of {high} and {low[0]}"
    measured = {"space": "both", "border": scale}
    return EvaluationSet(
        "pairs",
        [
            Case(
                str(file.relative_to(high)),
                partial(_shrunk, file, scale) if small is None else partial(read_rgb, small),
                partial(_whole, file, scale),
            )
            for file, small in files
        ],
        baselines={"bicubic": partial(_enlarged, scale)},
        described=described,
        unmatched=unmatched,
        settings={"psnr": measured, "ssim": measured},
        cropped=True,
    )


def given_pairs(folders: Sequence[Path], scale: int) -> list[tuple[Path, Path]]:
    """Return the pictures of high resolution with those of low, found as for ``to_enlarge``.

    Raises:
        UsageError: if only one resolution is there, or a picture lacks its own of the other.
    """
    high, *low = _high_and_low(folders)
    if not low:
        raise UsageError(
            f"--data {folders[0]}: needs the folders HR and LR inside; or give --data twice, high "
            "resolution first, or leave data.low=given"
        )
    pairs, unmatched = _matched(high, low[0], scale)
    if unmatched:
        raise UsageError(f"{high} and {low[0]}: without a partner: {some(unmatched)}")
    return pairs


def resized(pixels: NDArray[np.generic], *, up: int = 1, down: int = 1) -> Pixels:
    """Return (H, W, C) in [0, 255] resized by ``bicubic``, as 8 bits.

    It is done band by band, in doubles: a photograph's floats would fill the memory.
    """
    height = len(pixels) // down
    bands = []
    for top in range(0, height, _BAND_ROWS):
        bottom = min(top + _BAND_ROWS, height)
        first, last = max(0, top - _AROUND), min(bottom + _AROUND, height)
        part = torch.from_numpy(np.array(pixels[first * down : last * down]))
        out = bicubic(part.permute(2, 0, 1)[None].double(), up=up, down=down)[0]
        out = out[:, (top - first) * up : (bottom - first) * up]
        bands.append(out.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy())
    return np.concatenate(bands)


def _whole(file: Path, scale: int) -> Pixels:
    """Return a picture cut, at the bottom and on the right, to multiples of ``scale``."""
    pixels = read_rgb(file)
    height, width = (side // scale * scale for side in pixels.shape[:2])
    if not (height and width):
        raise ImageError(f"{pixels.shape[1]}×{pixels.shape[0]} cannot be shrunk {scale} times")
    return pixels[:height, :width]


def _shrunk(file: Path, scale: int) -> Pixels:
    return resized(_whole(file, scale), down=scale)


def _enlarged(scale: int, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    return resized(pixels, up=scale).astype(np.float32)


def _high_and_low(folders: Sequence[Path]) -> Sequence[Path]:
    """Return the folder of high resolution, and that of low, where there is one."""
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"--data {folder}: no such folder")
    if len(folders) > 2:
        raise UsageError(
            f"--data: {len(folders)} folders; give one of high resolution, or that of low, too"
        )
    if len(folders) == 2:
        return folders
    inside = folders[0] / "HR", folders[0] / "LR"
    return inside if all(place.is_dir() for place in inside) else held_out_pictures(folders)


def _matched(high: Path, low: Path, scale: int) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Return the pictures of both resolutions that belong together, and those left over."""
    lows, pairs, unmatched = by_stem(low), list[tuple[Path, Path]](), list[str]()
    for stem, file in by_stem(high).items():
        names = [name for name in (stem, f"{stem}x{scale}") if name in lows]
        if names:
            pairs.append((file, lows.pop(names[0])))
        else:
            unmatched.append(str(file))
    if not pairs:
        raise UsageError(f"{high} and {low}: no picture of one has the name of one of the other")
    _check_scale(*pairs[0], scale)
    return pairs, unmatched + [str(file) for file in lows.values()]


def _check_scale(high: Path, low: Path, scale: int) -> None:
    """Refuse the first pair if it shows that the folders are not what they should be."""
    with suppress(ImageError):  # which is reported in its turn
        (rows, columns), (height, width) = (read_rgb(file).shape[:2] for file in (high, low))
        if (rows // scale, columns // scale) != (height, width):
            raise UsageError(
                f"{low}: {width}×{height} pixels, but {high} has {columns}×{rows}, and the model "
                f"enlarges {scale} times; --data is high resolution first, then low"
            )
