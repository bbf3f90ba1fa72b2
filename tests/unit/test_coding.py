"""gzip in and out: cut anywhere, damaged, and blown up."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.problems import Problem
from gateway.wire.coding import PACKED_STEP, UNPACKED_PIECE, Unpacked, packed
from tests.unit.test_gateway import SmallBody

TEXT = b"".join(b'{"key": "%d", "value": "v"}\n' % number for number in range(500))


def unpack(*chunks: bytes) -> list[bytes]:
    """The pieces of a packed body that comes in these chunks."""

    async def read() -> list[bytes]:
        packed = SmallBody([chunk for chunk in chunks if chunk])
        body = Unpacked(packed)
        pieces = []
        while piece := await body.read():
            pieces.append(piece)
        assert await body.read() == b""
        assert packed.grown == sum(map(len, pieces))
        return pieces

    return asyncio.run(read())


@given(st.lists(st.binary(max_size=200), max_size=4), st.lists(st.integers(0, 400), max_size=4).map(sorted))
def test_members_are_unpacked_however_the_network_cuts_them(members: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(map(gzip.compress, members)) or gzip.compress(b"")
    chunks = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert b"".join(unpack(*chunks)) == b"".join(members)


def test_what_ends_on_the_edge_of_a_piece_or_step_is_whole() -> None:
    for size in (UNPACKED_PIECE - 1, UNPACKED_PIECE, UNPACKED_PIECE + 1, 2 * UNPACKED_PIECE, PACKED_STEP):
        data = bytes(size)
        assert b"".join(unpack(gzip.compress(data) + gzip.compress(b"more"))) == data + b"more"
    noise = zlib.compress(TEXT) * 500  # packs to more than a step
    assert b"".join(unpack(gzip.compress(noise))) == noise


@pytest.mark.parametrize(
    "body",
    [
        b"",
        TEXT,
        gzip.compress(TEXT)[:-1],
        gzip.compress(TEXT)[:5],
        gzip.compress(TEXT) + b"and more",
        gzip.compress(TEXT)[:-8] + bytes(8),
        zlib.compress(TEXT),
        gzip.compress(TEXT) + gzip.compress(TEXT)[:20],
    ],
    ids=["nothing", "text", "less 1", "head only", "trailing", "wrong sum", "zlib", "half a member"],
)
def test_what_is_no_gzip_is_refused(body: bytes) -> None:
    with pytest.raises(Problem, match=r"content-encoding of the body is gzip, but it") as caught:
        unpack(body)
    assert caught.value.code == "malformed-body"


def test_a_bomb_goes_off_in_small_pieces() -> None:
    bomb = gzip.compress(bytes(32 * 1024 * 1024))
    assert len(bomb) < 40_000
    pieces = unpack(bomb)
    assert max(map(len, pieces)) <= UNPACKED_PIECE
    assert sum(map(len, pieces)) == 32 * 1024 * 1024


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_each_chunk_can_be_unpacked_when_it_comes(chunks: list[bytes]) -> None:
    closed = False

    async def answer() -> AsyncGenerator[bytes, None]:
        nonlocal closed
        try:
            for chunk in chunks:
                yield chunk
        finally:
            closed = True

    async def send() -> list[bytes]:
        return [chunk async for chunk in packed(answer())]

    sent = asyncio.run(send())
    unpacker = zlib.decompressobj(31)
    for chunk, piece in zip(chunks, sent, strict=False):
        assert unpacker.decompress(piece) == chunk
    assert gzip.decompress(b"".join(sent)) == b"".join(chunks)
    assert closed
