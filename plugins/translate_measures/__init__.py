"""The usual measures: of pairs (L1, PSNR, SSIM, ab), of sets (FID, KID), classes and captions."""

from __future__ import annotations

from translate.hookspecs import RegisterMeasure, hookimpl


@hookimpl
def register_measures(register: RegisterMeasure) -> None:
    for name, summary, factory in (
        ("l1", "mean absolute difference from the target", "L1"),
        ("psnr", "peak signal-to-noise ratio to the target", "PSNR"),
        ("ssim", "structural similarity with the target", "SSIM"),
        ("ab", "distance of colours from the target's, whatever their lightness", "AB"),
    ):
        register(
            name=name,
            summary=summary,
            compares="pairs",
            factory=f"translate_measures.pairs:{factory}",
        )
    for name, summary, factory in (
        ("fid", "Fréchet Inception distance from real pictures", "FID"),
        ("kid", "kernel Inception distance from real pictures", "KID"),
    ):
        register(
            name=name,
            summary=summary,
            compares="sets",
            factory=f"translate_measures.sets:{factory}",
        )
    register(
        name="classes",
        summary="how often a picture shows the class asked for, and how varied a class is",
        compares="classes",
        factory="translate_measures.classes:Classes",
    )
    register(
        name="attributes",
        summary="how often scenes of digits are as their captions say, attribute by attribute",
        compares="captions",
        factory="translate_measures.attributes:Attributes",
    )
