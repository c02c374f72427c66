"""Super-resolution: SRGAN, ESRGAN and what followed them, as one method in two stages."""

from __future__ import annotations

from translate.hookspecs import (
    RegisterCatalogue,
    RegisterImporter,
    RegisterMethod,
    RegisterModel,
    hookimpl,
)


@hookimpl
def register_methods(register: RegisterMethod) -> None:
    register(
        name="srgan",
        summary="enlarges pictures 2, 4 or 8 times, faithfully or with detail that it invents",
        source="image",
        data="superres",
        factory="translate_srgan.method:SRGAN",
    )


@hookimpl
def register_models(register: RegisterModel) -> None:
    for name, summary in (
        ("upscale-x4", "enlarges photographs 4 times, with detail that looks real"),
        ("upscale-x4-psnr", "enlarges photographs 4 times, faithfully"),
        ("upscale-x2", "enlarges photographs twice, faithfully"),
    ):
        register(
            name=name,
            method="srgan",
            summary=summary,
            file=f"models/{name}.safetensors",
        )


@hookimpl
def register_catalogues(register: RegisterCatalogue) -> None:
    register(file="zoo.toml")


@hookimpl
def register_importers(register: RegisterImporter) -> None:
    register(
        name="Real-ESRGAN-rrdb",
        looks_for="body.0.rdb1.conv1.weight, or ESRGAN's RRDB_trunk.0.RDB1.conv1.weight or "
        "model.1.sub.0.RDB1.conv1.0.weight (g, w, 3, 3)",
        factory="translate_srgan.importers:rrdb",
    )
    register(
        name="Real-ESRGAN-compact",
        looks_for="body.0.weight (w, c, 3, 3), body.1.weight (w) and no others than body.N",
        factory="translate_srgan.importers:compact",
    )
