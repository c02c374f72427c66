"""CUT and FastCUT: unpaired translation in one direction, by contrast."""

from __future__ import annotations

from translate.hookspecs import RegisterImporter, RegisterMethod, hookimpl

contract = 1  # of translate's, that this was written for


@hookimpl
def register_methods(register: RegisterMethod) -> None:
    register(
        name="cut",
        summary="unpaired translation one way, each patch held to its own place",
        source="image",
        data="unpaired",
        factory="translate_cut.method:CUT",
    )
    register(
        name="fastcut",
        summary="cut at about half the work: it keeps shapes better, and changes less",
        source="image",
        data="unpaired",
        factory="translate_cut.method:FastCUT",
    )


@hookimpl
def register_importers(register: RegisterImporter) -> None:
    register(
        name="contrastive-unpaired-translation-resnet",
        looks_for="model.1.weight (w, c, 7, 7), model.*.conv_block.1.weight and model.*.filt",
        factory="translate_cut.importers:resnet",
    )
