"""A plugin's catalogue: a TOML file of models that are one download away, read without torch."""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator

from translate.errors import TranslateError
from translate.options import Settings, build

_Line = Annotated[str, StringConstraints(pattern=r"^.*\S.*$")]  # "." is no line break


class Published(Settings):
    """A published model: all that is known of it before it is here."""

    method: _Line = Field(description="the method that runs it")
    summary: _Line = Field(description="one line for 'translate models'")
    urls: tuple[str, ...] = Field(
        min_length=1, description="where the file is, tried in order until one gives it"
    )
    sha256: str = Field(
        pattern="^[0-9a-f]{64}$", description="of the file, in hexadecimal; any other is refused"
    )
    size: int = Field(gt=0, description="of the file, in bytes")
    licence: _Line = Field(description="the terms that the weights are under")
    source: _Line = Field(description="where they come from, such as the project's address")
    data: str = Field(default="", description="what they were trained on")
    importer: str | None = Field(
        default=None, description="which importer reads the file, where it is another project's"
    )

    @field_validator("urls")
    @classmethod
    def _encrypted(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            parts = urlsplit(url)
            # Nobody listens in between where the server is this machine.
            if not parts.hostname or not (
                parts.scheme == "https" or (parts.scheme == "http" and _loopback(parts.hostname))
            ):
                raise ValueError(f"{url!r} does not begin with https://")
        return urls


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_catalogue(path: Path) -> dict[str, Published]:
    """Return the models that the catalogue at ``path`` lists, by name.

    Raises:
        TranslateError: if it cannot be read, or says of a model what makes no sense.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TranslateError(error.strerror or str(error)) from None
    except ValueError as error:  # of TOML and of UTF-8
        raise TranslateError(f"not a TOML file: {error}") from None
    for name, entry in entries.items():
        if not isinstance(entry, dict):
            raise TranslateError(f"{name}: not a table; a model begins with [{name}]")
    return {name: build(Published, entry, what=name) for name, entry in entries.items()}
