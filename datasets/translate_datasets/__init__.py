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
    register(
        name="paired",
        kind="paired",
        summary="pictures in pairs: two folders, halves of one picture, or made of photographs",
        factory="translate_datasets.paired:Paired",
    )
    register(
        name="images",
        kind="images",
        summary="pictures of one kind in a folder",
        factory="translate_datasets.images:Images",
    )
    register(
        name="labelled",
        kind="labelled",
        summary="pictures of several classes: a folder for each, or the files of MNIST",
        factory="translate_datasets.labelled:Labelled",
    )
    register(
        name="captioned",
        kind="captioned",
        summary="pictures with captions: text files beside them, a CSV file or JSON lines",
        factory="translate_datasets.captioned:Captioned",
    )
    register(
        name="scenes",
        kind="captioned",
        summary="captioned scenes, drawn with MNIST's digits, for captions that can be checked",
        factory="translate_datasets.scenes:Scenes",
    )
    register(
        name="superres",
        kind="superres",
        summary="photographs in high resolution; the low resolution is made of them",
        factory="translate_datasets.superres:SuperRes",
    )
