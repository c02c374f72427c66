"""Where the user's own models live, and those that were downloaded."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def home() -> Path:
    """Return the folder of the user's own things; it need not exist yet.

    ``TRANSLATE_HOME`` names it; without that it is the platform's folder for application data.
    """
    chosen = os.environ.get("TRANSLATE_HOME")
    return Path(chosen).expanduser() if chosen else _data_folder() / "translate"


def models_folder() -> Path:
    """Return the folder of the user's own models, one bundle each."""
    return home() / "models"


def downloads_folder() -> Path:
    """Return the folder of the models that were downloaded, one bundle each."""
    return home() / "downloads"


def _data_folder() -> Path:
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    data = os.environ.get("XDG_DATA_HOME")
    # The XDG specification says that a relative path is to be ignored.
    return Path(data) if data and Path(data).is_absolute() else Path.home() / ".local" / "share"


def switched_on(name: str) -> bool:
    """Say whether an environment variable switches something on; empty and 0 do not."""
    return os.environ.get(name, "0") not in ("", "0")
