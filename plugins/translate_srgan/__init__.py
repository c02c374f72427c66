"""Super-resolution: SRGAN, ESRGAN and what followed them, as one method in two stages."""

from __future__ import annotations

from translate.hookspecs import RegisterMethod, hookimpl


@hookimpl
def register_methods(register: RegisterMethod) -> None:
    register(
        name="srgan",
        summary="enlarges pictures 2, 4 or 8 times, faithfully or with detail that it invents",
        source="image",
        data="superres",
        factory="translate_srgan.method:SRGAN",
    )
