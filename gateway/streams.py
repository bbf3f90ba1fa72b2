"""Operations on streams of NDJSON, which hold no more than one part of a stream in memory.

A part is written to the store before the next one is read from the client, and sent to the client before the
next one is read from the store. This back-pressure bounds the memory of a request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Generic, TypeVar

from gateway.problems import DeleteFailed, Problem, StreamFailed
from gateway.stores import DELETE, MAX_REPORTED_FAILURES, Store, WriteOperation
from gateway.wire import ndjson
from kv_batch.bucket import MOST_KEYS
from kv_batch.errors import BatchFailed, NoSuchStore, StoreError, StoreNotGranted
from kv_batch.reading import Part, Read

PART_BYTES = 1024 * 1024
"""The approximate size in bytes of the keys and values that are read from a store at a time."""

REMEMBERED_KEYS = 8_192
"""The number of distinct keys of a request after which they are forgotten, and their repeats not recognized.
gzip repeats bytes of the last 32 KiB, which hold fewer lines, so a small body cannot name more keys again."""

FLUSH_BYTES = 4 * 1024 * 1024
"""The size of lines in bytes at which they are written, however few they are."""

Item = TypeVar("Item")
Blocks = AsyncIterator[ndjson.Lines[Item]]
"""The lines of a body, as `gateway.wire.ndjson.read` gives them."""


async def write_lines(store: Store, write: WriteOperation[Item], blocks: Blocks[Item]) -> int:
    """set-many or delete-many of a body of any length. Returns the number of lines.

    Raises:
        StreamFailed: a line is invalid, the body was cut short, or the store failed.
        NoSuchStore, StoreNotGranted: nothing was done.
    """
    writer = _LineWriter(store, write)
    size = 0
    try:
        async for lines in blocks:
            writer.take(lines)
            size += lines.size
            if lines.problem is not None:
                raise lines.problem
            if size > FLUSH_BYTES:
                await writer.flush()
                size = 0
            elif len(writer.items) >= MOST_KEYS:
                await writer.flush(full_calls=True)
                size = lines.size  # the remaining lines are of this block
    except Problem as problem:
        await writer.flush()
        raise writer.failure(problem) from problem
    await writer.flush()
    if writer.cause is not None and writer.failed:
        raise writer.failure(writer.cause)
    return writer.applied


class _LineWriter(Generic[Item]):
    """Writes the lines of one body to a store, many lines per call.

    Attributes:
        applied: The number of lines that were applied, or that failed and whose key a later line wrote.
        failed: Key to reason of the keys that failed by themselves and that no later call wrote.
        resume_line: The first line that is neither applied nor in `failed`; None if there is none.
        cause: The last error of the store; None if there is none.
        items: The items of the lines that were taken but not yet written.
    """

    def __init__(self, store: Store, write: WriteOperation[Item]) -> None:
        self.applied = 0
        self.failed: dict[str, str] = {}
        self.resume_line: int | None = None
        self.cause: StoreError | None = None
        self._store = store
        self._write = write
        self.items: list[Item] = []
        self._numbers: list[Sequence[int]] = []
        self._failed_lines: Counter[str] = Counter()

    def take(self, lines: ndjson.Lines[Item]) -> None:
        self.items += lines.items
        self._numbers.append(lines.numbers)

    def failure(self, cause: StoreError | Problem) -> StreamFailed:
        return StreamFailed(cause, self.applied, [*self.failed.items()], self.resume_line)

    async def flush(self, *, full_calls: bool = False) -> None:
        """Writes all lines taken.

        Args:
            full_calls: Write only as many lines as make full host calls. The rest is of the last block.

        Raises:
            StreamFailed: the store failed, and no more lines should be taken.
            NoSuchStore, StoreNotGranted: nothing was done so far.
        """
        if not self.items:
            return
        left = len(self.items) % MOST_KEYS if full_calls else 0
        count = len(self.items) - left
        items, self.items = self.items[:count], self.items[count:]
        blocks, self._numbers = self._numbers, [self._numbers[-1][-left:]] if left else []
        try:
            await self._store.write(self._write, items)
        except BatchFailed as error:
            self._record_failure(items, list(islice(chain.from_iterable(blocks), count)), error)
            # Go on after keys that are refused, as long as all of them can be reported. Stop if the store
            # itself failed.
            if self.resume_line is not None:
                raise self.failure(error.cause) from error
        except (NoSuchStore, StoreNotGranted) as error:
            if not self.applied and not self.failed:
                raise
            self.resume_line = self.resume_line or next(chain.from_iterable(blocks))
            raise self.failure(error) from error
        else:
            self.applied += len(items)
            if self.failed:
                self._forget(map(self._write.key_of, items))

    def _record_failure(self, items: list[Item], numbers: list[int], error: BatchFailed) -> None:
        applied = set(error.applied)
        self._forget(applied)
        for key, reason in error.failed:
            if key in error.by_themselves and (
                key in self.failed or len(self.failed) < MAX_REPORTED_FAILURES
            ):
                self.failed[key] = reason
        keys = list(map(self._write.key_of, items))
        self.applied += sum(map(applied.__contains__, keys))
        self._failed_lines.update(filter(self.failed.__contains__, keys))
        done = applied.union(self.failed)
        self.resume_line = next(
            (line for key, line in zip(keys, numbers, strict=True) if key not in done), None
        )
        self.cause = error.cause

    def _forget(self, applied: Iterable[str]) -> None:
        """Takes keys that were applied out of those that failed before."""
        for key in self.failed.keys() & applied:
            del self.failed[key]
            self.applied += self._failed_lines.pop(key)


async def read_lines(
    store: Store, blocks: Blocks[str], always_base64: bool, most_repeated: int
) -> AsyncGenerator[bytes, None]:
    """get-many of a body of any length: one line for each of its lines, in the same order.

    Lines that have arrived are answered before more are awaited. The values that are answered again for
    repeated keys may have `most_repeated` bytes.

    Raises:
        Problem: a line is invalid, the body was cut short, or too much is repeated. Lines before it have been
            answered.
        StoreError: as get_many.
    """
    read = Read([], PART_BYTES, store.retry)
    repeats = _Repeats(most_repeated)
    async for lines in blocks:
        read = Read(lines.items, PART_BYTES, store.retry, read.count)
        async for chunk in _read(store, read, always_base64, repeats, lines.numbers):
            yield chunk
        if lines.problem is not None:
            raise lines.problem


def read_keys(
    store: Store, keys: list[str], always_base64: bool, most_repeated: int
) -> AsyncGenerator[bytes, None]:
    """get-many of a list of keys, as lines in their order. Limits and errors are those of `read_lines`."""
    return _read(store, Read(keys, PART_BYTES, store.retry), always_base64, _Repeats(most_repeated))


async def delete_keys(store: Store, keys: list[str]) -> None:
    """delete-many of keys of any number, in parts.

    Raises:
        DeleteFailed: the store failed, or keys failed by themselves.
        NoSuchStore, StoreNotGranted: nothing was done.
    """
    applied, failed = 0, dict[str, str]()
    cause: StoreError | None = None
    for start in range(0, len(keys), MOST_KEYS):
        part = keys[start : start + MOST_KEYS]
        try:
            await store.write(DELETE, part)
        except BatchFailed as error:
            applied += len(error.applied)
            failed |= dict(error.failed)
            cause = error.cause
            # Go on after keys that failed by themselves, as long as all of them can be reported.
            if (
                error.not_attempted
                or len(failed) >= MAX_REPORTED_FAILURES
                or len(error.by_themselves) < len(error.failed)
            ):
                break
        except (NoSuchStore, StoreNotGranted) as error:
            if not start:
                raise
            cause = error
            break
        else:
            applied += len(part)
    if cause is not None:
        raise DeleteFailed(cause, applied, [*failed.items()], len(keys) - applied - len(failed))


async def export(store: Store, prefix: str, always_base64: bool) -> AsyncGenerator[bytes, None]:
    """Every pair whose key starts with `prefix`, as lines sorted by key.

    The keys are listed at the start, and each value is read when its part is due. A key that is deleted in
    between is left out.

    Raises:
        StoreError: the keys cannot be listed, or values cannot be read.
    """
    keys = await store.list_keys(prefix)
    read = Read(keys, PART_BYTES, store.retry)
    while read.left:
        part = await store.do(read.next)
        pairs = part.values
        if None in pairs.values():
            pairs = {key: value for key, value in pairs.items() if value is not None}
        for chunk in _lines(store, pairs, always_base64) if pairs else ():
            yield chunk


async def _read(
    store: Store, read: Read, always_base64: bool, repeats: _Repeats, numbers: Sequence[int] = ()
) -> AsyncGenerator[bytes, None]:
    while read.left:
        line = numbers[read.start] if numbers else None
        part = await store.do(read.next)
        repeats.add(part, line)
        for run in _runs(part):
            for chunk in _lines(store, run, always_base64):
                yield chunk


class _Repeats:
    """Bounds what is answered again in a request: a small body can name one large value many times."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._keys: set[str] = set()

    def add(self, part: Part, line: int | None) -> None:
        """Adds a part before it is answered. `line` is the number of its first line.

        Raises:
            Problem: `too-large`.
        """
        values = part.values
        self._size += sum(len(values[key] or b"") for key in self._keys.intersection(values))
        if len(part.keys) > len(values):
            self._size += sum(map(len, filter(None, map(values.get, part.keys)))) - part.size
        if self._size > self._most:
            at = f" The answer ends before line {line}." if line else ""
            raise Problem(
                "too-large",
                f"The values of repeated keys would be answered again with more than {self._most} bytes "
                f"(max_answer_bytes).{at} Request each key once.",
                {"line": line} if line else {},
                limit=self._most,
            )
        if len(self._keys) >= REMEMBERED_KEYS:
            self._keys.clear()
        self._keys.update(values)


def _lines(store: Store, pairs: dict[str, bytes | None], always_base64: bool) -> Iterator[bytes]:
    store.record.keys += len(pairs)
    chunks = ndjson.encode_lines(pairs, always_base64)
    while True:
        before = store.record.enter("encode")
        chunk = next(chunks, None)
        store.record.enter(before)
        if chunk is None:
            return
        yield chunk


def _runs(part: Part) -> Iterator[dict[str, bytes | None]]:
    """The pairs of a part in the order of its keys, split where a key is repeated.

    The store was asked for a repeated key once, and the key is answered each time.
    """
    if len(part.values) == len(part.keys):
        yield part.values
        return
    run: dict[str, bytes | None] = {}
    for key in part.keys:
        if key in run:
            yield run
            run = {}
        run[key] = part.values[key]
    yield run
