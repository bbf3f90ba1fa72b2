"""A store that fails as its schedule says, and the calls that it received."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from embedded.store import HostError
from kv_batch.bucket import Clock, Learned, probe_key
from kv_batch.errors import StoreError, StoreUnreachable
from kv_batch.translation import NO_BATCH_READS, store_error
from tests.clock import VirtualTime
from tests.faults.schedule import (
    ANSWERS,
    ANY_NUMBER,
    BACKENDS,
    BEFORE,
    BUSY,
    DENIED,
    GONE,
    PARTS,
    RESET,
    SILENT,
    STRANGER,
    THROTTLED,
    Fault,
    Schedule,
    Value,
)
from tests.wit_types import wasi_keyvalue_store


class Refusal(HostError):
    """An error of the host side.

    Attributes:
        value: The same error as the bindings have it; None if the call was not made.
    """

    def __init__(self, says: str) -> None:
        super().__init__(says)
        self.value: object = {
            GONE: wasi_keyvalue_store.Error_NoSuchStore(),
            DENIED: wasi_keyvalue_store.Error_AccessDenied(),
            SILENT: None,
        }.get(says, wasi_keyvalue_store.Error_Other(says))


@dataclass
class Call:
    """A call that the store received.

    Attributes:
        name: The function of the raw interface.
        keys: Its keys.
        error: The error that the store returned, if any.
        fault: The fault that it met, if any.
        down: Whether the store was down.
    """

    name: str
    keys: list[str]
    error: str | None = None
    fault: Fault | None = None
    down: bool = False

    @property
    def worked(self) -> bool:
        """Whether it succeeded."""
        return self.error is None and self.fault is None

    @property
    def busy(self) -> bool:
        """Whether the store accepts no calls now but may later."""
        return self.error in (BUSY, THROTTLED)

    @property
    def probes(self) -> bool:
        """Whether it tests, with a key that is not there, whether the store accepts writes."""
        # Each instance has a name of its own for it.
        return (
            self.name == "delete_many" and len(self.keys) == 1 and self.keys[0].startswith("kv-batch-probe-")
        )

    @property
    def hopeless(self) -> bool:
        """Whether a smaller call would fail too."""
        return self.busy or self.error in (GONE, DENIED, SILENT)

    @property
    def made(self) -> bool:
        """Whether the call reached the store."""
        return self.error not in (BUSY, SILENT, GONE, DENIED)


class FaultyStore:
    """A store that fails as its schedule says: an `embedded.store.BlockingBucket`.

    It raises only `Refusal`. The model finds forbidden calls in `calls`.

    Attributes:
        data: The contents.
        calls: The calls of the current operation.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.backend = BACKENDS[schedule.backend]
        self.data: dict[str, bytes] = dict(BEFORE)
        self.calls: list[Call] = []
        self._told = ANSWERS[schedule.answers]
        self._faults = schedule.faults
        self._met = [0] * len(schedule.faults)
        self._operation = -1

    def begin(self) -> None:
        """Starts the next operation."""
        self.calls = []
        self._operation += 1

    def forget(self) -> None:
        """Frees the contents after its schedule, since the host keeps the store."""
        self.data, self.calls = {}, []

    def get(self, key: str) -> bytes | None:
        self._call("get", [key])
        return self.data.get(key)

    def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes]]:
        call = self._call("get_many", keys)
        if call.fault is not None:
            return [*((key, b"false") for key in keys), ("nobody asked for this", b"false")]
        pairs: list[tuple[str, Value]] = [(key, self.data.get(key)) for key in keys]
        return self._told(pairs)  # type: ignore[return-value] # a host that returns None is one of the faults

    def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        self._call("set_many", [key for key, _ in pairs], pairs)

    def delete_many(self, keys: Sequence[str]) -> None:
        self._call("delete_many", keys, [(key, None) for key in keys])

    def set(self, key: str, value: bytes) -> None:
        self._call("set", [key], [(key, value)])

    def delete(self, key: str) -> None:
        self._call("delete", [key], [(key, None)])

    def exists(self, key: str) -> bool:
        return self.get(key) is not None

    def list_keys(self, cursor: str | None) -> list[str]:
        self._call("list_keys", [])
        return list(self.data)

    def _call(self, name: str, keys: Sequence[str], changes: Sequence[tuple[str, Value]] = ()) -> Call:
        call = Call(name, list(keys))
        call.fault, call.down = self._fault(call)
        refused = self._refused(call)
        self.calls.append(call)
        if call.fault is not None and call.fault.says != STRANGER:
            says = call.fault.says
            call.error = f"{says} at call {len(self.calls)}" if says == RESET else says
            if refused is None and says not in (BUSY, GONE, DENIED, SILENT):
                done = PARTS[call.fault.done]
                self._apply([each for i, each in enumerate(changes) if done(i, len(keys), each[0])])
        elif refused is not None:
            call.error, count = refused
            self._apply(changes[:count])
        else:
            self._apply(changes)
        if call.error is not None:
            raise Refusal(call.error)
        return call

    def _apply(self, changes: Sequence[tuple[str, Value]]) -> None:
        for key, value in changes:
            if value is None:
                self.data.pop(key, None)
            else:
                self.data[key] = value

    def _fault(self, call: Call) -> tuple[Fault | None, bool]:
        """The fault that this call meets, and whether the store is down."""
        now = (self._operation, len(self.calls))
        for index, fault in enumerate(self._faults):
            if (
                now >= (fault.operation, fault.call)
                and (fault.calls is None or self._met[index] < fault.calls)
                and (not fault.keys or not set(fault.keys).isdisjoint(call.keys))
                and (fault.says != STRANGER or call.name == "get_many")
            ):
                self._met[index] += 1
                return fault, fault.down
        return None, False

    def _refused(self, call: Call) -> tuple[str, int] | None:
        """Why the backend refuses the call, and how many keys it applies before; None if it accepts it."""
        backend, keys, several = self.backend, call.keys, call.name.endswith("_many")
        if call.name == "get_many":
            if not backend.reads_in_batches:
                return backend.says, 0
            if backend.cap < ANY_NUMBER:
                size = sum(len(key) + len(self.data.get(key, b"")) for key in keys)
                if size > backend.cap:
                    return f"query result exceeds limit of {backend.cap} bytes", 0
        if several and len(keys) > backend.most(call.name):
            return "too many items", 0
        if (backend.refused or not backend.empty_key) and not all(map(backend.takes, keys)):
            index = next(index for index, key in enumerate(keys) if not backend.takes(key))
            return f"the key {keys[index]!r} is refused", index if backend.key_by_key else 0
        return None


class FaultyBucket:
    """The store as a `kv_batch.bucket.Bucket`, with the errors into which the real adapter translates."""

    def __init__(self, store: FaultyStore) -> None:
        self.time = VirtualTime()
        self._store = store
        self._learned = Learned()

    @property
    def learned(self) -> Learned:
        return self._learned

    @property
    def clock(self) -> Clock:
        return self.time.clock

    async def answers(self) -> None:
        with _translated():
            self._store.get(probe_key())

    async def get(self, key: str) -> bytes | None:
        with _translated(key):
            return self._store.get(key)

    async def get_each(self, keys: Sequence[str]) -> list[bytes | None]:
        return [await self.get(key) for key in keys]

    async def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes | None]]:
        try:
            with _translated():
                return [*self._store.get_many(keys)]
        except StoreError as error:
            if NO_BATCH_READS.search(error.reason):
                self.learned.batch_reads.never(self.clock.now())
            raise

    async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        with _translated():
            self._store.set_many(pairs)

    async def delete_many(self, keys: Sequence[str]) -> None:
        with _translated():
            self._store.delete_many(keys)

    async def list_keys(self) -> list[str]:
        with _translated():
            return self._store.list_keys(None)


@contextmanager
def _translated(key: str | None = None) -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        if refusal.value is None:
            raise StoreUnreachable(str(refusal)) from refusal
        raise store_error(refusal.value, key) from refusal
