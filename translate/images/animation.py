"""Moving pictures: GIF and animated WebP."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from translate.images.reading import Picture

ANIMATED = ("gif", "webp")


def encode_animation(pictures: Sequence[Picture], format: str, *, rate: float) -> bytes:
    """Return pictures of one size as one that moves, without end.

    Args:
        format: one of ``ANIMATED``; WebP is written without loss, GIF in 256 colours.
        rate: pictures in a second; GIF counts in hundredths of a second.
    """
    frames = []
    for picture in pictures:
        pixels = picture.pixels
        frames.append(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
    buffer = io.BytesIO()
    settings = {"lossless": True} if format == "webp" else {}
    frames[0].save(
        buffer,
        format.upper(),
        save_all=True,
        append_images=frames[1:],
        duration=round(1000 / rate),
        loop=0,
        **settings,
    )
    return buffer.getvalue()
