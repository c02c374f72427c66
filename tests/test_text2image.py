"""Text to image keeps the contract, and pictures become what their captions say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from translate.options import Facts, build
from translate.testing import check_method
from translate_text2image.method import TextToImage, TextToImageOptions

SMALL: dict[str, Any] = {
    "size": 32,
    "code": 4,
    "width": 4,
    "text_width": 32,
    "text_layers": 1,
    "text_bytes": 16,
    "encoder_images": 8,
    "encoder_width": 4,
}
WORDS = ("dark", "a light one", "grey, a bit", "猫")

torch.set_num_threads(1)


def sample(number: int, seed: int) -> dict[str, NDArray[np.uint8] | str]:
    """Return pictures of one grey with its name, and some noise."""
    place = number % len(WORDS)
    noise = np.random.default_rng((seed, number)).integers(0, 20, (32, 32, 3))
    return {"image": (place * 60 + noise).astype(np.uint8), "text": WORDS[place]}


def method(**options: Any) -> TextToImage:
    torch.manual_seed(0)
    return TextToImage(build(TextToImageOptions, SMALL | options, what="text2image"), Facts())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"form": "concat", "interpolate": 1, "augmentation": 1, "adversarial": "lsgan"},
    ],
)
def test_it_keeps_the_contract(options: dict[str, Any]) -> None:
    check_method("text2image", options=SMALL | options, sample=sample, facts=Facts())
