"""uvicorn's HTTP/1.1, which ends connections as RFC 9112 section 9.6 requires.

- A client that closes only its own half of the connection still gets its answer.
- A client that is still sending when it is answered can read the answer: the server closes its half of the
  connection, and reads on and discards what the client sends, within the limits of `gateway.linger`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from gateway import linger

HALF_CLOSED = "kv-batch.half-closed"
"""In the scope of a request whose client has closed its half of the connection and can send no more."""

AUTHORIZED = "kv-batch.authorized"
"""In the scope of a request that was answered: whether its caller may use the gateway."""


class Connection:
    """The transport of a connection for uvicorn. `close` is delayed while the connection lingers."""

    def __init__(self, transport: asyncio.Transport, lingers: Callable[[], bool]) -> None:
        self._transport = transport
        self._lingers = lingers
        self._closing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        """Closes the connection. A second call closes it at once, even if it lingers."""
        if self._closing or not self._lingers():
            self._transport.close()
        self._closing = True


class Protocol(H11Protocol):
    """One connection. It may linger after uvicorn has closed it."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._left: int | None = None
        """Bytes that may still be read and discarded; None while the connection does not linger."""
        self._silence = 0.0
        self._timers: list[asyncio.TimerHandle] = []
        self._heard = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(Connection(transport, self._lingers))  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        if self._left is None:
            super().data_received(data)
            return
        self._left -= len(data)
        self._heard = self.loop.time()
        if self._left <= 0 or self._body_ended(data):
            self.transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn narrows the result to None
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        scope: MutableMapping[str, Any] = cycle.scope  # type: ignore[assignment]
        scope[HALF_CLOSED] = True
        cycle.message_event.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in self._timers:
            timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and HALF_CLOSED in cycle.scope:  # no other request can arrive
            self.transport.close()

    def _lingers(self) -> bool:
        """Starts to linger, if the server has answered but the client may still be sending.

        Returns:
            Whether the connection lingers.
        """
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or not cycle.response_complete or HALF_CLOSED in cycle.scope:
            return False
        if self.conn.their_state is not h11.SEND_BODY:
            return False
        limits = linger.limits(bool(cycle.scope.get(AUTHORIZED)))
        self._left, self._silence = limits.bytes, limits.silence
        self._heard = self.loop.time()
        self._timers = [
            self.loop.call_later(limits.seconds, self.transport.close),
            self.loop.call_later(limits.silence, self._still_heard),
        ]
        self._unset_keepalive_if_required()
        self.transport.write_eof()
        self.flow.resume_reading()
        return True

    def _still_heard(self) -> None:
        """Closes the connection if the client has been silent for too long; otherwise checks again later."""
        left = self._heard + self._silence - self.loop.time()
        if left <= 0:
            self.transport.close()
        else:
            self._timers[1] = self.loop.call_later(left, self._still_heard)

    def _body_ended(self, data: bytes) -> bool:
        """Whether the body ends with this data, or became malformed."""
        self.conn.receive_data(data)
        try:
            while isinstance(event := self.conn.next_event(), h11.Data):
                pass
        except h11.RemoteProtocolError:
            return True
        return event is not h11.NEED_DATA

    def _unsupported_upgrade_warning(self) -> None:
        """Logs nothing: an upgrade that is not supported is ignored (RFC 9110 section 7.8).

        Java's client asks for h2c with each first request, and uvicorn would write two lines into the log.
        """
