"""Pix2Pix: paired image-to-image translation, and colorize, which gives photographs colours."""

from __future__ import annotations

from translate.hookspecs import RegisterImporter, RegisterMethod, RegisterModel, hookimpl


@hookimpl
def register_methods(register: RegisterMethod) -> None:
    register(
        name="pix2pix",
        summary="translation learnt from pairs: masks to photographs, drawings, maps",
        source="image",
        data="paired",
        factory="translate_pix2pix.method:Pix2Pix",
    )
    register(
        name="colorize",
        summary="colours for grey photographs, whose own lightness stays",
        source="image",
        data="unpaired",
        factory="translate_pix2pix.colorize:Colorize",
    )


@hookimpl
def register_models(register: RegisterModel) -> None:
    register(
        name="colorize",
        method="colorize",
        summary="gives grey photographs of landscapes colours",
        file="models/colorize.safetensors",
    )


@hookimpl
def register_importers(register: RegisterImporter) -> None:
    register(
        name="pytorch-CycleGAN-and-pix2pix-unet",
        looks_for="model.model.0.weight (w, c, 4, 4), model.model.1.model.1.weight (2w, w, 4, 4)",
        factory="translate_pix2pix.importers:unet",
    )
