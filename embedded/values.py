"""Values across the boundary of a component, in bulk.

wasmtime-py converts a `list<u8>` one byte at a time, at about a microsecond a byte, and asks for the type of
each element of each list again; and it keeps state of a conversion in globals, which two threads would share
(50.0.1: `case_test_cache`, `LAST_EXCEPTION`). So the few types that this host needs are packed here, as the
bytes of Wasmtime's C structures. This module can go when wasmtime-py converts in bulk and by thread.

Every value is a `wasmtime_component_val_t`: 32 bytes, a kind and up to three words. Packed values own their
memory (Wasmtime's), until they are handed to Wasmtime, which frees them. Values that Wasmtime hands us stay
its own.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from struct import Struct

from wasmtime import _ffi as ffi

SIZE = 32
"""Bytes of a value."""

_WORDS = Struct("<B7xQQQ")
_ENTRY = Struct("<QQ")

if ctypes.sizeof(ffi.wasmtime_component_val_t) != SIZE or ffi.wasmtime_component_val_t.of.offset != 8:
    raise ImportError("this wasmtime lays its values out in a way that embedded/values.py does not know")


class _Vector(ctypes.Structure):
    """Any of Wasmtime's vectors: how many, and where."""

    _fields_ = (("size", ctypes.c_size_t), ("data", ctypes.c_void_p))


def _function(name: str, *arguments: type, result: type | None = None) -> ctypes._NamedFuncPointer:
    # Prototypes of our own: wasmtime-py's want its pointer types, which cost time to make.
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


# Out of Python: each makes the 32 bytes of a value.


def boolean(value: bool) -> bytes:
    """A `bool`."""
    return _WORDS.pack(_BOOL, value, 0, 0)


def string(text: str) -> bytes:
    """A `string`."""
    return _WORDS.pack(_STRING, *_name(text), 0)


def latin1(data: bytes) -> bytes:
    """Bytes as a `string` of the characters U+0000 to U+00FF, as wit/world.wit has it for large ones."""
    return string(data.decode("latin-1"))


def octets(data: bytes) -> bytes:
    """A `list<u8>`: 32 bytes of memory for each of its own, while Wasmtime has it."""
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
    """A `record`: its members in the order in which it declares them."""
    entries = b"".join(_ENTRY.pack(*_name(name)) + value for name, value in members.items())
    return _vector(_RECORD, _new_record, len(members), entries)


def variant(case: str, payload: bytes | None = None) -> bytes:
    """A case of a `variant`."""
    return _WORDS.pack(_VARIANT, *_name(case), _box(payload))


def option(payload: bytes | None) -> bytes:
    """An `option`."""
    return _WORDS.pack(_OPTION, _box(payload), 0, 0)


def success(payload: bytes | None = None) -> bytes:
    """The ok of a `result`."""
    return _WORDS.pack(_RESULT, 1, _box(payload), 0)


def failure(payload: bytes) -> bytes:
    """The error of a `result`."""
    return _WORDS.pack(_RESULT, 0, _box(payload), 0)


def resource(address: int) -> bytes:
    """A resource, by the address of its `wasmtime_component_resource_any_t`, which it takes over."""
    return _WORDS.pack(_RESOURCE, address, 0, 0)


def delete(values: ctypes.Array[ctypes.c_char]) -> None:
    """Frees packed values that were only lent to Wasmtime."""
    for start in range(0, len(values), SIZE):
        _delete(ctypes.addressof(values) + start)


# Into Python: each reads the value at an address.


def read_number(address: int) -> int:
    """A `u16`."""
    return ctypes.c_uint16.from_address(address + 8).value


def read_string(address: int) -> str:
    """A `string`."""
    return _bytes_at(address + 8).decode()


def read_latin1(address: int) -> bytes:
    """Bytes that came as a `string` of the characters U+0000 to U+00FF."""
    return read_string(address).encode("latin-1")


def read_option(address: int) -> int | None:
    """The address of what an `option` holds."""
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
    # A copy, because Wasmtime leaves an empty value where it has taken one from.
    address: int = _new_box(ctypes.create_string_buffer(payload, SIZE))
    return address
