"""Content codings: gzip, in and out (RFC 9110 section 8.4.1, RFC 1952)."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing

from gateway.http import Body
from gateway.problems import Problem
from gateway.wire.place import BODY

UNPACKED_PIECE = 256 * 1024
"""The maximum number of bytes that are decompressed at a time.

A small body may decompress to a thousand times its size. The reader of the body checks its limit after each
piece."""

PACKED_STEP = 16 * 1024
"""The number of bytes that are given to zlib at a time.

zlib copies the input that it has not used, once for each gzip member of the body."""

LEVEL = 1
"""The compression level of answers.

In WebAssembly compression takes longer than everything else, and level 1 gives most of the benefit."""

GZIP_FORMAT = 31
"""The `wbits` of zlib for gzip with the largest window."""


class Unpacked:
    """A gzip body, decompressed as it is read. It may have any number of gzip members, one after another."""

    def __init__(self, packed: Body) -> None:
        self.ended = False
        self._packed = packed
        self._pieces = self._unpack()

    async def read(self) -> bytes:
        """As `Body.read`.

        Raises:
            Problem: `malformed-body`: the body is not gzip, is damaged, or ends too early.
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
                        raise _not_gzip(f"it cannot be decompressed: {error}") from error
                    if piece:
                        yield piece
                        await self.grew(len(piece))
                    step = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
                    # If the piece is full, the same step may contain more.
                    full = len(piece) == UNPACKED_PIECE and not unpacker.eof
        if not unpacker.eof:
            raise _not_gzip("its gzip data is incomplete")


async def packed(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Compresses chunks with gzip. Each chunk can be decompressed as soon as it arrives."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP_FORMAT)
    async with aclosing(chunks):
        async for chunk in chunks:
            yield packer.compress(chunk) + packer.flush(zlib.Z_SYNC_FLUSH)
        yield packer.flush()


def _not_gzip(what: str) -> Problem:
    return Problem("malformed-body", f"The content-encoding of the body is gzip, but {what}.", BODY.where())
