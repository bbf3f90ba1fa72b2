"""The interfaces that the host offers: HTTP, stores, a clock, and variables.

The functions of the generated bindings have no bodies in `bindings/`. Here they get bodies like those that
componentize-py generates when it compiles a component, with this host behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any

import componentize_py_async_support as support
import wit_world
from componentize_py_async_support.futures import FutureReader, FutureWriter
from componentize_py_async_support.streams import (
    ByteStreamReader,
    ByteStreamWriter,
    StreamReader,
)
from componentize_py_types import Err, Ok
from wit_world.imports import (
    batch,
    key_value,
    monotonic_clock,
    wasi_config_store,
    wasi_http_types,
    wasi_keyvalue_store,
)

from tests.componentmodel.host import Channel, Instance

NO_BATCH_READS = "An error was signalled by the server: wrong number of arguments for 'keys' command"

NOT_LISTED = "query result exceeds limit"

FILE = 0.0001
"""Seconds that a call to SQLite takes."""


@dataclass
class Engine:
    """A store of the host.

    Attributes:
        delay: Seconds after which it answers (Redis). 0 for SQLite, which answers in the call.
        silent: The times in which no answer arrives. What is due meanwhile arrives at their end.
        failing: The share of its calls that fail.
        listed: The maximum number of keys that are listed in one call.
        data: Its contents.
    """

    delay: float = 0.0
    silent: Sequence[tuple[float, float]] = ()
    failing: float = 0.0
    listed: int = 1 << 30
    data: dict[str, bytes] = field(default_factory=dict)

    @property
    def is_redis(self) -> bool:
        return self.delay > 0

    def answers_at(self, now: float) -> float:
        """The time of the answer to a call that is made now."""
        end = now + self.delay
        for start, back in self.silent:
            if start <= end and now < back:
                end = max(end, back)
        return end


@dataclass
class Request:
    """A request of a client, and what the client has got.

    Attributes:
        at: The time at which it is sent.
        chunks: The body, each chunk with the seconds before it.
        cut: Whether the connection is lost then, before the end of the body.
        leaves: Seconds after which the client is gone, whatever it has got.
        pace: Seconds between two reads of the answer.
        reads: The maximum size of one read in bytes.
        bound: The maximum time in seconds from `at` to the end of the answer.
    """

    at: float
    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    chunks: Sequence[tuple[float, bytes]] = ()
    cut: bool = False
    leaves: float | None = None
    pace: float = 0.0
    reads: int = 1 << 16
    bound: float = 1.0

    status: int | None = None
    answer_headers: dict[str, str] = field(default_factory=dict)
    answer: bytes = b""
    ended: float | None = None
    """The time at which the answer had ended, or the client was gone."""


class Body:
    """The body of a message: its contents and its trailers."""

    def __init__(self) -> None:
        self.contents = Channel()
        self.trailers = Channel([], future=True)

    def leave(self) -> None:
        self.contents.leave()
        self.trailers.leave()


class Exchange:
    """A request on its way through the host, and its answer."""

    def __init__(self, instance: Instance, request: Request) -> None:
        self.instance = instance
        self.request = request
        self.received = Body()
        self._sent: Body | None = None
        self._gone = False

    @property
    def is_silent(self) -> bool:
        """Whether its client sends nothing for seconds, before the end of the body."""
        return any(pause > 1 for pause, _ in self.request.chunks)

    def begin(self) -> None:
        """Sends the body of the request, chunk by chunk."""
        instance, request = self.instance, self.request
        due = instance.now
        for pause, chunk in request.chunks:
            due += pause
            instance.at(due, partial(self._feed, chunk))
        instance.at(due, partial(self._end_of_body, cut=request.cut))
        if request.leaves is not None:
            instance.at(instance.now + request.leaves, self._leave)

    def _feed(self, chunk: bytes) -> None:
        if not self._gone:
            self.received.contents.feed(chunk)

    def _end_of_body(self, *, cut: bool) -> None:
        body = self.received
        if not body.contents.closed:
            body.contents.close()
            body.trailers.feed([Err(wasi_http_types.ErrorCode_HttpProtocolError()) if cut else Ok(None)])

    def _leave(self) -> None:
        """The client is gone, if it has not got the whole answer."""
        if self.request.ended is None:
            self._gone = True
            self.request.ended = self.instance.now
            self._end_of_body(cut=True)
            if self._sent is not None:
                self._sent.leave()

    def answered(self, result: Any) -> None:
        """The guest has returned a response."""
        assert isinstance(result, Ok), result
        request, instance = self.request, self.instance
        response = instance.owned(result.value)
        request.status = response.status
        request.answer_headers = {name: value.decode() for name, value in response.fields}
        self._sent = body = response.body
        # hyper reads no body of an answer to HEAD.
        if self._gone or (request.method == "HEAD" and instance.random.random() < 0.5):
            body.leave()
            request.ended = instance.now
            return
        body.contents.taken = self._taken
        body.contents.ended = lambda: self._later(lambda: body.trailers.want(1))
        body.trailers.taken = self._complete
        if body.contents.closed:
            body.contents.ended()
        self._later(self._read)

    def _later(self, do: Callable[[], None]) -> None:
        instance = self.instance
        instance.at(instance.now + instance.random.choice((0.0, 0.0, 0.001)), do)

    def _read(self) -> None:
        if not self._gone and self._sent is not None and not self._sent.contents.closed:
            self._sent.contents.want(self.request.reads)

    def _taken(self, data: bytes) -> None:
        self.request.answer += data
        self.instance.at(self.instance.now + self.request.pace, self._read)

    def _complete(self, trailers: list[Any]) -> None:
        assert trailers == [Ok(None)], trailers
        if self.request.ended is None:
            self.request.ended = self.instance.now


@dataclass
class Response:
    """A response that the guest has made."""

    fields: list[tuple[str, bytes]]
    body: Body
    status: int = 200


def offer(instance: Instance, engines: dict[str, Engine], variables: dict[str, str]) -> None:
    """Gives the bindings their functions."""
    _offer_channels(instance)
    _offer_http(instance)
    _offer_stores(instance, engines)
    _offer_asynchronous_stores(instance, engines)

    async def wait_for(how_long: int) -> None:
        # A clock has a resolution of a millisecond.
        until = instance.now + max(how_long / 1e9, 0.001)
        await support.await_result(instance.async_call(until, lambda: None))

    _give(monotonic_clock, wait_for=wait_for)
    _give(wasi_config_store, get=variables.get)


def _give(owner: ModuleType | type[Any], **functions: Any) -> None:
    for name, function in functions.items():
        assert hasattr(owner, name), f"{owner.__name__} has no {name}"
        setattr(owner, name, function)


def _raised(result: Any) -> Any:
    if isinstance(result, Err):
        raise result
    return result.value


def _offer_channels(instance: Instance) -> None:
    def byte_stream() -> tuple[ByteStreamWriter, ByteStreamReader]:
        pair = instance.stream_new(0)
        return ByteStreamWriter(0, pair >> 32), ByteStreamReader(0, pair & 0xFFFFFFFF)

    def future(default: Callable[[], Any]) -> tuple[FutureWriter[Any], FutureReader[Any]]:
        pair = instance.future_new(0)
        return FutureWriter(0, pair >> 32, default), FutureReader(0, pair & 0xFFFFFFFF)

    _give(
        wit_world,
        byte_stream=byte_stream,
        result_unit_wasi_http_types_error_code_future=future,
        result_option_wasi_http_types_fields_wasi_http_types_error_code_future=future,
    )


def _offer_http(instance: Instance) -> None:
    def request_of(item: Any) -> Request:
        request: Request = instance.borrowed(item).request
        return request

    def get_method(self: Any) -> object:
        return getattr(wasi_http_types, f"Method_{request_of(self).method.capitalize()}")()

    def get_headers(self: Any) -> Any:
        headers = [(name, value.encode()) for name, value in request_of(self).headers.items()]
        return instance.lift(wasi_http_types.Fields, headers)

    def consume_body(this: Any, res: FutureReader[Any]) -> tuple[ByteStreamReader, FutureReader[Any]]:
        exchange = instance.owned(this)
        handled = instance.owned(res)
        # The host waits for this already, or will.
        instance.at(instance.now + instance.random.choice((0.0, 0.5)), lambda: handled.want(1))
        body = exchange.received
        return (
            ByteStreamReader(0, instance.add(body.contents.reader)),
            FutureReader(0, instance.add(body.trailers.reader)),
        )

    def new(headers: Any, contents: ByteStreamReader, trailers: FutureReader[Any]) -> Any:
        body = Body()
        fields = instance.owned(headers)
        body.contents, body.trailers = instance.owned(contents), instance.owned(trailers)
        sent = Channel([], future=True)
        response = instance.lift(wasi_http_types.Response, Response(fields, body))
        return response, FutureReader(0, instance.add(sent.reader))

    def set_status_code(self: Any, status: int) -> None:
        instance.borrowed(self).status = status

    _give(
        wasi_http_types.Request,
        get_method=get_method,
        get_path_with_query=lambda self: request_of(self).target,
        get_authority=lambda self: "localhost",
        get_headers=get_headers,
        consume_body=staticmethod(consume_body),
    )
    _give(
        wasi_http_types.Fields,
        copy_all=lambda self: [*instance.borrowed(self)],
        from_list=staticmethod(lambda entries: instance.lift(wasi_http_types.Fields, entries)),
    )
    _give(wasi_http_types.Response, new=staticmethod(new), set_status_code=set_status_code)


def _failure(instance: Instance, engine: Engine, module: ModuleType) -> Any:
    """The error of a call, if it fails."""
    if instance.random.random() < engine.failing:
        return Err(module.Error_Other("connection reset by peer"))
    return None


def _offer_stores(instance: Instance, engines: dict[str, Engine]) -> None:  # noqa: C901 - one function a call
    module = wasi_keyvalue_store

    def call(engine: Engine, result: Callable[[], Any]) -> Any:
        """A blocking call. It returns what `result` does, or fails."""
        instance.block(engine.answers_at(instance.now) if engine.is_redis else instance.now + FILE)
        return _raised(_failure(instance, engine, module) or result())

    def of(bucket: Any) -> Engine:
        engine: Engine = instance.borrowed(bucket)
        return engine

    def open_(label: str) -> Any:
        engine = engines.get(label)
        if engine is None:
            raise Err(module.Error_NoSuchStore())
        return call(engine, lambda: Ok(instance.lift(module.Bucket, engine)))

    def list_keys(self: Any, cursor: str | None) -> Any:
        engine = of(self)

        def listed() -> Any:
            if len(engine.data) > engine.listed:
                return Err(module.Error_Other(NOT_LISTED))
            return Ok(module.KeyResponse(list(engine.data), None))

        return call(engine, listed)

    def get_many(bucket: Any, keys: list[str]) -> Any:
        engine = of(bucket)
        assert len(keys) > 1 or not engine.is_redis, "Spin panics"
        if engine.is_redis:
            return call(engine, lambda: Err(module.Error_Other(NO_BATCH_READS)))
        return call(engine, lambda: Ok([(key, engine.data[key]) for key in keys if key in engine.data]))

    def set_many(bucket: Any, key_values: list[tuple[str, bytes]]) -> Any:
        return call(of(bucket), lambda: Ok(of(bucket).data.update(key_values)))

    def delete_many(bucket: Any, keys: list[str]) -> Any:
        return call(of(bucket), lambda: Ok([of(bucket).data.pop(key, None) for key in keys] and None))

    _give(module, open=open_)
    _give(
        module.Bucket,
        get=lambda self, key: call(of(self), lambda: Ok(of(self).data.get(key))),
        list_keys=list_keys,
    )
    _give(batch, get_many=get_many, set_many=set_many, delete_many=delete_many)


def _offer_asynchronous_stores(instance: Instance, engines: dict[str, Engine]) -> None:  # noqa: C901 - one function a call
    async def call(engine: Engine, result: Callable[[], Any]) -> Any:
        if not engine.is_redis:
            instance.block(instance.now + FILE)  # Spin blocks the thread for this
        end = engine.answers_at(instance.now)
        failure = _failure(instance, engine, key_value)
        return _raised(await support.await_result(instance.async_call(end, lambda: failure or Ok(result()))))

    async def open_(label: str) -> Any:
        engine = engines.get(label)
        if engine is None:
            raise Err(key_value.Error_NoSuchStore())
        return await call(engine, lambda: instance.lift(key_value.Store, engine))

    async def exists(self: Any, key: str) -> Any:
        engine = instance.borrowed(self)
        return await call(engine, lambda: key in engine.data)

    async def get(self: Any, key: str) -> Any:
        engine = instance.borrowed(self)
        return await call(engine, lambda: engine.data.get(key))

    async def set_(self: Any, key: str, value: bytes) -> Any:
        engine = instance.borrowed(self)
        return await call(engine, lambda: engine.data.update({key: value}))

    async def delete(self: Any, key: str) -> Any:
        engine = instance.borrowed(self)
        await call(engine, lambda: engine.data.pop(key, None))

    async def get_keys(self: Any) -> tuple[StreamReader[str], FutureReader[Any]]:
        engine = instance.borrowed(self)
        keys, ended = Channel([]), Channel([], future=True)

        def page(left: list[str]) -> None:
            if left:
                keys.feed(left[:10])
                later(left[10:])
            else:
                keys.close()
                ended.feed([Ok(None)])

        def later(left: list[str]) -> None:
            instance.at(engine.answers_at(instance.now), lambda: page(left))

        def opened() -> tuple[StreamReader[str], FutureReader[Any]]:
            later(list(engine.data))
            stream = StreamReader[str](0, instance.add(keys.reader))
            return stream, FutureReader(0, instance.add(ended.reader))

        pair: tuple[StreamReader[str], FutureReader[Any]] = await call(engine, opened)
        return pair

    _give(
        key_value.Store,
        open=staticmethod(open_),
        exists=exists,
        get=get,
        set=set_,
        delete=delete,
        get_keys=get_keys,
    )
