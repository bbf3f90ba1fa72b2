"""What the snapshot of a component lists, and what is imported before it."""

from __future__ import annotations

import subprocess
import sys

from guests import snapshot
from tools.components import ROOT


class Example:
    """A class with a method, whose parts the list must have."""

    def method(self) -> str:
        return "a constant of a method"


def test_all_that_a_module_refers_to_is_listed_once() -> None:
    addresses = snapshot.addresses()
    assert len(set(addresses)) == len(addresses) > 10_000
    code = Example.method.__code__
    parts = [
        Example,
        Example.method,
        code,
        *code.co_consts,
        code.co_names,
        code.co_qualname,
        type,
        object,
        str,
    ]
    assert not [part for part in parts if id(part) not in set(addresses)]


def test_all_modules_that_are_not_ours_are_imported_first() -> None:
    """In a new process, which has no tests and none of their modules."""
    program = """
import sys
from importlib import import_module
from guests import snapshot
snapshot.fill_holes = lambda: None  # for the allocator of WASI, not for this one
import asyncio
import guests.first
before = set(sys.modules)
for name in ("gateway.gateway", "guests.wasi", "guests.blocking", "kv_batch.wit", "kv_batch.asynchronous"):
    import_module(name)
ours = ("gateway", "guests", "kv_batch")
print(*sorted(name for name in set(sys.modules) - before if name.split(".")[0] not in ours))
"""
    printed = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert printed.split() == []
