"""The imports of the embedded component, implemented over a few Python protocols.

These are `wasi:config/store`, `wasi:keyvalue/store` and `/batch`, and the project's own `large-value` and
`exchange`. No exception may leave a function of this module: Wasmtime cannot pass it on.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from wasmtime import StoreContext, WasmtimeError
from wasmtime import _ffi as ffi
from wasmtime.component import Linker, LinkerInstance, ResourceAny, ResourceHost, ResourceType

from embedded import values
from embedded.store import BlockingBucket, HostError

CONFIG = "wasi:config/store@0.2.0-draft-2024-09-27"
STORE = "wasi:keyvalue/store@0.2.0-draft2"
BATCH = "wasi:keyvalue/batch@0.2.0-draft2"
EXCHANGE = "kv-batch:gateway/exchange@1.0.0"

LARGE_VALUE = "kv-batch:gateway/large-value@1.0.0"

BUCKET_TYPE = 1
"""The id of the resource type `bucket`, which both interfaces share."""


class ClientGone(Exception):
    """The client did not send the whole body of its request."""


class Exchange(Protocol):
    """The bodies of one request and of its answer. The methods block."""

    def read(self) -> bytes:
        """The next chunk of the request's body; empty at its end.

        Raises:
            ClientGone: the rest of the body will not arrive.
        """
        ...

    def respond(self, status: int, headers: list[tuple[str, str]], authorized: bool) -> None:
        """Sends the head of the answer.

        Args:
            status: The status code.
            headers: The headers.
            authorized: Whether the caller may use the gateway.
        """
        ...

    def write(self, chunk: bytes) -> bool:
        """Sends the next chunk of the answer's body. Returns False if the client is gone."""
        ...


class Stores(Protocol):
    """The stores that the component may open."""

    def open(self, label: str) -> BlockingBucket | None:
        """The store with this label; None if it is not granted."""
        ...


under_way = threading.local()
"""State of the request that the instance of this thread is answering: its `exchange`; `large`, the pieces of
a large value; and, during a host call, `context`, which is Wasmtime's own."""

_NO_FINALIZER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)

Function = Callable[..., bytes | None]
Argument = Callable[[int], Any]
Value = TypeVar("Value")
Callback = Any


class Imports:
    """The imports, defined in a linker. They must live as long as the instances of the linker."""

    def __init__(self, linker: Linker, config: Mapping[str, str], stores: Stores) -> None:
        self._config = config
        self._stores = stores
        self._buckets: list[BlockingBucket] = []
        self._numbers: dict[str, int] = {}
        self._opening = threading.Lock()
        self._callbacks: list[Callback] = []
        bucket = self._bucket
        key = values.read_string
        with linker.root() as root:
            with root.add_instance(CONFIG) as config_store:
                self._define(config_store, "get", self._config_get, key)
                self._define(config_store, "get-all", self._config_get_all)
            with root.add_instance(STORE) as store:
                store.add_resource("bucket", ResourceType.host(BUCKET_TYPE), lambda *_: None)
                self._define(store, "open", self._open, key)
                self._define(store, "[method]bucket.get", _get, bucket, key)
                self._define(store, "[method]bucket.set", _set, bucket, key, values.read_octets)
                self._define(store, "[method]bucket.delete", _delete, bucket, key)
                self._define(store, "[method]bucket.exists", _exists, bucket, key)
                self._define(store, "[method]bucket.list-keys", _list_keys, bucket, _optional_string)
            with root.add_instance(BATCH) as batch:
                self._define(batch, "get-many", _get_many, bucket, values.read_strings)
                self._define(batch, "set-many", _set_many, bucket, values.read_pairs)
                self._define(batch, "delete-many", _delete_many, bucket, values.read_strings)
            with root.add_instance(LARGE_VALUE) as large_value:
                self._define(large_value, "get", _get_large, bucket, key)
                self._define(large_value, "append", _append, values.read_latin1)
                self._define(large_value, "set", _set_large, bucket, key)
            with root.add_instance(EXCHANGE) as exchange:
                self._define(exchange, "read", _read)
                self._define(
                    exchange,
                    "respond",
                    _respond,
                    values.read_number,
                    values.read_string_pairs,
                    values.read_boolean,
                )
                self._define(exchange, "write", _write, values.read_latin1)

    def _define(self, instance: LinkerInstance, name: str, function: Function, *arguments: Argument) -> None:
        def called(_: int, context: Any, __: Any, given: Any, ___: int, results: Any, ____: int) -> int:
            try:
                under_way.context = context
                start = ctypes.addressof(given.contents) if arguments else 0
                taken = [read(start + index * values.SIZE) for index, read in enumerate(arguments)]
                result = function(*taken)
                if result is not None:
                    ctypes.memmove(results, result, values.SIZE)
            except Exception as error:  # noqa: BLE001 - it is logged, and becomes a trap
                traceback.print_exc(file=sys.stderr)
                return _trap(f"{name}: {error}")
            return 0

        callback = ffi.wasmtime_component_func_callback_t(called)
        self._callbacks.append(callback)  # Wasmtime keeps only the address
        encoded = name.encode()
        failed = ffi.wasmtime_component_linker_instance_add_func(
            instance.ptr(), ctypes.create_string_buffer(encoded), len(encoded), callback, None, _NO_FINALIZER
        )
        raise_if(failed)

    def _bucket(self, address: int) -> BlockingBucket:
        value = ffi.wasmtime_component_val_t.from_address(address)
        handle = ResourceAny._from_ptr(ffi.take_pointer(value.of, "resource"))
        return self._buckets[handle.to_host(StoreContext(under_way.context)).rep]

    def _open(self, label: str) -> bytes:
        with self._opening:
            number = self._numbers.get(label)
            if number is None:
                opened = self._stores.open(label)
                if opened is None:
                    return values.failure(values.variant("access-denied"))
                number = self._numbers[label] = len(self._buckets)
                self._buckets.append(opened)
        handle = ResourceHost.own(number, BUCKET_TYPE).to_any(StoreContext(under_way.context))
        return values.success(values.resource(ctypes.addressof(handle._consume().contents)))

    def _config_get(self, key: str) -> bytes:
        return values.success(_optional(self._config.get(key), values.string))

    def _config_get_all(self) -> bytes:
        pairs = (values.row(values.string(key), values.string(value)) for key, value in self._config.items())
        return values.success(values.sequence(pairs))


# The functions of wasi:keyvalue, each on an open bucket


def _or_error(call: Callable[[], bytes | None]) -> bytes:
    """Makes a call of a bucket, and packs its result or its error."""
    try:
        return values.success(call())
    except HostError as error:
        return values.failure(values.variant("other", values.string(str(error))))


def _get(bucket: BlockingBucket, key: str) -> bytes:
    return _or_error(lambda: _optional(bucket.get(key), values.octets))


def _set(bucket: BlockingBucket, key: str, value: bytes) -> bytes:
    return _or_error(lambda: bucket.set(key, value))


def _delete(bucket: BlockingBucket, key: str) -> bytes:
    return _or_error(lambda: bucket.delete(key))


def _exists(bucket: BlockingBucket, key: str) -> bytes:
    return _or_error(lambda: values.boolean(bucket.exists(key)))


def _list_keys(bucket: BlockingBucket, cursor: str | None) -> bytes:
    def call() -> bytes:
        keys = values.sequence(map(values.string, bucket.list_keys(cursor)))
        return values.record(keys=keys, cursor=values.option(None))

    return _or_error(call)


def _get_many(bucket: BlockingBucket, keys: Sequence[str]) -> bytes:
    def call() -> bytes:
        pairs = bucket.get_many(keys)
        return values.sequence(
            values.row(values.string(key), _optional(value, values.octets)) for key, value in pairs
        )

    return _or_error(call)


def _set_many(bucket: BlockingBucket, pairs: Sequence[tuple[str, bytes]]) -> bytes:
    return _or_error(lambda: bucket.set_many(pairs))


def _delete_many(bucket: BlockingBucket, keys: Sequence[str]) -> bytes:
    return _or_error(lambda: bucket.delete_many(keys))


# large-value


def _get_large(bucket: BlockingBucket, key: str) -> bytes:
    return _or_error(lambda: _optional(bucket.get(key), values.latin1))


def _append(chunk: bytes) -> None:
    under_way.large.append(chunk)


def _set_large(bucket: BlockingBucket, key: str) -> bytes:
    value = b"".join(under_way.large)
    under_way.large.clear()
    return _set(bucket, key, value)


# exchange


def _read() -> bytes:
    try:
        return values.success(values.latin1(under_way.exchange.read()))
    except ClientGone as error:
        return values.failure(values.string(str(error)))


def _respond(status: int, headers: list[tuple[str, str]], authorized: bool) -> None:
    under_way.exchange.respond(status, headers, authorized)


def _write(chunk: bytes) -> bytes:
    return values.boolean(under_way.exchange.write(chunk))


def _optional(value: Value | None, pack: Callable[[Value], bytes]) -> bytes:
    return values.option(None if value is None else pack(value))


def _optional_string(address: int) -> str | None:
    held = values.read_option(address)
    return None if held is None else values.read_string(held)


def raise_if(failed: Any) -> None:
    """Raises the error that a function of Wasmtime returned, if any."""
    if failed:
        raise WasmtimeError._from_ptr(failed)


def _trap(message: str) -> int:
    address: int = ctypes.cast(WasmtimeError(message)._consume(), ctypes.c_void_p).value or 0
    return address
