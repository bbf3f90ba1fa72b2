"""The binary format of WebAssembly, as far as the tools change compiled components.

A component and a core module are both eight bytes and then sections (WebAssembly core specification 2.0,
section 5.5; Component Model, Binary.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

CORE_MODULE = 1
"""The id of a core module's section in a component."""

IMPORTS, FUNCTIONS, EXPORTS, CODE, DATA = 2, 3, 7, 10, 11
"""The ids of sections in a core module."""

I32_CONST, END = 0x41, 0x0B
"""The instructions of an address in an active data segment."""


class Unexpected(Exception):
    """A component does not have the expected structure."""


@dataclass
class Section:
    """One section of a core module or a component: its id and its contents, without the size."""

    id: int
    data: bytes


@dataclass(frozen=True)
class Segment:
    """A data segment that is copied to memory when the module is instantiated (section 5.5.14, kind 0).

    Attributes:
        address: Where it is copied to.
        start: Where it begins in the section.
        size: Its length in bytes.
    """

    address: int
    start: int
    size: int


def sections(binary: bytes) -> Iterator[Section]:
    """The sections of a component or a core module."""
    at = 8
    while at < len(binary):
        size, start = number(binary, at + 1)
        yield Section(binary[at], binary[start : start + size])
        at = start + size


def joined(binary: bytes, parts: Iterable[Section]) -> bytes:
    """A component or a core module that has other sections, and is otherwise as it was."""
    return binary[:8] + b"".join(map(written, parts))


def written(section: Section) -> bytes:
    """A section with its id and its size."""
    return bytes([section.id]) + leb(len(section.data)) + section.data


def segments(data: bytes) -> Iterator[Segment]:
    """The active segments of a data section whose addresses are constants, in its order.

    Raises:
        Unexpected: A segment is of another kind.
    """
    count, at = number(data, 0)
    for _ in range(count):
        if data[at] != 0 or data[at + 1] != I32_CONST:
            raise Unexpected(f"a data segment begins with {data[at : at + 2].hex()}, and not with an address")
        address, at = signed(data, at + 2)
        if data[at] != END:
            raise Unexpected("the address of a data segment is not one constant")
        size, start = number(data, at + 1)
        yield Segment(address % 2**32, start, size)
        at = start + size


def name(data: bytes, at: int) -> tuple[bytes, int]:
    """The name at a position, and the position after it."""
    size, at = number(data, at)
    return data[at : at + size], at + size


def numbers(data: bytes, count: int) -> Iterator[int]:
    """So many unsigned numbers from the beginning."""
    at = 0
    for _ in range(count):
        value, at = number(data, at)
        yield value


def number(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned LEB128 at a position, and the position after it."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def signed(data: bytes, at: int) -> tuple[int, int]:
    """The signed LEB128 at a position, and the position after it."""
    value, end = number(data, at)
    bits = 7 * (end - at)
    return value - (value >> (bits - 1) << bits), end


def leb(value: int) -> bytes:
    """A number as unsigned LEB128."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
