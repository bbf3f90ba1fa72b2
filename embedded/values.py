"""Bulk conversion of values that cross the boundary of a component.

wasmtime-py converts a `list<u8>` one byte at a time, at about a microsecond per byte, and looks up the type
of each element of each list again. It also keeps the state of a conversion in globals, which two threads
would share (50.0.1: `case_test_cache`, `LAST_EXCEPTION`). So this module packs the few types that the host
needs as the bytes of Wasmtime's C structures. It can go when wasmtime-py converts in bulk and per thread.

Every value is a `wasmtime_component_val_t`: 32 bytes, with a kind and up to three words. Packed values own
memory of Wasmtime until they are passed to Wasmtime, which frees it. Values that Wasmtime passes to the host
remain Wasmtime's own.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from struct import Struct

from wasmtime import _ffi as ffi

SIZE = 32
"""The size of a value in bytes."""

_WORDS = Struct("<B7xQQQ")
_ENTRY = Struct("<QQ")

if ctypes.sizeof(ffi.wasmtime_component_val_t) != SIZE or ffi.wasmtime_component_val_t.of.offset != 8:
    raise ImportError("embedded/values.py does not support the value layout of this version of wasmtime")


class _Vector(ctypes.Structure):
    """Any vector of Wasmtime: the number of elements, and their address."""

    _fields_ = (("size", ctypes.c_size_t), ("data", ctypes.c_void_p))


def _function(name: str, *arguments: type, result: type | None = None) -> ctypes._NamedFuncPointer:
    # Own prototypes: those of wasmtime-py require its pointer types, which take time to create.
    function: ctypes._NamedFuncPointer = ctypes.CFUNCTYPE(result, *arguments)((name, ffi.dll))  # type: ignore[assignment]
    return function


_OUT = ctypes.POINTER(_Vector)
_new_bytes = _function("wasm_byte_vec_new", _OUT, ctypes.c_size_t, ctypes.c_char_p)
_new_list = _function("wasmtime_component_vallist_new", _OUT, ctypes.c_size_t, ctypes.c_char_p)
_new_tuple = _function("wasmtime_component_valtuple_new", _OUT, ctypes.c_size_t, ctypes.c_char_p)
_new_record = _function("wasmtime_component_valrecord_new", _OUT, ctypes.c_size_t, ctypes.c_char_p)
_new_box = _function("wasmtime_component_val_new", ctypes.c_void_p, result=ctypes.c_void_p)
_delete = _function("wasmtime_component_val_delete", ctypes.c_void_p)

_BOOL = ffi.WASMTIME_COMPONENT_BOOL.value
_U8 = bytes([ffi.WASMTIME_COMPONENT_U8.value])
_STRING = ffi.WASMTIME_COMPONENT_STRING.value
_LIST = ffi.WASMTIME_COMPONENT_LIST.value
_RECORD = ffi.WASMTIME_COMPONENT_RECORD.value
_TUPLE = ffi.WASMTIME_COMPONENT_TUPLE.value
_VARIANT = ffi.WASMTIME_COMPONENT_VARIANT.value
_OPTION = ffi.WASMTIME_COMPONENT_OPTION.value
_RESULT = ffi.WASMTIME_COMPONENT_RESULT.value
_RESOURCE = ffi.WASMTIME_COMPONENT_RESOURCE.value


# From Python: each function returns the 32 bytes of a value.


def boolean(value: bool) -> bytes:
    """A `bool`."""
    return _WORDS.pack(_BOOL, value, 0, 0)


def string(text: str) -> bytes:
    """A `string`."""
    return _WORDS.pack(_STRING, *_name(text), 0)


def latin1(data: bytes) -> bytes:
    """Bytes as a `string` of the characters U+0000 to U+00FF, the form of large values in wit/world.wit."""
    return string(data.decode("latin-1"))


def octets(data: bytes) -> bytes:
    """A `list<u8>`. It takes 32 bytes of memory for each of its bytes while Wasmtime holds it."""
    values = bytearray(len(data) * SIZE)
    values[0::SIZE] = _U8 * len(data)
    values[8::SIZE] = data
    return _vector(_LIST, _new_list, len(data), bytes(values))


def sequence(values: Iterable[bytes]) -> bytes:
    """A `list` of values."""
    packed = b"".join(values)
    return _vector(_LIST, _new_list, len(packed) // SIZE, packed)


def row(*values: bytes) -> bytes:
    """A `tuple` of values."""
    return _vector(_TUPLE, _new_tuple, len(values), b"".join(values))


def record(**members: bytes) -> bytes:
    """A `record`. The members must be in the order of its declaration."""
    entries = b"".join(_ENTRY.pack(*_name(name)) + value for name, value in members.items())
    return _vector(_RECORD, _new_record, len(members), entries)


def variant(case: str, payload: bytes | None = None) -> bytes:
    """A case of a `variant`."""
    return _WORDS.pack(_VARIANT, *_name(case), _box(payload))


def option(payload: bytes | None) -> bytes:
    """An `option`."""
    return _WORDS.pack(_OPTION, _box(payload), 0, 0)


def success(payload: bytes | None = None) -> bytes:
    """The `ok` case of a `result`."""
    return _WORDS.pack(_RESULT, 1, _box(payload), 0)


def failure(payload: bytes) -> bytes:
    """The `err` case of a `result`."""
    return _WORDS.pack(_RESULT, 0, _box(payload), 0)


def resource(address: int) -> bytes:
    """A resource: takes ownership of the `wasmtime_component_resource_any_t` at this address."""
    return _WORDS.pack(_RESOURCE, address, 0, 0)


def delete(values: ctypes.Array[ctypes.c_char]) -> None:
    """Frees packed values that Wasmtime did not take over."""
    for start in range(0, len(values), SIZE):
        _delete(ctypes.addressof(values) + start)


# To Python: each function reads the value at an address.


def read_number(address: int) -> int:
    """A `u16`."""
    return ctypes.c_uint16.from_address(address + 8).value


def read_boolean(address: int) -> bool:
    """A `bool`."""
    return ctypes.c_bool.from_address(address + 8).value


def read_string(address: int) -> str:
    """A `string`."""
    return _bytes_at(address + 8).decode()


def read_latin1(address: int) -> bytes:
    """Bytes from a `string` of the characters U+0000 to U+00FF."""
    return read_string(address).encode("latin-1")


def read_option(address: int) -> int | None:
    """The address of the payload of an `option`; None if there is none."""
    return ctypes.c_void_p.from_address(address + 8).value


def read_octets(address: int) -> bytes:
    """A `list<u8>`."""
    vector = _Vector.from_address(address + 8)
    return _octets(vector.size, vector.data)


def read_strings(address: int) -> list[str]:
    """A `list<string>`."""
    string_at = ctypes.string_at
    return [string_at(data, size).decode() if size else "" for _, size, data, _ in _elements(address)]


def read_pairs(address: int) -> list[tuple[str, bytes]]:
    """A `list<tuple<string, list<u8>>>`."""
    pairs = []
    for (_, size, data, _), (_, count, values, _) in _rows(address):
        pairs.append((_text(size, data), _octets(count, values)))
    return pairs


def read_string_pairs(address: int) -> list[tuple[str, str]]:
    """A `list<tuple<string, string>>`."""
    return [(_text(*first[1:3]), _text(*second[1:3])) for first, second in _rows(address)]


Words = tuple[int, int, int, int]


def _elements(address: int) -> list[Words]:
    vector = _Vector.from_address(address + 8)
    return list(_WORDS.iter_unpack(ctypes.string_at(vector.data, vector.size * SIZE))) if vector.size else []


def _rows(address: int) -> Iterable[Sequence[Words]]:
    for _, size, data, _ in _elements(address):
        yield list(_WORDS.iter_unpack(ctypes.string_at(data, size * SIZE)))


def _octets(size: int, data: int) -> bytes:
    return ctypes.string_at(data, size * SIZE)[8::SIZE] if size else b""


def _text(size: int, data: int) -> str:
    return ctypes.string_at(data, size).decode() if size else ""


def _bytes_at(address: int) -> bytes:
    vector = _Vector.from_address(address)
    return ctypes.string_at(vector.data, vector.size) if vector.size else b""


def _name(text: str) -> tuple[int, int]:
    data = text.encode()
    vector = _Vector()
    _new_bytes(vector, len(data), data)
    return vector.size, vector.data or 0


def _vector(kind: int, new: ctypes._NamedFuncPointer, count: int, packed: bytes) -> bytes:
    vector = _Vector()
    new(vector, count, packed)
    return _WORDS.pack(kind, vector.size, vector.data or 0, 0)


def _box(payload: bytes | None) -> int:
    if payload is None:
        return 0
    # A copy, because Wasmtime replaces a value that it takes with an empty one.
    address: int = _new_box(ctypes.create_string_buffer(payload, SIZE))
    return address
