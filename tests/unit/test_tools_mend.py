"""The fix of a compiled component: what it changes, and which files it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import wasmtime

from tools import mend, wasm

RUNTIME = """
(module
  (import "env" "memory" (memory 1))
  (import "env" "__stack_pointer" (global (mut i32)))
  (import "env" "table" (table 1 funcref))
  (import "host" "freed" (func $freed (param i32 i32 i32 i32 i32)))
  ;; A list of type 1 is copied to address 640 and has 5 elements. A list of any other type is not copied.
  (func (export "wit_dylib_pop_list") (param i32 i32 i32) (result i32)
    (i32.store (local.get 2) (select (i32.const 640) (i32.const 0) (i32.eq (local.get 1) (i32.const 1))))
    (i32.const 5))
  (func (export "wit_dylib_dealloc_bytes") (param i32 i32 i32 i32 i32)
    (call $freed (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4))))
"""


def component(*modules: bytearray) -> bytes:
    """The smallest component with these core modules."""
    sections = b"".join(wasm.written(wasm.Section(wasm.CORE_MODULE, bytes(module))) for module in modules)
    return bytes.fromhex("0061736d0d000100") + sections


def test_what_is_copied_is_freed_after_the_call_and_nothing_else_is() -> None:
    other = wasmtime.wat2wasm("(module)")
    mended = mend.mend(component(other, wasmtime.wat2wasm(RUNTIME), other))
    sections = list(wasm.sections(mended))
    assert sections[0].data == sections[2].data == other

    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    module = wasmtime.Module(engine, bytes(sections[1].data))
    i32 = wasmtime.ValType.i32()
    memory = wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(1, None)))
    stack = wasmtime.Global(store, wasmtime.GlobalType(i32, True), wasmtime.Val.i32(0))
    table = wasmtime.Table(
        store, wasmtime.TableType(wasmtime.ValType.funcref(), wasmtime.Limits(1, None)), None
    )
    calls: list[tuple[int, ...]] = []
    freed = wasmtime.Func(store, wasmtime.FuncType([i32] * 5, []), lambda *call: calls.append(call))
    exports = wasmtime.Instance(store, module, [memory, stack, table, freed]).exports(store)
    pop = exports["wit_dylib_pop_list"]
    assert isinstance(pop, wasmtime.Func)

    assert pop(store, 7, 1, 16) == 5
    # The context, the pointer, the length, the alignment, and 1: free it after the call.
    assert calls == [(7, 640, 5, 1, 1)]
    assert memory.read(store, 16, 20) == (640).to_bytes(4, "little")
    assert pop(store, 7, 2, 16) == 5
    assert len(calls) == 1


def test_a_component_without_the_runtime_cannot_be_mended() -> None:
    with pytest.raises(wasm.Unexpected, match="0 of its core modules"):
        mend.mend(component(wasmtime.wat2wasm("(module)")))


def test_what_is_mended_is_not_mended_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second fix would free each copy twice."""
    file = tmp_path / "some.wasm"
    file.write_bytes(component(wasmtime.wat2wasm(RUNTIME)))
    monkeypatch.setattr("sys.argv", ["mend", str(file)])
    assert mend.main() == 0
    mended = file.read_bytes()
    assert mend.main() == 1
    assert f"cannot fix {file}" in (told := capsys.readouterr().err)
    assert "it is fixed already" in told
    assert file.read_bytes() == mended


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**32 - 1])
def test_numbers_are_written_as_they_are_read(number: int) -> None:
    assert wasm.number(b"\xff" + wasm.leb(number), 1) == (number, 1 + len(wasm.leb(number)))
