"""Translate images into other images with generative adversarial networks, brought by plugins."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

# albumentations asks the package index for news when it is imported, unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

from translate.errors import ImageError, TranslateError, UsageError
from translate.hookspecs import CONTRACT, hookimpl
from translate.options import Facts, Settings

if TYPE_CHECKING:
    from translate.adversarial import (
        Adversarial,
        AdversarialOptions,
        Discriminator,
        PatchGANOptions,
    )
    from translate.bundle import Model, load_model
    from translate.dataset import Dataset, Sample
    from translate.evaluation.data import Case, EvaluationSet
    from translate.evaluation.measure import Comparison, Measure, Result
    from translate.inference.generator import Generator
    from translate.inference.translator import Translator, load
    from translate.method import Batch, Export, Fit, Fixed, Latent, Method, Optimizer, Phase, Step
    from translate.model import Card, Imported

# What needs torch is imported when it is first asked for: the hooks module of a plugin says
# "from translate import hookimpl", and that must stay light.
_LAZY = {
    "Adversarial": "translate.adversarial",
    "AdversarialOptions": "translate.adversarial",
    "Batch": "translate.method",
    "Card": "translate.model",
    "Case": "translate.evaluation.data",
    "Comparison": "translate.evaluation.measure",
    "Dataset": "translate.dataset",
    "Discriminator": "translate.adversarial",
    "EvaluationSet": "translate.evaluation.data",
    "Export": "translate.method",
    "Fit": "translate.method",
    "Fixed": "translate.method",
    "Generator": "translate.inference.generator",
    "Imported": "translate.model",
    "Latent": "translate.method",
    "Measure": "translate.evaluation.measure",
    "Method": "translate.method",
    "Model": "translate.bundle",
    "Optimizer": "translate.method",
    "PatchGANOptions": "translate.adversarial",
    "Phase": "translate.method",
    "Result": "translate.evaluation.measure",
    "Sample": "translate.dataset",
    "Step": "translate.method",
    "Translator": "translate.inference.translator",
    "load": "translate.inference.translator",
    "load_model": "translate.bundle",
}

__version__ = "0.1.0"
__all__ = [
    "CONTRACT",
    "Adversarial",
    "AdversarialOptions",
    "Batch",
    "Card",
    "Case",
    "Comparison",
    "Dataset",
    "Discriminator",
    "EvaluationSet",
    "Export",
    "Facts",
    "Fit",
    "Fixed",
    "Generator",
    "ImageError",
    "Imported",
    "Latent",
    "Measure",
    "Method",
    "Model",
    "Optimizer",
    "PatchGANOptions",
    "Phase",
    "Result",
    "Sample",
    "Settings",
    "Step",
    "TranslateError",
    "Translator",
    "UsageError",
    "hookimpl",
    "load",
    "load_model",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'translate' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
