"""A command's model: downloaded where it is only published, unless that is forbidden."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import click

from translate.host import the_host
from translate.model import read_header
from translate.registry import ModelEntry


def offline_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--offline``, which forbids downloads to all that the command does."""

    @click.option(
        "--offline",
        is_flag=True,
        help="Download nothing; TRANSLATE_OFFLINE=1 says that of every command.",
    )
    @functools.wraps(command)
    def obeying(*args: Any, offline: bool, **options: Any) -> Any:
        with without_network() if offline else contextlib.nullcontext():
            return command(*args, **options)

    return obeying


@contextlib.contextmanager
def without_network() -> Iterator[None]:
    """Forbid downloads for a while, to everything in this process and what it starts."""
    before = os.environ.get("TRANSLATE_OFFLINE")
    os.environ["TRANSLATE_OFFLINE"] = "1"
    try:
        yield
    finally:
        os.environ.pop("TRANSLATE_OFFLINE")
        if before is not None:
            os.environ["TRANSLATE_OFFLINE"] = before


def reads_pictures(entry: ModelEntry) -> bool:
    """Say whether a model translates pictures, whether it is here or not."""
    if entry.kind == "available":
        return the_host().method(entry.method).source == "image"
    return "image" in read_header(entry.path).reads


def fetched(name: str, *, quiet: bool) -> ModelEntry:
    """Return the model called ``name``, or in that file; one that is not here is downloaded.

    Raises:
        UsageError: if there is none, or it would have to be downloaded and that is forbidden.
        TranslateError: if it cannot be downloaded.
    """
    entry = the_host().known_model(name)
    if entry.kind == "available" and entry.published is not None:
        from translate.cli.progress import Downloading
        from translate.zoo.download import download

        with Downloading(entry.published.size, quiet=quiet) as shown:
            download(entry, tell=shown.print, progress=shown.advance)
    return entry
