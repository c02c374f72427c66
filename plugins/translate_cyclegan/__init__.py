"""CycleGAN: unpaired image-to-image translation."""

from __future__ import annotations

from translate.hookspecs import RegisterImporter, RegisterMethod, hookimpl


@hookimpl
def register_methods(register: RegisterMethod) -> None:
    register(
        name="cyclegan",
        summary="unpaired translation between two kinds of pictures, both ways",
        source="image",
        data="unpaired",
        factory="translate_cyclegan.method:CycleGAN",
    )


@hookimpl
def register_importers(register: RegisterImporter) -> None:
    register(
        name="pytorch-CycleGAN-and-pix2pix-resnet",
        looks_for="model.1.weight (w, c, 7, 7) and model.10.conv_block.*.weight (4w, 4w, 3, 3)",
        factory="translate_cyclegan.importers:resnet",
    )
    register(
        name="GAN-Compression-mobile-resnet",
        looks_for="model.1.weight (w, c, 7, 7), model.10.conv_block.1.conv.0.weight (n, 1, 3, 3)",
        factory="translate_cyclegan.importers:mobile_resnet",
    )
