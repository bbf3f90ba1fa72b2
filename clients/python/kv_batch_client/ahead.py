"""Reads an iterator ahead in a thread, so that reading and writing take place at the same time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeAlias, TypeVar

Item = TypeVar("Item")

Entries: TypeAlias = "queue.Queue[tuple[Item, ...] | BaseException]"
"""An item in a tuple, an empty tuple for the end, or the error that ended the items."""

_CHECK_SECONDS = 0.1
"""How often the thread checks whether its items are still wanted."""


def read_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The items. While one is in use, the next one is held and the one after it is read.

    The iterator of the items runs in a thread, which ends before its next item if the reader stops early. An
    error of the iterator is raised where its item is due.
    """
    entries: Entries[Item] = queue.Queue(1)
    stopped = threading.Event()

    def read() -> None:
        try:
            for item in items:
                _put(entries, (item,), stopped)
                if stopped.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - the reader raises it
            _put(entries, error, stopped)
        else:
            _put(entries, (), stopped)

    # A daemon: Ctrl-C does not wait for an answer that the thread waits for.
    threading.Thread(target=read, daemon=True).start()
    try:
        while entry := entries.get():
            if isinstance(entry, BaseException):
                raise entry
            yield entry[0]
    finally:
        stopped.set()


def _put(entries: Entries[Item], entry: tuple[Item, ...] | BaseException, stopped: threading.Event) -> None:
    """Adds an entry as soon as there is room, unless the reader has stopped."""
    while not stopped.is_set():
        try:
            entries.put(entry, timeout=_CHECK_SECONDS)
        except queue.Full:
            continue
        return
