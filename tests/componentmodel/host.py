"""A host of the component model: one instance, its handles, and its tasks, in virtual time.

    request ─► task ─► the guest runs until its callback code says what it waits for
                         EXIT    the task has ended
                         YIELD   it is called again when nothing else can be done
                         WAIT    it is called with the next event of its set of waitables, one at a time

This is the async part of the Canonical ABI (Component Model, `CanonicalABI.md`), as far as componentize-py
0.25.1 uses it: `Instance` has the functions of the module `componentize_py_runtime`. What is a trap in a real
host is a `Trap` here. This module knows neither HTTP nor stores (`tests.componentmodel.interfaces`).

Which of several tasks goes on, and which of its events it gets, is drawn from a seed. The time advances only
when no task can go on, or while a blocking call stops the instance.
"""

from __future__ import annotations

import re
import sys
import weakref
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from types import ModuleType
from typing import Any

from componentize_py_types import Err, Ok

EXIT, YIELD, WAIT = range(3)
"""Callback codes. The handle of a set stands above the four bits of WAIT."""

SUBTASK, STREAM_READ, STREAM_WRITE, FUTURE_READ, FUTURE_WRITE = range(1, 6)
"""Event codes."""

RETURNED = 2
"""The state of a subtask that has its result."""

COMPLETED, DROPPED = range(2)
"""The outcome of a read or a write. The number of items stands above these four bits."""

MOST_STEPS = 200_000
"""Calls of the guest after which a run is considered endless."""


class Trap(BaseException):
    """The instance has ended, with all its tasks. No `except Exception` of the guest may catch it."""


class Waitable:
    """What a task can wait for.

    Attributes:
        event: The code and the payload of an event that was not delivered yet.
        set: The set that it is in.
        busy: Whether an operation is in progress, whose event was not delivered yet.
    """

    event: tuple[int, int] | None = None
    set: WaitableSet | None = None
    busy = False


class WaitableSet:
    """A set of waitables."""

    def __init__(self) -> None:
        self.members: dict[Waitable, int] = {}

    def pending(self) -> list[tuple[Waitable, int]]:
        """The members with an event, and their handles."""
        return [(waitable, handle) for waitable, handle in self.members.items() if waitable.event]


class Subtask(Waitable):
    """A call of the host that has not returned at once."""

    busy = True


class Channel:
    """A stream, or a future: a stream of one item. The host has one end of it, and the guest the other.

    Attributes:
        future: Whether it is a future.
        items: What was written and not read yet.
        closed: Whether the writable end was dropped.
        gone: Whether the readable end was dropped.
        wanted: The number of items for which the host waits, if it is the reader.
        taken: Is told of the items that the host has read.
        ended: Is told that the guest has dropped the writable end.
    """

    def __init__(self, items: Any = b"", *, future: bool = False) -> None:
        self.future = future
        self.items = items
        self.closed = self.gone = False
        self.wanted = 0
        self.taken: Callable[[Any], None] = lambda _: None
        self.ended: Callable[[], None] = lambda: None
        self.reader = End(self)
        self.writer = End(self)

    # The host's side

    def feed(self, items: Any) -> None:
        """Writes items. A guest that waits for some has them."""
        self.items += items
        self.serve_reader()

    def close(self) -> None:
        """Drops the writable end."""
        self.closed = True
        self.serve_reader()

    def serve_reader(self) -> None:
        end = self.reader
        if end.busy and end.event is None and (self.items or self.closed):
            end.result, outcome = self.read(end.most)
            end.event = (FUTURE_READ if self.future else STREAM_READ), outcome

    def want(self, count: int) -> None:
        """Reads up to so many items, now or when the guest writes some."""
        self.wanted = count
        end = self.writer
        if end.busy and end.event is None:
            end.event = (FUTURE_WRITE if self.future else STREAM_WRITE), self.write(end.data)

    def leave(self) -> None:
        """Drops the readable end."""
        self.gone = True
        end = self.writer
        if end.busy and end.event is None:
            end.event = (FUTURE_WRITE if self.future else STREAM_WRITE), DROPPED

    # Both sides

    def read(self, most: int) -> tuple[Any, int]:
        """Items for the guest, and the outcome."""
        items, self.items = self.items[:most], self.items[most:]
        self.reader.done = self.future or (self.closed and not self.items)
        code = DROPPED if self.reader.done and not self.future else COMPLETED
        return items, code | len(items) << 4

    def write(self, data: Any) -> int:
        """The outcome of a write of the guest, of which the host takes what it wants."""
        items = data[: self.wanted]
        self.wanted = 0
        self.writer.done = self.future
        self.taken(items)
        return COMPLETED | len(items) << 4


class End(Waitable):
    """One end of a channel.

    Attributes:
        done: Whether the other end was seen to be dropped, or the item of a future was transferred.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.done = False
        self.most = 0
        self.data: Any = None
        self.result: Any = None

    def __repr__(self) -> str:
        channel = self.channel
        end = "readable" if self is channel.reader else "writable"
        return f"the {end} end of a {'future' if channel.future else 'stream'}, {vars(self)}, {vars(channel)}"


class Resource:
    """A resource of the host that the guest has.

    Attributes:
        value: What the host has behind it.
    """

    def __init__(self, value: Any) -> None:
        self.value = value


class Task:
    """A task of the component model: one call of an export.

    Attributes:
        returned: Is told the result of the call. None once that was done.
        context: What the guest has stored for the task.
        waits_for: The set of which it waits for an event.
        state: The last callback code; None before the start.
    """

    def __init__(self, start: Callable[[], int], returned: Callable[[Any], None]) -> None:
        self.start = start
        self.returned: Callable[[Any], None] | None = returned
        self.context: Any = None
        self.waits_for: WaitableSet | None = None
        self.state: int | None = None

    @property
    def can_go_on(self) -> bool:
        return self.state is None or (
            self.state == WAIT and self.waits_for is not None and bool(self.waits_for.pending())
        )


class Instance:
    """An instance of a component.

    Attributes:
        now: The time in seconds since the start.
        random: The source of every choice of the host.
        table: The handles of the guest.
        tasks: All tasks so far.
        promises: The operations of the guest in progress, and those whose result it has not taken yet.
        stopped: Seconds for which blocking calls have stopped the instance so far.
    """

    def __init__(self, random: Random) -> None:
        self.now = 0.0
        self.random = random
        self.table: dict[int, Any] = {}
        self.tasks: list[Task] = []
        self.promises: dict[int, Callable[[int], Any]] = {}
        self.stopped = 0.0
        self.most_at_once = 16
        """The requests without an answer that Spin passes to an instance at once."""
        self.callback: Callable[[int, int, int], int]
        self._current: Task | None = None
        self._trap: Trap | None = None
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = 0
        self._free: list[int] = []
        self._reuses = False

    # The host

    def begin(self, seed: int) -> None:
        """Begins, with the choices of a seed."""
        self.random.seed(seed)
        # Wasmtime gives a free handle to the next object. Without that, a use after a drop is always found.
        self._reuses = self.random.random() < 0.5

    def at(self, when: float, do: Callable[[], None]) -> None:
        """Does something at that time."""
        heappush(self._timers, (max(when, self.now), self._number(), do))

    def block(self, until: float) -> None:
        """A blocking call: no task runs until that time."""
        self.stopped += max(until - self.now, 0.0)
        self.now = max(until, self.now)

    def run(self) -> None:
        """Runs the tasks until nothing is left that could happen.

        Raises:
            Trap: the instance has ended. An exception of the guest is its cause.
        """
        steps = 0
        while True:
            waiting = sum(task.state is not None and task.returned is not None for task in self.tasks)
            ready = [
                task
                for task in self.tasks
                if task.can_go_on and (task.state is not None or waiting < self.most_at_once)
            ]
            ready = ready or [task for task in self.tasks if task.state == YIELD]
            if ready:
                self._step(self.random.choice(ready))
                steps += 1
                if steps > MOST_STEPS:
                    raise AssertionError(f"{steps} steps, and no end at {self.now:.3f} s")
            elif self._timers:
                when, _, do = heappop(self._timers)
                self.now = max(self.now, when)
                do()
            else:
                return

    def _step(self, task: Task) -> None:
        self._current = task
        try:
            code = self._call(task)
        except Exception as error:
            raise Trap("an exception has left the guest") from error
        finally:
            self._current = None
        if self._trap is not None:
            raise self._trap
        task.state, handle = code & 0xF, code >> 4
        task.waits_for = self._get(handle, WaitableSet) if task.state == WAIT else None
        if task.state == EXIT and task.returned is not None:
            raise Trap("a task has exited without a result")

    def _call(self, task: Task) -> int:
        if task.state is None:
            return task.start()
        if task.waits_for is None:
            return self.callback(0, 0, 0)
        waitable, handle = self.random.choice(task.waits_for.pending())
        assert waitable.event is not None
        code, payload = waitable.event
        waitable.event, waitable.busy = None, False
        return self.callback(code, handle, payload)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _trapped(self, message: str) -> Trap:
        # The guest may keep what it raises in a task.
        self._trap = self._trap or Trap(message)
        return self._trap

    # Handles

    def add(self, item: Any) -> int:
        handle = self._free.pop() if self._reuses and self._free else self._number()
        self.table[handle] = item
        return handle

    def _get(self, handle: int, kind: type[Any]) -> Any:
        item = self.table.get(handle)
        if not isinstance(item, kind):
            raise self._trapped(f"handle {handle} is {item}, and not a {kind.__name__}")
        return item

    def _drop(self, handle: int, kind: type[Any]) -> Any:
        item = self._get(handle, kind)
        if isinstance(item, Waitable):
            if item.busy:
                raise self._trapped(f"handle {handle} is dropped with an operation in progress")
            self.waitable_join(handle, 0)
        del self.table[handle]
        self._free.append(handle)
        return item

    def lift(self, cls: type[Any], value: Any) -> Any:
        """A new object of the guest for a resource that the host passes to it."""
        item: Any = object.__new__(cls)
        item.handle = self.add(Resource(value))
        item.finalizer = weakref.finalize(item, self.drop_resource, 0, item.handle)
        return item

    def borrowed(self, item: Any) -> Any:
        """The value of a resource that the guest passes as a borrow."""
        return self._get(item.handle, Resource).value

    def owned(self, item: Any) -> Any:
        """The value of a resource, or the channel, that the guest passes to the host for good."""
        handle = item.handle
        del item.handle
        item.finalizer.detach()
        taken = self._drop(handle, object)
        return taken.channel if isinstance(taken, End) else taken.value

    # The functions of componentize_py_runtime

    def installed(self, stub: str) -> None:
        """Makes the module `componentize_py_runtime`.

        Args:
            stub: The text of its stub, whose functions it has.
        """
        module = ModuleType("componentize_py_runtime")
        for name in re.findall(r"^def (\w+)", stub, re.MULTILINE):
            setattr(module, name, getattr(self, name))
        sys.modules[module.__name__] = module

    def context_set(self, value: Any) -> None:
        assert self._current is not None
        self._current.context = value

    def context_get(self) -> Any:
        assert self._current is not None
        return self._current.context

    def call_task_return(self, _index: int, _borrows: int, result: Any) -> None:
        assert self._current is not None
        if self._current.returned is None:
            raise self._trapped("a task has returned twice")
        returned, self._current.returned = self._current.returned, None
        returned(result)

    def waitable_set_new(self) -> int:
        return self.add(WaitableSet())

    def waitable_set_drop(self, handle: int) -> None:
        if self._get(handle, WaitableSet).members:
            raise self._trapped("a set is dropped with members")
        self._drop(handle, WaitableSet)

    def waitable_join(self, handle: int, into: int) -> None:
        waitable = self._get(handle, Waitable)
        if waitable.set is not None:
            del waitable.set.members[waitable]
        waitable.set = self._get(into, WaitableSet) if into else None
        if waitable.set is not None:
            waitable.set.members[waitable] = handle

    def subtask_drop(self, handle: int) -> None:
        self._drop(handle, Subtask)

    def promise_get_result(self, event: int, promise: int) -> Any:
        return self.promises.pop(promise)(event)

    def async_call(self, until: float, result: Callable[[], Any]) -> Any:
        """An asynchronous call of the host, which returns at that time. So `call_import` does it."""
        if until <= self.now:
            return Ok(result())
        subtask = Subtask()
        handle = self.add(subtask)

        def returned() -> None:
            value = result()
            self.promises[promise] = lambda _: value
            subtask.event = SUBTASK, RETURNED

        promise = self._promise(lambda _: None)
        self.at(until, returned)
        return Err((handle, promise))

    def drop_resource(self, _kind: int, handle: int) -> None:
        self._drop(handle, Resource)

    def stream_new(self, _kind: int) -> int:
        return self._new(Channel())

    def future_new(self, _kind: int) -> int:
        return self._new(Channel([], future=True))

    def _new(self, channel: Channel) -> int:
        return self.add(channel.writer) << 32 | self.add(channel.reader)

    def stream_read(self, _kind: int, handle: int, most: int) -> Any:
        return self._read(handle, most, lambda items, event: (event & 0xF, items))

    def future_read(self, _kind: int, handle: int) -> Any:
        return self._read(handle, 1, lambda items, _: items[0])

    def _read(self, handle: int, most: int, lifted: Callable[[Any, int], Any]) -> Any:
        end = self._idle(handle)
        channel = end.channel
        if channel.items or channel.closed:
            return Ok(lifted(*channel.read(most)))
        end.busy, end.most = True, most
        return Err((handle, self._promise(lambda event: lifted(end.result, event))))

    def stream_write(self, _kind: int, handle: int, data: Any) -> Any:
        return self._write(handle, data)

    def future_write(self, _kind: int, handle: int, value: Any) -> Any:
        return self._write(handle, [value])

    def _write(self, handle: int, data: Any) -> Any:
        end = self._idle(handle)
        channel = end.channel
        if channel.gone or channel.wanted:
            return Ok(self._written(end, DROPPED if channel.gone else channel.write(data)))
        end.busy, end.data = True, data
        return Err((handle, self._promise(lambda event: self._written(end, event))))

    def _written(self, end: End, event: int) -> tuple[int, int]:
        code, count = event & 0xF, event >> 4
        end.done = end.done or code == DROPPED
        return code, count

    def _idle(self, handle: int) -> Any:
        end = self._get(handle, End)
        if end.busy or end.done:
            raise self._trapped(f"handle {handle} is used during an operation, or after the last one")
        return end

    def _promise(self, lift: Callable[[int], Any]) -> int:
        promise = self._number()
        self.promises[promise] = lift
        return promise

    def stream_drop_readable(self, _kind: int, handle: int) -> None:
        self._drop(handle, End).channel.leave()

    future_drop_readable = stream_drop_readable

    def stream_drop_writable(self, _kind: int, handle: int) -> None:
        channel = self._drop(handle, End).channel
        channel.closed = True
        channel.ended()

    def future_drop_writable(self, _kind: int, handle: int) -> None:
        end = self._get(handle, End)
        if not end.done and not end.channel.gone:
            raise self._trapped("a future is dropped without a value")
        self.stream_drop_writable(_kind, handle)
