"""The generated bindings' types, made importable outside a guest.

The bindings import the runtime that componentize-py puts into a guest, and it is not to be had natively (and
its stub needs Python 3.12). The types of the store interfaces need nothing of it, so it is left empty.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any


class _Empty(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return list  # anything that may be subscripted


for _name in ("", ".streams", ".futures"):
    sys.modules.setdefault(f"componentize_py_async_support{_name}", _Empty("componentize_py_async_support"))
sys.path.append(str(Path(__file__).parent.parent / "bindings"))

from componentize_py_types import Err  # noqa: E402 - the path is set above
from wit_world.imports import key_value, wasi_keyvalue_store  # noqa: E402

__all__ = ["Err", "key_value", "wasi_keyvalue_store"]
