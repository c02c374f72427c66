"""Places in a model's latent space as they are typed: ``7``, ``7@42``, ``7@1,5,9``, a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from translate.errors import UsageError
from translate.files import show
from translate.inference.plan import Request
from translate.inference.requests import file_word, read_value, starts_from
from translate.model import SUFFIX, Header


@dataclass(frozen=True)
class Point:
    """One place: the middle of some pictures' codes, or a code that was saved.

    Attributes:
        text: as it was typed.
        word: the same as a part of file names.
        requests: the pictures; all of one class or prompt.
        file: of the saved code, in place of them.
    """

    text: str
    word: str
    requests: tuple[Request, ...] = ()
    file: Path | None = None


def read_point(text: str, header: Header, *, model: str, seed: int) -> Point:
    """Return the place that was typed.

    Args:
        text: a class or a prompt, with ``@`` and seeds behind it if they are not ``seed``; for a
            model that starts from noise, seeds alone; or a file that ``translate mix --save`` made.

    Raises:
        UsageError: if it is none of these.
    """
    if text.endswith(SUFFIX):
        return Point(text, file_word(Path(text).stem) or "code", file=Path(text))
    noise = starts_from(header) == "noise"
    parts = re.fullmatch(r"(.*?)@?(\d+(?:,\d+)*)" if noise else r"(.*)@(\d+(?:,\d+)*)", text, re.A)
    words, seeds = (parts[1], parts[2].split(",")) if parts else (text, [])
    if noise and (words or not seeds):
        raise UsageError(
            f"model {model}: starts from noise; {show(text)} is no seed, as 42 is, and no code's "
            f"file (…{SUFFIX})"
        )
    value = None if noise else read_value(words, header, model=model)
    chosen = tuple(map(int, seeds)) or (seed,)
    requests = tuple(Request(words, one, value) for one in chosen)
    return Point(text, file_word(text) or starts_from(header), requests)
