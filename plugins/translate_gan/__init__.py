"""The GAN, which makes pictures of noise, and the conditional GAN, which makes them of classes."""

from __future__ import annotations

from translate.hookspecs import RegisterMethod, RegisterModel, hookimpl


@hookimpl
def register_methods(register: RegisterMethod) -> None:
    register(
        name="gan",
        summary="pictures from nothing but noise, like those it has seen",
        source="noise",
        data="images",
        factory="translate_gan.method:GAN",
    )
    register(
        name="cgan",
        summary="pictures of the class that is asked for",
        source="class",
        data="labelled",
        factory="translate_gan.conditional:ConditionalGAN",
    )


@hookimpl
def register_models(register: RegisterModel) -> None:
    register(
        name="digits",
        method="cgan",
        summary="handwritten digits, of the class that is asked for",
        file="models/digits.safetensors",
    )
