"""A method that draws the scene it is asked for, but for what it is told to get wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from translate import Batch, Export, Facts, Method, Phase, Settings
from translate.bundle import save_bundle
from translate.model import Card, Header
from translate_datasets.drawing import draw
from translate_datasets.scene import COLOURS, kept_out, parse
from translate_datasets.scenes import Digits

PLUGIN = """
@hookimpl
def register_methods(register):
    register(
        name="painter", summary="draws scenes", source="text", data="scenes",
        factory="painter:Painter",
    )
"""


class PainterOptions(Settings):
    """Whose digits it draws."""

    digits: str = ""


class Painter(Method[PainterOptions]):
    """Gives digits in another colour where theirs was kept out of training; else all is right."""

    Options = PainterOptions

    def __init__(self, options: PainterOptions, facts: Facts) -> None:
        super().__init__(options, facts)
        self.network = nn.Linear(1, 1)

    @classmethod
    def data(cls, options: PainterOptions) -> Mapping[str, object]:
        return {"size": 32}

    def phases(self) -> Sequence[Phase]:
        return []

    def exports(self) -> Mapping[str, Export]:
        return {"it": Export(self.network, {"text": "text"})}

    def translate(self, network: nn.Module, source: Batch) -> Tensor:
        digits = Digits([Path(self.options.digits)])
        pictures = []
        for text, seed in zip(source.texts["text"], source.seeds, strict=True):
            scene = parse(text)
            if (scene.colour, scene.digit) in kept_out(0.1):
                scene = replace(scene, colour=_another(scene.colour, scene.ground))
            pictures.append(draw(scene, partial(digits.pick, scene.digit), 32, int(seed)))
        pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
        return pixels.float() / 127.5 - 1


def _another(colour: str, ground: str) -> str:
    return next(name for name in COLOURS if name not in (colour, ground))


def save_painter(path: Path, digits: Path, dataset: str = "scenes") -> Path:
    """Write a painter of the digits in a folder, and of what it learned."""
    options = PainterOptions(digits=str(digits))
    header = Header(
        method="painter",
        export="it",
        options=options.model_dump(mode="json"),
        reads=("text",),
        card=Card(training={"dataset": dataset}),
    )
    save_bundle(path, header, nn.Linear(1, 1).state_dict())
    return path
