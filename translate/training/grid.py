"""Sample grids: what the exported networks make of the same few samples, as a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from translate.atomic import replacing


def save_grid(path: Path, rows: Sequence[Sequence[Tensor]]) -> None:
    """Write rows of pictures (C, H, W) in [-1, 1], two pixels apart, on white."""
    cells = [[_to_image(tensor) for tensor in row] for row in rows]
    height = max(cell.height for row in cells for cell in row) + 2
    width = max(cell.width for row in cells for cell in row) + 2
    columns = max(len(row) for row in cells)
    sheet = Image.new("RGB", (columns * width - 2, len(cells) * height - 2), "white")
    for y, row in enumerate(cells):
        for x, cell in enumerate(row):
            sheet.paste(cell, (x * width, y * height))
    with replacing(path) as file:
        sheet.save(file, format="PNG")


def _to_image(tensor: Tensor) -> Image.Image:
    pixels = ((tensor.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    pixels = pixels.expand(3, -1, -1) if pixels.shape[0] == 1 else pixels
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())
