"""Text to image: a conditional GAN that takes captions."""

from __future__ import annotations

from translate.hookspecs import RegisterMethod, hookimpl


@hookimpl
def register_methods(register: RegisterMethod) -> None:
    register(
        name="text2image",
        summary="pictures of what a caption says",
        source="text",
        data="captioned",
        factory="translate_text2image.method:TextToImage",
    )
