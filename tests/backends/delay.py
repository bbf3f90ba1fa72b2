"""A proxy that adds latency to a loopback server, in each direction."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def delayed(port: int, seconds: float) -> Iterator[int]:
    """Runs a proxy to `port` of the loopback that delays every byte by `seconds`, and yields its port."""
    loop = asyncio.new_event_loop()
    proxy = loop.run_until_complete(asyncio.start_server(_serve(port, seconds), "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield proxy.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        proxy.close()
        loop.close()


def _serve(port: int, seconds: float):  # type: ignore[no-untyped-def]  # asyncio has no name for it
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(
                _carry(reader, server_writer, seconds), _carry(server_reader, writer, seconds)
            )

    return serve


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    while data := await reader.read(65_536):
        # No sleep here: data that arrives meanwhile must be delayed by the same time only.
        loop.call_later(seconds, writer.write, data)
    loop.call_later(seconds, writer.close)
