"""The component for every Spin from 3.0 on: `wasi:http/incoming-handler@0.2.0`.

Each request has an instance of its own, and every host call blocks that instance alone. So nothing is kept
from one request to the next, and single keys are read one by one.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, suppress
from typing import Self

import guests.first  # noqa: F401 - first, see there

# isort: split
import wit_world.exports
from componentize_py_types import Err, Ok
from wit_world.imports import (
    batch,
    monotonic_clock_p2,
    poll,
    streams,
    wasi_config_store,
    wasi_keyvalue_store,
)
from wit_world.imports.http_types_p2 import (
    Fields,
    IncomingRequest,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
)

from gateway import linger
from gateway.gateway import Gateway
from gateway.http import BodyCutShort, Response
from guests import snapshot
from guests.blocking import run
from guests.wasi import WitHost, headers_of, request_of
from kv_batch.wit import Wit

READ_BYTES = 256 * 1024
"""The maximum size of one read of a request's body."""

WIT = Wit(wasi_keyvalue_store, batch, Err)


class Wasi02Body:
    """The body of the request. It must be closed before the request is: the host refuses the other order."""

    def __init__(self, request: IncomingRequest) -> None:
        self._body = request.consume()
        self._stream = self._body.stream()
        self._begun = False
        self.ended = False
        self.received = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._body, self._stream:
            pass

    async def read(self) -> bytes:
        self._begun = True
        chunk = b""
        while not self.ended and not chunk:
            try:
                chunk = self._stream.blocking_read(READ_BYTES)
            except Err as error:
                self.ended = True
                if not isinstance(error.value, streams.StreamError_Closed):
                    raise BodyCutShort from None
        self.received += len(chunk)
        return chunk

    async def grew(self, size: int) -> None:
        """Does nothing: no other request shares the instance."""

    def read_on(self, headers: Mapping[str, str], limits: linger.Limits) -> None:
        """Reads and discards the rest of the body, up to the limits, if the client may still send it."""
        # The host does not show `transfer-encoding` to its guest.
        chunked = "content-length" not in headers
        if self.ended or not linger.may_be_sending(headers, begun=self._begun, chunked=chunked):
            return
        end = time.monotonic() + limits.seconds
        left = limits.bytes
        with self._stream.subscribe() as readable:
            while left > 0 and (seconds := min(limits.silence, end - time.monotonic())) > 0:
                with monotonic_clock_p2.subscribe_duration(int(seconds * 1e9)) as timeout:
                    if 0 not in poll.poll([readable, timeout]):
                        return
                try:
                    left -= len(self._stream.read(READ_BYTES))
                except Err:
                    return


class Answer:
    """The response to one request."""

    def __init__(self, response_out: ResponseOutparam, response: Response) -> None:
        fields = Fields.from_list([(name, value.encode()) for name, value in response.headers])
        self._response_out = response_out
        self._response = OutgoingResponse(fields)
        self._response.set_status_code(response.status)
        self._body = self._response.body()
        self._stream = self._body.write()

    def buffer(self, data: bytes) -> bytes:
        """Writes as much of the data as the host takes without waiting, and returns the rest.

        Before `send`, this makes the head and the first bytes of the body leave together. Apart, the second
        of the two writes waits 40 ms for the client's acknowledgement, since Spin does not set TCP_NODELAY.
        """
        most = self._stream.check_write()
        if data and most:
            self._stream.write(data[:most])
            return data[most:]
        return data

    def send(self) -> None:
        """Hands the response to the host, which sends the head."""
        ResponseOutparam.set(self._response_out, Ok(self._response))

    def write(self, data: bytes) -> bool:
        """Writes all of the data. Returns False if the client is gone."""
        try:
            while data := self.buffer(data):
                with self._stream.subscribe() as writable:
                    writable.block()
        except Err:
            return False
        return True

    def finish(self) -> None:
        """Ends the body. If it is shorter than its `content-length`, the host refuses: so after HEAD."""
        with self._stream:
            pass
        with suppress(Err):
            OutgoingBody.finish(self._body, None)


GATEWAY = Gateway(WitHost(WIT, wasi_config_store.get))


class IncomingHandler(wit_world.exports.IncomingHandler):
    """The export `wasi:http/incoming-handler`."""

    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        run(_handle(request, response_out))


async def _handle(request: IncomingRequest, response_out: ResponseOutparam) -> None:
    with request, Wasi02Body(request) as body:
        headers = headers_of(request.headers().entries(), request.authority)
        asked = request_of(request.method(), request.path_with_query(), headers, body)
        response = await GATEWAY.handle(asked)
        await _send(Answer(response_out, response), response, asked.method == "HEAD")
        # A stranger's body is not read on: it would keep the instance, and the host has not many of them.
        if response.authorized:
            body.read_on(asked.headers, linger.CALLERS)


async def _send(answer: Answer, response: Response, head: bool) -> None:
    if isinstance(response.body, bytes):
        if rest := answer.buffer(b"" if head else response.body):
            answer.send()
            answer.write(rest)
            answer.finish()
        else:
            answer.finish()
            answer.send()
        return
    async with aclosing(response.body) as chunks:
        if head:
            answer.send()
        else:
            await _stream(answer, aiter(chunks))
    answer.finish()


async def _stream(answer: Answer, chunks: AsyncIterator[bytes]) -> None:
    rest = answer.buffer(await anext(chunks, b""))
    answer.send()
    if not answer.write(rest):
        return
    async for chunk in chunks:
        if not answer.write(chunk):
            return


snapshot.settle()
