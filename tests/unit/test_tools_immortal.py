"""Objects of a snapshot that become immortal: which bytes change, and which components are refused."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from guests.snapshot import BEGIN, END
from tests.unit.test_tools_mend import component as composed
from tools import immortal, wasm

TYPE = 0x200
"""The address of a type whose type is itself."""


def component(objects: dict[int, tuple[int, int]], listed: list[int], marks: bytes = b"") -> bytes:
    """A component whose memory has these objects (references and type by address) and a list of addresses.

    The words of the memory lie in segments of their own, as those do that are parted by zeros.
    """
    segments = {address: struct.pack("<II", *words) for address, words in objects.items()}
    segments[0x4000] = marks
    segments[0x8000] = BEGIN + struct.pack(f"<{len(listed) + 1}I", len(listed), *listed) + END
    data = "".join(
        f'(data (i32.const {address}) "{_escaped(content)}")' for address, content in segments.items()
    )
    module = wasmtime.wat2wasm(f'(module (memory (export "memory") 1) {data})')
    other = wasmtime.wat2wasm('(module (memory 1) (data (i32.const 0) "other"))')
    return composed(other, module)


def _escaped(content: bytes) -> str:
    return "".join(map("\\{:02x}".format, content))


def memory_of(component: bytes) -> bytes:
    """What the memory of its second core module begins with."""
    module = list(wasm.sections(component))[1].data
    store = wasmtime.Store()
    instance = wasmtime.Instance(store, wasmtime.Module(store.engine, module), [])
    memory = instance.exports(store)["memory"]
    assert isinstance(memory, wasmtime.Memory)
    return bytes(memory.read(store))


def references(memory: bytes, address: int) -> int:
    (count,) = struct.unpack_from("<I", memory, address)
    return int(count)


def test_the_listed_objects_become_immortal_and_nothing_else_changes() -> None:
    objects = {TYPE: (7, TYPE), 0x300: (1, TYPE), 0x400: (7 << 28, TYPE), 0x500: (2, TYPE)}
    before = component(objects, [TYPE, 0x300, 0x400])
    changed = immortal.immortal(before)
    old, new = memory_of(before), memory_of(changed)
    assert references(new, TYPE) == references(new, 0x300) == immortal.IMMORTAL
    assert references(new, 0x400) == 7 << 28  # it was immortal, as static objects are
    assert references(new, 0x500) == 2  # it is not in the list
    differing = {at for at in range(len(old)) if old[at] != new[at]}
    assert differing <= {*range(TYPE, TYPE + 4), *range(0x300, 0x304)}
    assert immortal.immortal(changed) == changed


def test_the_marks_alone_are_no_list() -> None:
    objects = {TYPE: (7, TYPE), 0x300: (1, TYPE)}
    changed = immortal.immortal(component(objects, [TYPE, 0x300], BEGIN + END + BEGIN))
    assert references(memory_of(changed), 0x300) == immortal.IMMORTAL


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((0x470000, 0x300), "freed: the addresses of its neighbours are where the object was"),
        ((0, TYPE), "no reference"),
        ((1, 0x7000), "its type is not an object"),
    ],
)
def test_what_is_no_object_any_more_is_left_alone(words: tuple[int, int], why: str) -> None:
    changed = immortal.immortal(component({TYPE: (7, TYPE), 0x300: words}, [TYPE, 0x300]))
    assert references(memory_of(changed), 0x300) == words[0], why


def test_a_list_of_other_things_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(immortal, "MOST_FREED", 1)
    objects = {TYPE: (7, TYPE), 0x300: (0, TYPE), 0x400: (0, TYPE)}
    with pytest.raises(wasm.Unexpected, match="only 1 of 3"):
        immortal.immortal(component(objects, [TYPE, 0x300, 0x400]))


def test_a_component_without_a_list_is_refused() -> None:
    with pytest.raises(wasm.Unexpected, match="0 of its core modules"):
        immortal.immortal(composed(wasmtime.wat2wasm("(module)")))


def test_a_list_that_is_cut_short_is_refused() -> None:
    with_list = component({TYPE: (7, TYPE)}, [TYPE])
    with pytest.raises(wasm.Unexpected, match="no list of objects"):
        immortal.immortal(with_list.replace(END, b"x" * len(END)))


def test_an_object_that_no_segment_has_is_refused() -> None:
    snapshot = immortal.Snapshot(b"\x01\x00\x41\x10\x0b\x04abcd")  # "abcd" at 16
    snapshot.write(16, 0x64636261)
    for address in (12, 15, 17, 20):
        with pytest.raises(wasm.Unexpected, match="no segment"):
            snapshot.write(address, 1)


@pytest.mark.parametrize("segment", [b"\x01\x01\x04abcd", b"\x01\x00\x23\x00\x0b\x04abcd"])
def test_a_segment_without_a_constant_address_is_refused(segment: bytes) -> None:
    with pytest.raises(wasm.Unexpected, match="a data segment begins with"):
        immortal.Snapshot(segment)


def test_the_command_changes_the_file_or_says_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "some.wasm"
    monkeypatch.setattr("sys.argv", ["immortal", str(file)])
    file.write_bytes(component({TYPE: (7, TYPE)}, [TYPE]))
    assert immortal.main() == 0
    assert references(memory_of(file.read_bytes()), TYPE) == immortal.IMMORTAL
    file.write_bytes(composed())
    assert immortal.main() == 1
    assert "0 of its core modules" in capsys.readouterr().err


@given(st.integers(-(2**31), 2**31 - 1))
def test_addresses_are_read_as_they_are_written(number: int) -> None:
    module = wasmtime.wat2wasm(f"(module (func (result i32) (i32.const {number})))")
    [code] = [section for section in wasm.sections(bytes(module)) if section.id == wasm.CODE]
    at = code.data.index(wasm.I32_CONST)
    read, end = wasm.signed(code.data, at + 1)
    assert (read, code.data[end]) == (number, wasm.END)
