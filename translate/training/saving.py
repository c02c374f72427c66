"""What a run leaves behind: its checkpoint, its models, its snapshots, and what it was."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import translate
from translate import bundle
from translate.atomic import replacing
from translate.dataset import Dataset
from translate.errors import TranslateError
from translate.files import show, system_reason
from translate.host import the_host
from translate.method import Export
from translate.model import SUFFIX, Card, Header
from translate.training import checkpoint
from translate.training.loop import Trainer
from translate.training.plan import recipe_of
from translate.training.toml import as_toml

LAST = "last.pt"


class Saver:
    """Writes into a run's folder.

    Args:
        plan: the run's, resolved.
    """

    def __init__(
        self, folder: Path, plan: Mapping[str, Any], trainer: Trainer, dataset: Dataset[Any]
    ) -> None:
        self.folder, self.plan = folder, plan
        self.trainer, self.dataset = trainer, dataset

    def describe(self) -> None:
        """Write the recipe that would train this again, and what it runs on.

        Raises:
            TranslateError: if a file cannot be written.
        """
        with replacing(self.folder / "recipe.toml") as file:
            file.write(as_toml(recipe_of(self.plan)).encode())
        with replacing(self.folder / "environment.json") as file:
            file.write(json.dumps(environment(self.trainer), indent=2).encode())

    def save(self) -> list[Path]:
        """Write the checkpoint and a bundle of every export; return the bundles.

        Raises:
            Diverged: if a weight is no finite number; nothing is written then.
            TranslateError: if a file cannot be written; what was there is untouched.
        """
        self.trainer.check()
        path = self.folder / LAST
        checkpoint.save(path, self.trainer.state_dict())
        images = self.trainer.images
        the_host().notify("checkpoint_saved", run=self.folder, path=path, images=images)
        made = []
        for name, export in self.trainer.method.exports().items():
            weights = self.trainer.network(name, export).state_dict()
            if self.trainer.settings.store == "fp16":
                weights = bundle.half(weights)
            made.append(self.folder / f"{name}{SUFFIX}")
            bundle.save_bundle(made[-1], self._header(name, export), weights)
        return made

    def snapshot(self, made: list[Path]) -> Path:
        """Keep what was just saved under the number of images seen.

        Raises:
            TranslateError: if it cannot be written.
        """
        place = self.folder / "snapshots" / f"{self.trainer.images:08}"
        part = place.with_name(f".{place.name}.part")
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            for path in (self.folder / LAST, *made):
                shutil.copyfile(path, part / path.name)
            shutil.rmtree(place, ignore_errors=True)  # of a run that was killed and is here again
            part.rename(place)
        except OSError as error:
            shutil.rmtree(part, ignore_errors=True)
            raise TranslateError(f"{place}: cannot be written ({system_reason(error)})") from None
        return place

    def _header(self, name: str, export: Export) -> Header:
        """Return what an export's bundle says of itself."""
        plan, card = self.plan, Card.model_validate(self.plan["card"])
        training = {
            "images": self.trainer.images,
            "device": self.trainer.device.type,
            "version": translate.__version__,
            "dataset": plan["dataset"],
            "data": plan["data"],
            "settings": plan["training"],
        }
        folders = ", ".join(show(Path(folder).name) for folder in plan["folders"])
        summary = card.summary or f"trained by {plan['method']} on {folders}"
        return Header(
            method=plan["method"],
            options=plan["options"],
            export=name,
            facts=self.dataset.facts,
            reads=tuple(export.reads),
            mode=export.mode,
            working_size=self.dataset.working_size,
            card=card.model_copy(update={"summary": summary, "training": training}),
        )


def environment(trainer: Trainer) -> dict[str, Any]:
    """Return what a run is trained on and with."""
    device = trainer.device
    cuda = device.type == "cuda"
    return {
        "command": sys.argv,
        "translate": translate.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if cuda else device.type,
        "precision": str(trainer.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
    }
