"""Make the objects of a component's snapshot immortal: `python -m tools.immortal FILE.wasm`.

The file is changed in place. CPython counts the references to an object in the object itself, so merely using
one writes to its page of the snapshot. Then the host copies the page for that one instance, and the caches of
the processor no longer share it among instances. It does not count the references to an immortal object (PEP
683). No object of the snapshot is ever freed anyway, but only C code can make one immortal while Python runs.
So this program does it in the memory that the component begins with, for the objects that are listed there by
`guests/snapshot.py` (docs/decisions/0019-snapshot.md).
"""

from __future__ import annotations

import struct
import sys
from bisect import bisect_right

from guests.snapshot import BEGIN, END
from tools import wasm
from tools.compiled import change_in_place

KNOWN = {"0.25.1"}
"""The versions of componentize-py whose CPython has the layout of 3.14 with pointers of 32 bits."""

IMMORTAL = 5 << 28
"""What CPython sets the reference count of an immortal object to (`_Py_IMMORTAL_INITIAL_REFCNT`)."""

LEAST_IMMORTAL = 1 << 30
"""The least reference count of an immortal object (`_Py_IMMORTAL_MINIMUM_REFCNT`)."""

MOST_REFERENCES = 1 << 20
"""No object has more references. What is left of a freed one begins with an address, which is larger."""

MOST_FREED = 1000
"""How many of the listed objects may have been freed before the snapshot was taken."""


class Snapshot:
    """The memory that a core module begins with.

    Attributes:
        data: Its data section, which can be changed.
        memory: The memory that the section describes, from address 0. It does not change with it.
    """

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self._segments = sorted(wasm.segments(data), key=lambda segment: segment.address)
        self._addresses = [segment.address for segment in self._segments]
        last = self._segments[-1]
        self.memory = bytearray(last.address + last.size)
        for segment in self._segments:
            part = data[segment.start : segment.start + segment.size]
            self.memory[segment.address : segment.address + segment.size] = part

    def objects(self) -> list[tuple[int, int]]:
        """The address and the number of references of each object that the guest has listed, and that exists.

        An object begins with the number of its references and the address of its type.

        Raises:
            Unexpected: There is no list, or what it lists are no objects.
        """
        addresses = self._listed()
        known = set(addresses)
        objects = []
        for address in addresses:
            references, type_address = struct.unpack_from("<II", self.memory, address)
            if type_address in known and (0 < references < MOST_REFERENCES or references >= LEAST_IMMORTAL):
                objects.append((address, references))
        if len(addresses) - len(objects) > MOST_FREED:
            raise wasm.Unexpected(f"only {len(objects)} of {len(addresses)} listed addresses have an object")
        return objects

    def _listed(self) -> list[int]:
        # The marks are also elsewhere in memory, for instance among the constants of guests/snapshot.py.
        at = self.memory.find(BEGIN)
        while at >= 0:
            start = at + len(BEGIN) + 4
            (count,) = struct.unpack_from("<I", self.memory, start - 4)
            if self.memory.startswith(END, start + 4 * count):
                return list(struct.unpack_from(f"<{count}I", self.memory, start))
            at = self.memory.find(BEGIN, start - 4)
        raise wasm.Unexpected("its memory has no list of objects")

    def write(self, address: int, number: int) -> None:
        """Changes four bytes of the memory, which must lie within one segment."""
        segment = self._segments[bisect_right(self._addresses, address) - 1]
        offset = address - segment.address
        if not 0 <= offset <= segment.size - 4:
            raise wasm.Unexpected(f"no segment has the object at {address:#x}")
        struct.pack_into("<I", self.data, segment.start + offset, number)


def immortal(component: bytes) -> bytes:
    """Return the component with all listed objects immortal.

    Raises:
        Unexpected: It does not have exactly one memory with a list, or the list is not one of objects.
    """
    parts = list(wasm.sections(component))
    holders = [part for part in parts if part.id == wasm.CORE_MODULE and BEGIN in part.data]
    if len(holders) != 1:
        raise wasm.Unexpected(
            f"{len(holders)} of its core modules have a list of objects; expected exactly 1"
        )
    module = list(wasm.sections(holders[0].data))
    [data] = [section for section in module if section.id == wasm.DATA]
    snapshot = Snapshot(data.data)
    for address, references in snapshot.objects():
        if references < LEAST_IMMORTAL:
            snapshot.write(address, IMMORTAL)
    data.data = bytes(snapshot.data)
    holders[0].data = wasm.joined(holders[0].data, module)
    return wasm.joined(component, parts)


def main() -> int:
    """Change the component that the command line names. Returns the exit code."""
    check = (
        "Check whether its CPython still begins an object with 32 bits of references and the address of its "
        "type, and which objects are immortal (Include/refcount.h). Then add the version to KNOWN in "
        "tools/immortal.py."
    )
    return change_in_place("make immortal the objects of", immortal, KNOWN, check)


if __name__ == "__main__":
    sys.exit(main())
