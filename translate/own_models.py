"""The models in the user's folders, own and downloaded: each is called by its file's name."""

from __future__ import annotations

from pathlib import Path

from translate.errors import BundleError
from translate.home import downloads_folder, models_folder
from translate.model import SUFFIX, read_header
from translate.registry import ModelEntry


def own_files() -> dict[str, Path]:
    """Return the files of the user's own models by name; none where their folder is closed."""
    return _bundles(models_folder())


def downloaded_files() -> dict[str, Path]:
    """Return the files of downloaded models by name; none where their folder is closed."""
    return _bundles(downloads_folder())


def _bundles(folder: Path) -> dict[str, Path]:
    try:
        return {path.stem: path for path in sorted(folder.glob(f"[!.]*{SUFFIX}"))}
    except OSError:
        return {}


def file_of(name: str) -> Path:
    """Return where the user's own model called ``name`` is, or would be."""
    return models_folder() / f"{name}{SUFFIX}"


def entry_of(path: Path) -> ModelEntry:
    """Return the model in the file at ``path``; one that cannot be read says why."""
    try:
        header = read_header(path)
    except BundleError as error:
        problem = str(error)
        if path.suffix != SUFFIX:
            problem += f"; 'translate import {path} --name NAME' reads other projects' checkpoints"
        return ModelEntry(path.stem, "", "", path, problem=problem)
    return ModelEntry(path.stem, header.method, header.card.summary, path)


def delete(path: Path) -> Path:
    """Delete a model's file and return where it was.

    Raises:
        BundleError: if it cannot be deleted.
    """
    try:
        path.unlink()
    except OSError as error:
        raise BundleError(f"{path}: cannot be deleted ({error.strerror or error})") from None
    return path
