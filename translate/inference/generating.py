"""The run of what is made of no picture: make, encode, write, one output after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from translate.atomic import write_atomic
from translate.images import Picture, encode_picture
from translate.inference.failing import why
from translate.inference.generator import Generator, sheet
from translate.inference.pipeline import Encoding, Outcome, write_out
from translate.inference.plan import Item


class Making:
    """Makes the items of a plan; ``stop`` may be called at any moment."""

    def __init__(self, generator: Generator, encoding: Encoding) -> None:
        self.generator, self.encoding = generator, encoding
        self._stopping = False

    def stop(self) -> None:
        """Begin nothing more; what is being written is finished."""
        self._stopping = True

    def __call__(self, items: Sequence[Item]) -> Iterator[Outcome]:
        """Yield what became of each item, as it is done."""
        for group in self._groups(items):
            yield from self._make(group)
            if self._stopping:
                return

    def _groups(self, items: Sequence[Item]) -> Iterator[Sequence[Item]]:
        """Yield what may run in one batch; a sheet is a group of its own."""
        group: list[Item] = []
        for item in items:
            alone = len(item.source.requests) > 1
            if group and (alone or len(group) >= self.generator.together):
                yield group
                group = []
            group.append(item)
            if alone:
                yield group
                group = []
        if group:
            yield group

    def _make(self, group: Sequence[Item]) -> Iterator[Outcome]:
        """Make and write a group; where that fails, one by one, to find out which one it is."""
        began = time.monotonic()
        requests = [request for item in group for request in item.source.requests]
        made: list[Picture] = []
        try:
            for picture in self.generator.pictures(requests):
                made.append(picture)
                if self._stopping and len(made) < len(requests):
                    return
        except Exception as error:
            if len(group) > 1:
                for item in group:
                    yield from self._make([item])
            else:
                [item] = group
                failure = f"{item.source.name}: {why(error)}"
                yield Outcome(item, failure, time.monotonic() - began)
            return
        for item in group:
            count = len(item.source.requests)
            pictures, made = made[:count], made[count:]
            reason = self._write(item, pictures)
            yield Outcome(item, reason, (time.monotonic() - began) / len(group))

    def _write(self, item: Item, pictures: Sequence[Picture]) -> str | None:
        """Write one item; return why that failed."""
        try:
            picture = sheet(pictures, item.source.columns) if len(pictures) > 1 else pictures[0]
            data = encode_picture(picture, item.format, quality=self.encoding.quality)
            if item.output is None:
                write_out(data)
            else:
                write_atomic(item.output, data)
        except BrokenPipeError:
            raise  # nobody reads: that is no failure of this picture
        except Exception as error:
            return f"{item.source.name}: {why(error)}"
        return None
