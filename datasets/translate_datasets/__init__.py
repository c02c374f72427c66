"""The dataset readers that come with translate."""

from __future__ import annotations

from translate.hookspecs import RegisterDataset, hookimpl


@hookimpl
def register_datasets(register: RegisterDataset) -> None:
    register(
        name="unpaired",
        kind="unpaired",
        summary="two folders of pictures, trainA and trainB, that need not match",
        factory="translate_datasets.unpaired:Unpaired",
    )
