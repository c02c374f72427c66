"""Downloading a published model: the right file or none, from whichever address gives it.

pooch fetches, but it would write whatever a server sends for as long as that goes on. So what it
writes to is ours, and checks length and SHA-256 as the bytes come. Everything happens in a hidden
folder of its own, out of which only the finished bundle is moved.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from translate.errors import BundleError, TranslateError, UsageError
from translate.files import megabytes, show, system_reason
from translate.home import switched_on
from translate.host import the_host
from translate.registry import ModelEntry
from translate.zoo.catalogue import Published

_CONNECT_S, _SILENT_S = 10.0, 30.0  # how long a server may take to answer, and to go on
_CHUNK = 1 << 16  # bytes
_ABANDONED_S = 24 * 3600.0  # no download takes as long; its folder is what a crash left behind

Tell = Callable[[str], None]
Progress = Callable[[int], None]


def say(text: str) -> None:
    """Print a line on standard error."""
    print(text, file=sys.stderr, flush=True)


def local_model(name: str) -> ModelEntry:
    """Return the model called ``name``, or in that file; one that is not here is downloaded.

    Raises:
        UsageError: if there is none, or it would have to be downloaded and that is forbidden.
        TranslateError: if it cannot be downloaded.
    """
    entry = the_host().known_model(name)
    if entry.kind == "available":
        download(entry)
    return entry


def offline() -> bool:
    """Say whether ``TRANSLATE_OFFLINE`` forbids downloads."""
    return switched_on("TRANSLATE_OFFLINE")


def download(entry: ModelEntry, *, tell: Tell = say, progress: Progress | None = None) -> None:
    """Download a published model and make it a bundle at ``entry.path``, whole or not at all.

    Args:
        tell: called with lines for the user: what is downloaded, and which mirrors failed.
        progress: called with the bytes that have come so far.

    Raises:
        UsageError: if downloads are forbidden.
        TranslateError: if no address gives the right file, or it cannot be used or stored.
    """
    published = entry.published
    if published is None:
        raise UsageError(f"model {entry.name}: is in no catalogue, so there is nothing to download")
    size, host = megabytes(published.size), urlsplit(published.urls[0]).hostname
    if offline():
        raise UsageError(
            f"model {entry.name} is not downloaded, and nothing may be (--offline, "
            f"TRANSLATE_OFFLINE or a dry run); it would come from {published.urls[0]} "
            f"({size}, {published.licence}): translate download {entry.name}"
        )
    if published.importer and published.importer not in the_host().importers:
        raise BundleError(
            f"model {entry.name}: needs the importer {published.importer!r}, which no plugin here "
            "brings"
        )
    tell(f"{entry.name}: downloading {size} from {host} ({published.licence})")
    folder = entry.path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        # Two processes that want the same model at once each have a folder of their own.
        with tempfile.TemporaryDirectory(prefix=f".{entry.name}-", dir=folder) as own:
            file = Path(own, "download")
            url = _fetch(entry.name, published, file, tell, progress)
            bundle = _made_of(entry, published, file, url)
            os.replace(bundle, entry.path)
    except OSError as error:
        reason = system_reason(error)
        raise TranslateError(f"{show(entry.path)}: cannot be written: {reason}") from None


def _sweep(folder: Path) -> None:
    """Delete what downloads left behind that ended with the machine."""
    for left in folder.glob(".*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(left, ignore_errors=True)


def _fetch(
    name: str, published: Published, file: Path, tell: Tell, progress: Progress | None
) -> str:
    """Write the published file to ``file``; return the first address that gave it.

    Raises:
        TranslateError: naming every address with its reason, if none does.
    """
    reasons: list[str] = []
    for url in published.urls:
        if reasons:
            tell(f"{name}: {reasons[-1]}; trying {urlsplit(url).hostname}")
        try:
            with file.open("wb") as opened:
                _get(url, _Checked(opened, published, progress))
        except _Failed as failed:
            reasons.append(f"{url}: {failed}")
        else:
            return url
    raise TranslateError(
        f"model {name} cannot be downloaded: {'; '.join(reasons)}; if you get the file elsewhere: "
        f"translate import FILE --name {name}"
    )


class _Failed(Exception):
    """An address did not give the file; the text says why."""


class _Checked:
    """A file that is written to, and what is known of what it must become."""

    def __init__(self, file: IO[bytes], published: Published, progress: Progress | None) -> None:
        self.file, self.published, self.progress = file, published, progress
        self.count, self.hash = 0, hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Take in the next bytes.

        Raises:
            _Failed: if these are more than there should be.
        """
        self.count += len(data)
        if self.count > self.published.size:
            raise _Failed(f"another file, longer than {self.published.size:,} bytes")
        self.file.write(data)
        self.hash.update(data)
        if self.progress:
            self.progress(self.count)

    def flush(self) -> None:
        """Do nothing: pooch asks for it after every chunk."""

    def check(self) -> None:
        """Make sure that this is the file.

        Raises:
            _Failed: if it is not.
        """
        if self.count != self.published.size:
            raise _Failed(f"cut short ({self.count:,} of {self.published.size:,} bytes)")
        if self.hash.hexdigest() != self.published.sha256:
            raise _Failed(
                f"another file: its SHA-256 is {self.hash.hexdigest()}, not {self.published.sha256}"
            )


def _get(url: str, file: _Checked) -> None:
    """Write what is at ``url`` to ``file``.

    Raises:
        _Failed: if it cannot be had, or is not what it should be.
    """
    import pooch
    import requests

    get = pooch.HTTPDownloader(chunk_size=_CHUNK, timeout=(_CONNECT_S, _SILENT_S))
    try:
        get(url, file, None)
    except requests.RequestException as error:
        raise _Failed(_reason(error, file)) from None
    file.check()


def _reason(error: OSError, file: _Checked) -> str:
    """Return in a few words what requests took a page to say."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"{error.response.status_code} {error.response.reason}".strip()
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {_CONNECT_S:g} s"
    if "timed out" in str(error):
        return f"silent for {_SILENT_S:g} s"
    root: BaseException = error
    while root.__context__ is not None:
        root = root.__context__
    if file.count or isinstance(root, http.client.IncompleteRead):
        # What came since the last whole chunk is known to the error alone: urllib3's has the
        # number of all bytes, that of the standard library has those of the chunk itself.
        partial = getattr(root, "partial", 0)
        came = max(file.count, len(partial) if isinstance(partial, bytes) else partial)
        return f"cut short ({came:,} of {file.published.size:,} bytes)"
    return " ".join(system_reason(root).split())[:200]


def _made_of(entry: ModelEntry, published: Published, file: Path, url: str) -> Path:
    """Return the bundle that the downloaded file became, beside it.

    Raises:
        BundleError: if no bundle of the method that the catalogue names can be made of it.
    """
    from translate.bundle import save_bundle
    from translate.importing import convert
    from translate.model import read_header

    try:
        if published.importer is None:
            read_header(file)  # says what it is if it is no bundle
        converted = convert(file, published.importer)
    except TranslateError as error:
        text = str(error).replace(str(file), "what was downloaded")
        raise BundleError(f"model {entry.name}: {text}") from None
    header = converted.header
    if header.method != published.method:
        raise BundleError(
            f"model {entry.name}: what was downloaded is of the method {header.method!r}, "
            f"not {published.method!r}"
        )
    notes = f"made of {url}, SHA-256 {published.sha256}"
    said = published.model_dump(include={"summary", "licence", "source", "data"})
    card = header.card.model_copy(
        update={
            **{key: value for key, value in said.items() if value},
            "notes": "; ".join(filter(None, (header.card.notes, notes))),
        }
    )
    bundle = file.with_name(entry.path.name)
    save_bundle(bundle, header.model_copy(update={"card": card}), converted.weights)
    return bundle
