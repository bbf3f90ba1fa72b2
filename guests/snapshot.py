"""What a component begins with: componentize-py stores the memory that Python has once the entry is imported.

Each instance begins with that memory, and shares each page of it with all other instances until it writes
there. So an instance is fast if it writes to few pages, and if those that it reads lie close together
(docs/decisions/0019-snapshot.md).
"""

from __future__ import annotations

import gc
from array import array
from types import CodeType, FrameType

BEGIN, END = b"<objects of the snapshot>", b"</objects of the snapshot>"
"""What stands before and after the list of objects, by which `tools/immortal.py` finds it in the memory. The
list is the number of objects and their addresses, in 4 bytes each, little-endian."""

LARGEST_PIECE = 1 << 22
"""The largest piece of memory with which a hole is filled, in bytes. A larger hole gets several."""

_kept: list[bytes] = []


def fill_holes() -> None:
    """Fills the memory that is free between objects, so that all later objects lie side by side behind them.

    Otherwise they would be spread over the free pieces of the whole memory. This suits the allocator that
    CPython has on WASI, which is that of the C library. It takes a piece that is as small as possible, and
    memory behind all pieces only if none is large enough. Zeros also take no space in the component, unlike
    what is left of freed objects.
    """
    gc.collect()
    # What is free behind all objects is also cleared. That is where so large a piece is.
    end = max(map(id, [bytes(LARGEST_PIECE), *_kept]))
    size = LARGEST_PIECE
    while size > 1:  # there is only one object for each single byte
        while id(piece := bytes(size)) < end:
            _kept.append(piece)
        del piece
        size = size * 15 // 16 if size > 1024 else size - 8


def settle() -> None:
    """Makes the memory ready to be stored, and lists its objects for `tools/immortal.py`.

    It is the last thing that an entry does. All objects that exist now stay for ever, so the collector can
    ignore them. And thousands of new pairs, none of them garbage, should not start a collection.
    """
    gc.collect()
    _kept.append(_listed(addresses()))
    fill_holes()
    gc.freeze()
    gc.set_threshold(100_000)


def addresses() -> list[int]:
    """The addresses of all objects that can be reached, but frames."""
    found: set[int] = set()
    waiting = gc.get_objects()
    temporary = {id(found), id(waiting)}
    while waiting:
        item = waiting.pop()
        if id(item) in found or id(item) in temporary or isinstance(item, FrameType):
            continue
        found.add(id(item))
        waiting.append(type(item))
        waiting.extend(gc.get_referents(item))
        if isinstance(item, CodeType):  # the collector does not know what it refers to
            waiting += item.co_consts, item.co_names, item.co_exceptiontable, item.co_linetable
            waiting += item.co_filename, item.co_name, item.co_qualname
    return sorted(found)


def _listed(objects: list[int]) -> bytes:
    return BEGIN + len(objects).to_bytes(4, "little") + array("I", objects).tobytes() + END
