"""Fix a memory leak in a component that componentize-py has compiled: `python -m tools.mend FILE.wasm`.

The file is changed in place. componentize-py 0.25.1 copies each `list<u8>` that the guest passes to its host,
and never frees the copy: the memory of a component that writes values grows by all their bytes, until the
instance ends. The function that copies is `wit_dylib_pop_list` of its runtime. This program wraps that
function: the wrapper passes the copy to `wit_dylib_dealloc_bytes` of the same module, which frees the copy
after the call, as the runtime does for lists of any other type (docs/decisions/0007-mended-component.md).

Three sections of one core module change (WebAssembly core specification 2.0, section 5.5): a function is
added, and one export refers to it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tools import wasm
from tools.compiled import change_in_place

KNOWN = {"0.25.1"}
"""The versions of componentize-py that need the fix. A version that frees the copies must not get it."""

POP, FREE = b"wit_dylib_pop_list", b"wit_dylib_dealloc_bytes"

FUNCTION = 0
"""The kind of an import or export that is a function."""


def mend(component: bytes) -> bytes:
    """Return the component with a runtime that frees its copies.

    Raises:
        Unexpected: the component has no such runtime, or more than one, or it is fixed already. A second fix
            would free the copies twice.
    """
    parts = list(wasm.sections(component))
    runtimes = [
        section for section in parts if section.id == wasm.CORE_MODULE and _exports(section.data).get(POP)
    ]
    if len(runtimes) != 1:
        raise wasm.Unexpected(
            f"{len(runtimes)} of its core modules export {POP.decode()}; expected exactly 1"
        )
    runtimes[0].data = _wrapped(runtimes[0].data)
    return wasm.joined(component, parts)


def _wrapped(module: bytes) -> bytes:
    """The runtime with a new function as its export POP, which calls the old one."""
    every = list(wasm.sections(module))
    by_id = {section.id: section for section in every}  # custom sections may repeat; none is needed here
    exports = _exports(module)
    imported = sum(kind == FUNCTION for kind in _import_kinds(by_id[wasm.IMPORTS].data))
    types, bodies = by_id[wasm.FUNCTIONS], by_id[wasm.CODE]
    count, start = wasm.number(types.data, 0)
    functions = list(wasm.numbers(types.data[start:], count))
    old, free = exports[POP], exports[FREE]
    pop_type = functions[old - imported]
    new = imported + count

    # (context, type, &pointer) -> length. The pointer of the copy is stored, or 0 if there is no copy.
    freeing = (
        bytes([0x21, 3])  # length = old(…)
        + bytes([0x20, 2, 0x28, 2, 0, 0x04, 0x40])  # if the pointer is not 0
        + bytes([0x20, 0, 0x20, 2, 0x28, 2, 0, 0x20, 3, 0x41, 1, 0x41, 1, 0x10]) + wasm.leb(free)
        # free(context, pointer, length, alignment 1, deferred)
        + bytes([0x0B, 0x20, 3, 0x0B])  # the length
    )  # fmt: skip
    if bodies.data.endswith(freeing):
        raise wasm.Unexpected("it is fixed already: its last function frees the copies")
    # One local of type i32: the length.
    body = bytes([1, 1, 0x7F, 0x20, 0, 0x20, 1, 0x20, 2, 0x10]) + wasm.leb(old) + freeing
    types.data = wasm.leb(count + 1) + types.data[start:] + wasm.leb(pop_type)
    count, start = wasm.number(bodies.data, 0)
    bodies.data = wasm.leb(count + 1) + bodies.data[start:] + wasm.leb(len(body)) + body
    export = wasm.leb(len(POP)) + POP + bytes([FUNCTION])
    by_id[wasm.EXPORTS].data = by_id[wasm.EXPORTS].data.replace(
        export + wasm.leb(old), export + wasm.leb(new)
    )
    return wasm.joined(module, every)


def _exports(module: bytes) -> dict[bytes, int]:
    """The functions that a core module exports: their indices by name."""
    exports: dict[bytes, int] = {}
    for section in wasm.sections(module):
        if section.id == wasm.EXPORTS:
            count, at = wasm.number(section.data, 0)
            for _ in range(count):
                name, at = wasm.name(section.data, at)
                kind = section.data[at]
                index, at = wasm.number(section.data, at + 1)
                if kind == FUNCTION:
                    exports[name] = index
    return exports


def _import_kinds(data: bytes) -> Iterator[int]:
    """The kind of each import in an import section."""
    count, at = wasm.number(data, 0)
    for _ in range(count):
        _, at = wasm.name(data, at)
        _, at = wasm.name(data, at)
        kind = data[at]
        at += 1
        if kind == FUNCTION:
            _, at = wasm.number(data, at)
        elif kind == 3:  # a global: its type and its mutability
            at += 2
        elif kind in (1, 2):  # a table: the element type and limits; a memory: limits
            at += kind == 1
            bounded = data[at] & 1
            _, at = wasm.number(data, at + 1)
            if bounded:
                _, at = wasm.number(data, at)
        else:
            raise wasm.Unexpected(f"an import has the unknown kind {kind}")
        yield kind


def main() -> int:
    """Fix the component that the command line names. Returns the exit code."""
    check = (
        "Check whether its runtime/src/lib.rs frees what maybe_pop_list copies. If so, stop using "
        "tools/mend.py; if not, add the version to KNOWN there."
    )
    return change_in_place("fix", mend, KNOWN, check)


if __name__ == "__main__":
    sys.exit(main())
