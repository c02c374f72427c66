"""Three stages, read, run and write, with bounded queues between them.

The readers and writers are threads; the network runs in the caller's. Memory does not grow with
the number of pictures, and the network is the only thing that is waited for.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import torch

from translate.atomic import write_atomic
from translate.errors import ImageError, TranslateError
from translate.images import encode_picture, read_picture
from translate.inference.engine import Engine, Finished, Prepared
from translate.inference.plan import Item, show


@dataclass(frozen=True)
class Outcome:
    """What became of one item: written, or failed with a reason; in seconds from its reading."""

    item: Item
    error: str | None
    seconds: float


@dataclass(frozen=True)
class Encoding:
    """How pictures are written."""

    quality: int = 95
    strip: bool = False


@dataclass(eq=False)
class _Work:
    item: Item
    seed: int
    began: float
    prepared: Prepared


class Pipeline:
    """Translates the items of a plan."""

    def __init__(
        self, engine: Engine, encoding: Encoding, *, batch_size: int, workers: int, seed: int = 0
    ) -> None:
        self.engine, self.encoding = engine, encoding
        self.batch_size, self.workers, self.seed = batch_size, max(1, workers), seed

    def __call__(self, items: Iterable[Item]) -> Iterator[Outcome]:
        """Yield what became of each item, as it is done; closing it leaves no half files."""
        readers = ThreadPoolExecutor(self.workers, thread_name_prefix="read")
        writers = ThreadPoolExecutor(self.workers, thread_name_prefix="write")
        writing: deque[Future[Outcome]] = deque()
        try:
            for done in self._batches(self._read(readers, items)):
                if isinstance(done, Outcome):
                    yield done
                    continue
                for work, result in zip(done, self._run(done), strict=True):
                    if isinstance(result, str):
                        yield self._outcome(work, result)
                    else:
                        writing.append(writers.submit(self._write, work, result))
                while len(writing) > self.workers + self.batch_size or (
                    writing and writing[0].done()
                ):
                    yield writing.popleft().result()
            while writing:
                yield writing.popleft().result()
        finally:
            readers.shutdown(cancel_futures=True)
            writers.shutdown(cancel_futures=True)  # waits for files that are being written

    def _read(self, pool: ThreadPoolExecutor, items: Iterable[Item]) -> Iterator[_Work | Outcome]:
        """Yield the items read, in order, a few read ahead."""
        numbered = enumerate(items)
        ahead: deque[Future[_Work | Outcome]] = deque()
        while True:
            for number, item in islice(numbered, self.workers + self.batch_size - len(ahead)):
                ahead.append(pool.submit(self._read_one, number, item))
            if not ahead:
                return
            yield ahead.popleft().result()

    def _read_one(self, number: int, item: Item) -> _Work | Outcome:
        began = time.monotonic()
        source = item.source
        try:
            if source.path is None:
                picture = read_picture(sys.stdin.buffer.read(), name="standard input")
            else:
                picture = read_picture(source.path, name=source.name)
            return _Work(item, self.seed + number, began, self.engine.prepare(picture))
        except (ImageError, MemoryError) as error:
            return Outcome(item, _reason(error), time.monotonic() - began)

    def _batches(self, works: Iterable[_Work | Outcome]) -> Iterator[Sequence[_Work] | Outcome]:
        """Group what may run together; what waits for company is bounded."""
        waiting: dict[object, list[_Work]] = {}
        for work in works:
            if isinstance(work, Outcome):
                yield work
                continue
            group = waiting.setdefault(work.prepared.key, [])
            group.append(work)
            if len(group) >= self.batch_size:
                yield waiting.pop(work.prepared.key)
            elif sum(len(group) for group in waiting.values()) >= 2 * self.batch_size:
                yield waiting.pop(max(waiting, key=lambda key: len(waiting[key])))
        yield from waiting.values()

    def _run(self, works: Sequence[_Work]) -> Sequence[Finished | str]:
        """Return the results, or the reason why there is none."""
        prepared = [work.prepared for work in works]
        try:
            return self.engine.run(prepared, [work.seed for work in works])
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if len(works) > 1:  # find out which one it is
                return [result for work in works for result in self._run([work])]
            return [_reason(error)]

    def _write(self, work: _Work, finished: Finished) -> Outcome:
        item = work.item
        try:
            data = encode_picture(
                self.engine.finish(finished),
                item.format,
                quality=self.encoding.quality,
                strip=self.encoding.strip,
            )
            if item.output is None:
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
            else:
                write_atomic(item.output, data)
        except (TranslateError, MemoryError, OSError) as error:
            return self._outcome(work, _reason(error))
        return self._outcome(work, None)

    @staticmethod
    def _outcome(work: _Work, error: str | None) -> Outcome:
        named = error and f"{show(work.item.source.name)}: {error}"
        already = error and error.startswith(show(work.item.source.name))
        return Outcome(work.item, error if already else named, time.monotonic() - work.began)


def _reason(error: BaseException) -> str:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return "not enough memory; a smaller --size or --batch-size may do"
    return (str(error).splitlines() or [type(error).__name__])[0]
