"""Reading a picture of a scene: a small classifier tells its digits, the rest is measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from translate import TranslateError
from translate_datasets.scene import Scene
from translate_measures.classifier import train
from translate_measures.seeing import Pixels, Sight, look


class SceneReader:
    """Tells which scene a picture shows.

    Args:
        classifier: maps crops (N, 1, H, W) in [-1, 1] to scores (N, 10).
    """

    def __init__(self, classifier: nn.Module) -> None:
        self.classifier = classifier

    def __call__(self, pixels: Pixels) -> Scene | None:
        """Return the scene in a picture (H, W, 3) in [0, 255], or None where there is no digit.

        There may be more digits than any caption asks for.
        """
        sight = look(pixels)
        [digit] = self.digits([sight])
        if digit is None or sight.colour is None or sight.size is None:
            return None
        return Scene(sight.count, sight.size, sight.colour, digit, sight.ground)

    @torch.inference_mode()
    def digits(self, sights: Sequence[Sight]) -> list[int | None]:
        """Return the digit of each sight: what is likeliest for all of its crops together."""
        found = [sight for sight in sights if sight.count]
        if not found:
            return [None] * len(sights)
        device = next(self.classifier.parameters()).device
        crops = _images(np.concatenate([sight.crops for sight in found]))
        scores = [self.classifier(some.to(device)).cpu() for some in torch.split(crops, 1000)]
        parts = np.cumsum([sight.count for sight in found])[:-1].tolist()
        of_each = torch.cat(scores).log_softmax(1).tensor_split(parts)
        likeliest = iter([int(some.sum(0).argmax()) for some in of_each])
        return [next(likeliest) if sight.count else None for sight in sights]


def train_reader(
    sights: Sequence[Sight],
    scenes: Sequence[Scene],
    *,
    passes: int,
    width: int,
    seed: int,
    device: torch.device,
) -> SceneReader:
    """Return a reader that has learned the digits of real pictures.

    Args:
        sights, scenes: what is seen in each picture, and what it shows.
        passes: how often it sees each digit.
        width: the classifier's first channels.

    Raises:
        TranslateError: if there are too few.
    """
    known = [
        (crop, scene.digit)
        for sight, scene in zip(sights, scenes, strict=True)
        if sight.count == scene.count
        for crop in sight.crops
    ]
    if len(known) < 2:
        raise TranslateError("there are no real scenes to learn digits from")
    crops = _images(np.stack([crop for crop, _ in known]))
    labels = torch.tensor([digit for _, digit in known])
    classifier = train(crops, labels, passes=passes, width=width, seed=seed, device=device)
    return SceneReader(classifier)


def _images(crops: NDArray[np.uint8]) -> Tensor:
    """Return crops (N, H, W) in bytes as images (N, 1, H, W) in [-1, 1]."""
    return torch.from_numpy(crops)[:, None].float().div_(127.5).sub_(1)
