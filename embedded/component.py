"""The compiled component and its instances.

An instance answers one request at a time, in the thread that borrowed it. A trap ends an instance: the
instance is discarded, and the next request gets another one.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from wasmtime import Config, Engine, Store, WasiConfig, WasmtimeError
from wasmtime import _ffi as ffi
from wasmtime.component import Component as Compiled
from wasmtime.component import Func, Linker

from embedded import values
from embedded.imports import Exchange, Imports, Stores, raise_if, under_way

GATEWAY_EXPORT = "kv-batch:gateway/gateway@1.0.0"

REQUESTS = 1_000
"""Requests after which an instance is replaced, since its memory never shrinks. Spin does so after 128."""

MEMORY = 1 << 30
"""Bytes that one instance may use. Beyond that, Python in the instance raises MemoryError, or it traps."""

CACHE_FILE = """\
[cache]
directory = {directory}
"""


class Component:
    """The compiled component, and its instances that are not in use."""

    def __init__(self, file: Path, config: Mapping[str, str], stores: Stores) -> None:
        """Compiles `file`, or loads the result of an earlier run from `wasmtime-cache` in its directory.

        Raises:
            WasmtimeError: the file is not a component of the world `embedded`.
            OSError: the file cannot be read.
        """
        content = file.read_bytes()
        settings = Config()
        settings.wasm_component_model = True
        with suppress(OSError):  # if the cache is not writable, every start compiles
            settings.cache = str(_cache_file(file.resolve().parent))
        self._engine = Engine(settings)
        self._compiled = Compiled(self._engine, content)
        self._linker = Linker(self._engine)
        self._linker.add_wasip2()
        self._imports = Imports(self._linker, config, stores)
        self._idle: list[Instance] = []
        self._lock = threading.Lock()
        self._idle.append(self._instantiate())

    @contextmanager
    def instance(self) -> Iterator[Instance]:
        """An instance for one request. It is discarded if the request ended in an error."""
        with self._lock:
            instance = self._idle.pop() if self._idle else self._instantiate()
        yield instance
        if instance.requests < REQUESTS:
            with self._lock:
                self._idle.append(instance)

    def _instantiate(self) -> Instance:
        store = Store(self._engine)
        store.set_limits(memory_size=MEMORY)
        wasi = WasiConfig()
        wasi.inherit_stderr()  # the component's log
        store.set_wasi(wasi)
        return Instance(store, self._linker, self._compiled)


class Instance:
    """One instance of the component."""

    def __init__(self, store: Store, linker: Linker, compiled: Compiled) -> None:
        self._store = store
        self._instance = linker.instantiate(store, compiled)
        gateway = self._instance.get_export_index(store, GATEWAY_EXPORT)
        handle = self._instance.get_export_index(store, "handle", gateway)
        function = handle and self._instance.get_func(store, handle)
        if not isinstance(function, Func):
            raise WasmtimeError("the component does not export `gateway` of the world `embedded`")
        self._handle = function
        self.requests = 0

    def handle(self, method: str, target: str, headers: list[tuple[str, str]], exchange: Exchange) -> None:
        """Answers one request through its exchange.

        Args:
            method: As sent.
            target: The path with its query, as in the request line, not decoded.
            headers: Names and values in the order received, with repeats.
            exchange: The bodies of the request and of the answer.

        Raises:
            WasmtimeError: the instance trapped. It must not be used again.
        """
        self.requests += 1
        under_way.exchange, under_way.large = exchange, []
        fields = (values.row(values.string(name), values.string(value)) for name, value in headers)
        arguments = values.string(method) + values.string(target) + values.sequence(fields)
        packed = ctypes.create_string_buffer(arguments, len(arguments))
        try:
            # The same as the call of wasmtime-py, but with packed arguments.
            failed = ffi.wasmtime_component_func_call(
                ctypes.byref(self._handle._func),
                self._store._context(),
                ctypes.cast(packed, ctypes.POINTER(ffi.wasmtime_component_val_t)),
                3,
                None,
                0,
            )
        finally:
            values.delete(packed)
            under_way.exchange, under_way.large = None, []
        raise_if(failed)
        self._handle.post_return(self._store)


def _cache_file(directory: Path) -> Path:
    """Writes a configuration file for Wasmtime's cache. Wasmtime itself checks and expires the entries."""
    cache = directory / "wasmtime-cache"
    cache.mkdir(exist_ok=True)
    file = cache / "config.toml"
    quoted = str(cache).replace("\\", "\\\\").replace('"', '\\"')
    text = CACHE_FILE.format(directory=f'"{quoted}"')
    if not file.exists() or file.read_text() != text:
        part = cache / f"config.{os.getpid()}"
        part.write_text(text)
        part.replace(file)  # atomically: another host may be starting at the same time
    return file
