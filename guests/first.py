"""Each entry imports this before any module of the project, so that those lie side by side in memory.

A request uses much of them, and little of what is imported here (docs/decisions/0019-snapshot.md).
"""

from __future__ import annotations

from importlib import import_module

from guests.snapshot import fill_holes

OTHERS = (
    "base64",
    "contextlib",
    "dataclasses",
    "gzip",
    "hmac",
    "html",
    "ipaddress",
    "json",
    "multipart",
    "pathlib",
    "shlex",
    "typing",
    "urllib.parse",
)
"""With what they import themselves, these are all modules of others that the project imports."""

for _name in OTHERS:
    import_module(_name)

fill_holes()
