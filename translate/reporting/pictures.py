"""Sample grids made small enough to travel inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from translate.reporting.markup import Html, tag

T = TypeVar("T")

_QUALITY = 80  # of WebP, at which a grid is half as large as a JPEG that looks the same


def evenly(things: Mapping[int, T], most: int) -> dict[int, T]:
    """Return at most ``most`` of the things, evenly chosen, the first and the last among them.

    >>> evenly({n: str(n) for n in range(0, 100, 10)}, 4)
    {0: '0', 30: '30', 60: '60', 90: '90'}
    """
    keys = list(things)
    if len(keys) > most:
        last = len(keys) - 1
        keys = [keys[round(number * last / (most - 1))] for number in range(most)]
    return {key: things[key] for key in keys}


def embed(path: Path, *, pixels: int, description: str) -> Html | None:
    """Return the picture as an image element that holds its own data, or None if it is damaged.

    Args:
        pixels: its area at most; a larger one is shrunk.
        description: for those who cannot see it.
    """
    from PIL import Image

    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # PIL's PNG reader calls some damage a syntax error
    shrink = min(1.0, (pixels / (picture.width * picture.height)) ** 0.5)
    size = max(1, round(picture.width * shrink)), max(1, round(picture.height * shrink))
    data = io.BytesIO()
    picture.resize(size, Image.Resampling.LANCZOS).save(data, format="WEBP", quality=_QUALITY)
    uri = f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"
    return tag("img", src=uri, alt=description, width=size[0], height=size[1])
