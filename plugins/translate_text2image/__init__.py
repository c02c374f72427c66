"""Text to image: a conditional GAN that takes captions, and a measure of what it heeds of them."""

from __future__ import annotations

from translate.hookspecs import RegisterMeasure, RegisterMethod, RegisterModel, hookimpl


@hookimpl
def register_methods(register: RegisterMethod) -> None:
    register(
        name="text2image",
        summary="pictures of what a caption says",
        source="text",
        data="captioned",
        factory="translate_text2image.method:TextToImage",
    )


@hookimpl
def register_models(register: RegisterModel) -> None:
    register(
        name="emoji",
        method="text2image",
        summary="emoji of what is asked for",
        file="models/emoji.safetensors",
    )


@hookimpl
def register_measures(register: RegisterMeasure) -> None:
    register(
        name="retrieval",
        summary="how often a picture shows its caption rather than one of many others",
        compares="captions",
        factory="translate_text2image.retrieval:Retrieval",
    )
