"""Small models that start from noise and from classes, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from translate.bundle import save_bundle
from translate.host import the_host
from translate.model import Header
from translate.options import Facts, build

SMALL: dict[str, Any] = {"size": 16, "code": 8, "width": 4, "critic_width": 4}
CLASSES = ("ant", "bee", "cat fish")

torch.set_num_threads(1)


def save_latent(path: Path, method: str = "cgan", **options: Any) -> Path:
    """Write a model with random weights, which varies with its code and its class."""
    kind = the_host().load_method(method)
    facts = Facts(channels=1, classes=CLASSES if method == "cgan" else ())
    torch.manual_seed(0)
    made = kind(build(kind.Options, SMALL | options, what=method), facts)
    [(name, export)] = made.exports().items()
    with torch.no_grad():
        for parameter in export.network.parameters():  # from grey to pictures of some contrast
            parameter.mul_(8 if parameter.ndim > 1 else 1)
    header = Header(
        method=method,
        options=made.options.model_dump(mode="json"),
        facts=facts,
        export=name,
        reads=tuple(export.reads),
        mode=export.mode,
        working_size=16,
    )
    save_bundle(path, header, export.network.state_dict())
    return path
