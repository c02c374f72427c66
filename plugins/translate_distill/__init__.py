"""Distillation: a small network learns to do what a large one does."""

from __future__ import annotations

from translate.hookspecs import RegisterMethod, RegisterModel, hookimpl


@hookimpl
def register_methods(register: RegisterMethod) -> None:
    register(
        name="distill",
        summary="a small network learns what another model does (--set teacher=MODEL)",
        source="image",
        data="unpaired",
        factory="translate_distill.method:Distill",
    )


@hookimpl
def register_models(register: RegisterModel) -> None:
    register(
        name="horse2zebra",
        method="distill",
        summary="turns horses into zebras",
        file="models/horse2zebra.safetensors",
    )
