"""From bytes to pixels to batches on the device: what a reader of training data is made of."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from translate.images import read_rgb
    from translate.pipeline.augment import flip, jitter_colour
    from translate.pipeline.cache import PixelCache
    from translate.pipeline.cutting import cut, random_box, zoom_box
    from translate.pipeline.files import image_files
    from translate.pipeline.lab import lab_to_rgb, rgb_to_lab
    from translate.pipeline.resizing import bicubic
    from translate.pipeline.seeds import draws, mix, shuffled

# Imported when first asked for: running a model needs the seeds, but not kornia.
_LAZY = {
    "PixelCache": "translate.pipeline.cache",
    "bicubic": "translate.pipeline.resizing",
    "cut": "translate.pipeline.cutting",
    "draws": "translate.pipeline.seeds",
    "flip": "translate.pipeline.augment",
    "image_files": "translate.pipeline.files",
    "jitter_colour": "translate.pipeline.augment",
    "lab_to_rgb": "translate.pipeline.lab",
    "mix": "translate.pipeline.seeds",
    "random_box": "translate.pipeline.cutting",
    "read_rgb": "translate.images",
    "rgb_to_lab": "translate.pipeline.lab",
    "shuffled": "translate.pipeline.seeds",
    "zoom_box": "translate.pipeline.cutting",
}

__all__ = [
    "PixelCache",
    "bicubic",
    "cut",
    "draws",
    "flip",
    "image_files",
    "jitter_colour",
    "lab_to_rgb",
    "mix",
    "random_box",
    "read_rgb",
    "rgb_to_lab",
    "shuffled",
    "zoom_box",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'translate.pipeline' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
