"""Content codings: gzip, in and out (RFC 9110 section 8.4.1, RFC 1952)."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing

from gateway.http import Body
from gateway.problems import Problem
from gateway.wire.place import BODY

UNPACKED_PIECE = 256 * 1024
"""The most bytes that are unpacked at a time: a small body may unpack to a thousand times its size, and
whoever reads it counts what has come before there is more."""

PACKED_STEP = 16 * 1024
"""Bytes that are given to zlib at a time: what it does not take it copies, for each member of the body."""

LEVEL = 1
"""How hard answers are packed. In WebAssembly packing takes longer than all else; the first level gets the
most of it."""

GZIP_FORMAT = 31
"""zlib's number for gzip with the largest window."""


class Unpacked:
    """A body that came packed with gzip, as it was before: any number of gzip members, one after another."""

    def __init__(self, packed: Body) -> None:
        self._packed = packed
        self._pieces = self._unpack()

    async def read(self) -> bytes:
        """As `Body.read`.

        Raises:
            Problem: `malformed-body`: it is not gzip, is damaged, or ends too early.
        """
        return await anext(self._pieces, b"")

    async def grew(self, size: int) -> None:
        await self._packed.grew(size)

    async def _unpack(self) -> AsyncGenerator[bytes, None]:
        unpacker = zlib.decompressobj(GZIP_FORMAT)
        while chunk := await self._packed.read():
            for start in range(0, len(chunk), PACKED_STEP):
                step = chunk[start : start + PACKED_STEP]
                full = False
                while step or full:
                    if unpacker.eof:
                        unpacker = zlib.decompressobj(GZIP_FORMAT)
                    try:
                        piece = unpacker.decompress(step, UNPACKED_PIECE)
                    except zlib.error as error:
                        raise _not_gzip(f"it cannot be unpacked: {error}") from error
                    if piece:
                        yield piece
                        await self.grew(len(piece))
                    step = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
                    # If it is full, there may be more of the same step.
                    full = len(piece) == UNPACKED_PIECE and not unpacker.eof
        if not unpacker.eof:
            raise _not_gzip("it ends before its gzip data does")


async def packed(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The chunks, packed with gzip. Each can be unpacked when it arrives: nothing waits for the next."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP_FORMAT)
    async with aclosing(chunks):
        async for chunk in chunks:
            yield packer.compress(chunk) + packer.flush(zlib.Z_SYNC_FLUSH)
        yield packer.flush()


def _not_gzip(what: str) -> Problem:
    return Problem("malformed-body", f"The content-encoding of the body is gzip, but {what}.", BODY.where())
