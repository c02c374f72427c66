"""Three stages, read, run and write, with bounded queues between them.

The readers and writers are threads; the network runs in the caller's. Memory does not grow with
the number of pictures, and the network is the only thing that is waited for.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Generator, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from translate.atomic import replacing
from translate.images import encode_picture, read_picture
from translate.images.encoding import encode_in_pieces
from translate.inference.engine import Engine
from translate.inference.failing import why
from translate.inference.fitting import Finished, Prepared
from translate.inference.plan import Item

_QUEUED_BYTES = 128 << 20  # of pixels that wait between two stages; but one picture always may

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What became of one item: written, or failed with a reason; and the seconds it took."""

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
    prepared: Prepared
    seconds: float


class _Stopped(BaseException):
    """Raised where ``stop`` interrupts; never leaves this file."""


class Pipeline:
    """Translates the items of a plan, every one of them under the same seed.

    A seed of its own for each would depend on which others are there, and those that exist
    already are not.
    """

    def __init__(
        self, engine: Engine, encoding: Encoding, *, batch_size: int, workers: int, seed: int = 0
    ) -> None:
        self.engine, self.encoding = engine, encoding
        self.batch_size, self.workers, self.seed = max(1, batch_size), max(1, workers), seed
        self._stopping = self._interruptible = False
        self._largest = 1  # bytes of a picture or what becomes of it, so far

    def stop(self) -> None:
        """Begin nothing more; what is being written is finished.

        May be called at any moment, also by a signal's handler in the thread of the network,
        which it interrupts.
        """
        if not self._stopping:
            self._stopping = True
            if self._interruptible:
                raise _Stopped

    def __call__(self, items: Iterable[Item]) -> Generator[Outcome, None, None]:
        """Yield what became of each item, as it is done; closing it leaves no half files."""
        readers = ThreadPoolExecutor(self.workers, thread_name_prefix="read")
        writers = ThreadPoolExecutor(self.workers, thread_name_prefix="write")
        done: deque[Future[Outcome]] = deque()  # or being written, in order
        try:
            for batch in self._batches(self._read(readers, items)):
                if isinstance(batch, Outcome):
                    done.append(_ready(batch))
                else:
                    for work, result in zip(batch, self._run(batch), strict=True):
                        if isinstance(result, Finished):
                            done.append(writers.submit(self._write, work, result))
                        else:
                            done.append(_ready(Outcome(work.item, result, work.seconds)))
                while done and (done[0].done() or len(done) > self._room()):
                    yield done.popleft().result()
            while done and not self._stopping:
                yield done.popleft().result()
        except _Stopped:
            pass
        finally:
            readers.shutdown(wait=False, cancel_futures=True)
            writers.shutdown(cancel_futures=True)  # waits for files that are being written
            readers.shutdown()
        for future in done:
            if not future.cancelled():
                yield future.result()

    def _room(self) -> int:
        """Return how many pictures may wait between two stages."""
        return max(1, min(self.workers + self.batch_size, _QUEUED_BYTES // self._largest))

    def _read(self, pool: ThreadPoolExecutor, items: Iterable[Item]) -> Iterator[_Work | Outcome]:
        """Yield the items read, in order, a few read ahead."""
        left = iter(items)
        ahead: deque[Future[_Work | Outcome]] = deque()
        while not self._stopping:
            for item in islice(left, max(0, self._room() - len(ahead))):
                if item.source.path is None:
                    # Here, since a thread that waits for somebody to type cannot be interrupted.
                    with self._may_stop():
                        data = sys.stdin.buffer.read()
                    ahead.append(pool.submit(self._read_one, item, data))
                else:
                    ahead.append(pool.submit(self._read_one, item, item.source.path))
            if not ahead:
                return
            work = ahead.popleft().result()
            if isinstance(work, _Work):
                size = work.prepared.picture.pixels.nbytes * self.engine.fit.scale**2
                self._largest = max(self._largest, size)
            yield work

    def _read_one(self, item: Item, source: Path | bytes) -> _Work | Outcome:
        began = time.monotonic()
        try:
            prepared = self.engine.prepare(read_picture(source, name=""))
        except Exception as error:
            return Outcome(item, self._reason(item, error), time.monotonic() - began)
        return _Work(item, prepared, time.monotonic() - began)

    def _batches(self, works: Iterable[_Work | Outcome]) -> Iterator[Sequence[_Work] | Outcome]:
        """Group what may run together; what waits for company is bounded."""
        waiting: dict[Hashable, list[_Work]] = {}
        for work in works:
            if isinstance(work, Outcome):
                yield work
                continue
            key = self.engine.group(work.prepared)
            group = waiting.setdefault(key, [])
            group.append(work)
            if len(group) >= min(self.batch_size, self._room()):
                yield waiting.pop(key)
            elif sum(map(len, waiting.values())) >= 2 * self._room():
                yield waiting.pop(max(waiting, key=lambda one: len(waiting[one])))
        while waiting and not self._stopping:
            yield waiting.pop(next(iter(waiting)))

    def _run(self, works: Sequence[_Work]) -> Sequence[Finished | str]:
        """Return the results, or the reason why there is none."""
        began = time.monotonic()
        try:
            with self._may_stop():
                return self.engine.run([w.prepared for w in works], [self.seed] * len(works))
        except Exception as error:
            if len(works) == 1:
                return [self._reason(works[0].item, error)]
        finally:
            for work in works:
                work.seconds += (time.monotonic() - began) / len(works)
        # One by one, to find out which one it is.
        return [result for work in works for result in self._run([work])]

    def _write(self, work: _Work, finished: Finished) -> Outcome:
        item, error, began = work.item, None, time.monotonic()
        try:
            picture, how = self.engine.finish(finished), asdict(self.encoding)
            if item.output is None:  # all of it or nothing, which pieces would not be
                write_out(encode_picture(picture, item.format, **how))
            else:
                with replacing(item.output) as file:
                    for piece in encode_in_pieces(picture, item.format, **how):
                        file.write(piece)
        except BrokenPipeError:
            raise  # nobody reads: that is no failure of this picture
        except Exception as problem:
            error = self._reason(item, problem)
        return Outcome(item, error, work.seconds + time.monotonic() - began)

    def _reason(self, item: Item, error: Exception) -> str:
        """Return why an item failed, in one line that names it."""
        name = item.source.name if item.source.path is not None else "standard input"
        return f"{name}: {why(error, sized=self.engine.fit.scale == 1)}"

    @contextlib.contextmanager
    def _may_stop(self) -> Iterator[None]:
        """Let ``stop`` interrupt what is inside at once."""
        self._interruptible = True
        try:
            if self._stopping:
                raise _Stopped
            yield
        finally:
            self._interruptible = False


def _ready(value: T) -> Future[T]:
    future: Future[T] = Future()
    future.set_result(value)
    return future


def write_out(data: bytes) -> None:
    """Write to standard output, past its buffer, which would try again at exit after an error."""
    rest = memoryview(data)
    sys.stdout.flush()
    out = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
    while rest:
        rest = rest[out.write(rest) or 0 :]
