"""No request waits for something that only another request can do (`kv_batch.waiting`)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tools.components import ROOT

MAY_WAIT = {"kv_batch/waiting.py", "guests/scheduling.py"}
"""The modules that may make futures, since they know which task resolves them."""

HARMLESS = {"Task", "CancelledError", "current_task"}
"""What the other modules may use of asyncio. They must not wait with it: componentize-py wakes no task whose
future another request has resolved, and its event loop has no timers."""


def waits(text: str) -> Iterator[str]:
    """What a module uses of asyncio that waits, or makes something to wait for."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Attribute(value=ast.Name("asyncio"), attr=name) if name not in HARMLESS:
                yield f"line {node.lineno}: asyncio.{name}"
            case ast.ImportFrom(module=str(source), names=names) if source.partition(".")[0] == "asyncio":
                yield from (f"line {node.lineno}: {name.name} of {source}" for name in names)
            case ast.Import(names=modules):
                for module in modules:
                    if module.name.startswith("asyncio.") or (module.name == "asyncio" and module.asname):
                        yield f"line {node.lineno}: {module.name} as {module.asname}"
            case ast.Attribute(attr="create_future") | ast.Name("create_future"):
                yield f"line {node.lineno}: create_future"


def test_only_two_modules_make_what_a_task_waits_for() -> None:
    files = [
        ROOT / "app.py",
        *(file for room in ("kv_batch", "gateway", "guests") for file in (ROOT / room).rglob("*.py")),
    ]
    assert len(files) > 40
    found = [
        f"{name}, {wait}"
        for file in files
        if (name := file.relative_to(ROOT).as_posix()) not in MAY_WAIT
        for wait in waits(file.read_text())
    ]
    assert not found, "\n".join(found)


def test_every_way_to_wait_is_found() -> None:
    for name in (
        "Event",
        "Lock",
        "Condition",
        "Queue",
        "Semaphore",
        "Future",
        "gather",
        "wait_for",
        "sleep",
        "timeout",
        "TaskGroup",
    ):
        assert [*waits(f"import asyncio\nasyncio.{name}()")] == [f"line 2: asyncio.{name}"]
        assert [*waits(f"from asyncio import {name}")] == [f"line 1: {name} of asyncio"]
    assert [*waits("loop.create_future()")] == ["line 1: create_future"]
    assert [*waits("import asyncio as wait\nwait.sleep(1)")] == ["line 1: asyncio as wait"]
    assert [*waits("import asyncio.locks\nasyncio.locks.Lock()")] != []
    assert not [*waits("import asyncio\nasyncio.current_task()\nclock.wait_for(1)")]
