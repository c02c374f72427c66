"""The plan of what is made of no picture: classes, prompts, seeds. Names and numbers only."""

from __future__ import annotations

import hashlib
import math
import os
import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from translate.errors import UsageError
from translate.files import SUFFIXES, show, system_reason
from translate.inference.plan import Item, Plan, Request, Source, as_word, read_target, settled
from translate.model import Header

_SLUG_BYTES = 100  # leaves room for the model's name within the 255 bytes of a file name
_LISTED = 10  # classes in an error message


def starts_from(header: Header) -> str:
    """Return what a model starts from: "image", "class", "text" or "noise"; or several of them."""
    return " and ".join(header.reads) or "noise"


def read_value(text: str, header: Header, *, model: str) -> str | int:
    """Return what was typed as what the model reads: a class's number, or a prompt.

    Raises:
        UsageError: if it is neither.
    """
    source = starts_from(header)
    if _is_picture(text, sentence=source == "text"):
        raise UsageError(f"{show(text)}: model {model} starts from {source}, not from a picture")
    if source == "text":
        if not text.strip():
            raise UsageError("the prompt is empty")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UsageError(f"prompt {show(text)}: not UTF-8") from None
        return text
    classes = header.facts.classes
    if text in classes:
        return classes.index(text)
    if re.fullmatch(r"\d{1,9}", text, re.ASCII) and int(text) < len(classes):
        return int(text)
    near = [] if text.isdigit() else get_close_matches(text, classes)
    hint = f"did you mean {', '.join(near)}" if near else _there_are(classes)
    raise UsageError(f"model {model}: no class {show(text)}; {hint}")


def _is_picture(text: str, *, sentence: bool) -> bool:
    """Say whether a file is meant; a sentence may end as a picture's name does."""
    named = Path(text).suffix.lower() in SUFFIXES
    if sentence:
        return named and (" " not in text or os.path.isfile(text))
    return named or os.path.isfile(text)


def _there_are(classes: Sequence[str]) -> str:
    more = ", …" if len(classes) > _LISTED else ""
    return f"there are {', '.join(classes[:_LISTED])}{more}"


def read_prompts(file: str) -> list[str]:
    """Return the lines of a UTF-8 file, or of standard input for ``-``; empty ones are left out.

    Any other line is a prompt, whatever it begins with: "#1 medal" may be meant.

    Raises:
        UsageError: if it cannot be read, or says nothing.
    """
    where = "--prompts: standard input" if file == "-" else f"--prompts {show(file)}"
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        lines = data.decode("utf-8-sig").split("\n")
    except OSError as error:
        raise UsageError(f"{where}: {system_reason(error)}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1  # which has no byte order mark
        raise UsageError(f"{where}: line {line} is not UTF-8") from None
    prompts = [line.strip() for line in lines if line.strip()]
    if not prompts:
        raise UsageError(f"{where}: has no prompts, one a line")
    return prompts


def plan_requests(
    values: Sequence[str],
    model: str,
    header: Header,
    *,
    seed: int,
    count: int = 1,
    grid: bool = False,
    out: str | None = None,
    format: str = "keep",
    overwrite: bool = False,
) -> Plan:
    """Return what ``translate MODEL [CLASS|PROMPT]...`` will write.

    The picture of a value and a seed is always the same and its name has both, so that the
    same command run again finds what it has made.

    Args:
        values: classes or prompts; none for a model that starts from noise.
        seed: of the first picture of each value; the next has the next one.
        count: pictures of each value.
        grid: on one sheet: a row for each value, or a square of a single one.

    Raises:
        UsageError: before anything is done, if the command cannot be carried out as it stands.
    """
    names = _names(values, model, header)
    target, format = read_target(out, format)
    format = "png" if format == "keep" else format
    requests = [
        [Request(name, seed + place, value) for place in range(count)]
        for name, value in names.items()
    ]
    single = target.kind in ("file", "stdout")
    if single and len(names) * count > 1 and not grid:
        raise UsageError(
            f"{len(names) * count} pictures for one file; add --grid, or name a folder with -o"
        )
    items = []
    for stem, end, source in _sheet(requests, header) if grid else _singles(requests, header):
        output: Path | None = None
        if target.kind == "file":
            output = target.path
        elif target.kind != "stdout":
            parts = (stem, "" if target.kind == "folder" else as_word(model), end)
            output = target.path / f"{'-'.join(filter(None, parts))}.{format}"
        items.append(Item(source, output, format))
    return settled(items, target, overwrite=overwrite)


def _sheet(
    requests: Sequence[Sequence[Request]], header: Header
) -> Iterator[tuple[str, str, Source]]:
    """Yield all requests as one source, with the parts of its file's name."""
    together = tuple(request for row in requests for request in row)
    count = len(requests[0])
    columns = count if len(requests) > 1 else math.ceil(math.sqrt(count))
    names = [row[0].name for row in requests]
    shown = _shown(", ".join(names), together)
    end = f"{together[0].seed}x{count}"
    yield _stem("\n".join(names), header), end, Source(shown, None, together, columns)


def _singles(
    requests: Sequence[Sequence[Request]], header: Header
) -> Iterator[tuple[str, str, Source]]:
    """Yield each request as a source of its own, with the parts of its file's name."""
    for row in requests:
        stem = _stem(row[0].name, header)
        for one in row:
            yield stem, str(one.seed), Source(_shown(one.name, (one,)), None, (one,))


def _names(values: Sequence[str], model: str, header: Header) -> dict[str, str | int | None]:
    """Return what is to be made, by its name, each once."""
    source = starts_from(header)
    if source not in ("class", "text", "noise"):
        raise UsageError(f"model {model}: starts from {source}; that cannot be run yet")
    if source == "noise":
        if values:
            raise UsageError(
                f"model {model}: starts from noise alone; leave out {show(values[0])}, and choose "
                "pictures with --seed"
            )
        return {"": None}
    if not values:
        what = "a prompt" if source == "text" else f"a class; {_there_are(header.facts.classes)}"
        raise UsageError(f"model {model}: no input given; name {what}")
    names: dict[str, str | int | None] = {}
    for text in values:
        value = read_value(text, header, model=model)
        names[header.facts.classes[value] if isinstance(value, int) else text] = value
    return names


def _shown(name: str, requests: Sequence[Request]) -> str:
    """Return what an output is made from, for a line."""
    seeds = f"seed {requests[0].seed}"
    if len(requests) > 1:
        seeds += f" on, {len(requests)} pictures"
    return f"{show(name)} ({seeds})" if name else seeds


def _stem(name: str, header: Header) -> str:
    """Return the part of a file's name that stands for classes or prompts, and for no others.

    It depends on them alone, so that no picture is taken for another that was made before.
    """
    if not name:
        return ""
    word = file_word(name) or starts_from(header)
    classes = header.facts.classes
    if classes:
        parts, words = [file_word(one) for one in name.split("\n")], [*map(file_word, classes)]
        unclear = "-".join(parts) != word or any(words.count(part) > 1 for part in parts)
    else:
        unclear = word.replace("-", " ") != name
    return f"{word}-{hashlib.sha256(name.encode()).hexdigest()[:6]}" if unclear else word


def file_word(text: str) -> str:
    """Return ``text`` as a short file name of letters, digits and hyphens."""
    words = re.sub(r"[\W_]+", "-", unicodedata.normalize("NFC", text).casefold())
    return words.encode()[:_SLUG_BYTES].decode(errors="ignore").strip("-")
