"""The types of the generated bindings, importable outside a guest.

The bindings import the runtime that componentize-py puts into a guest. It is not available natively (and its
stub needs Python 3.12). The types of the store interfaces do not use it, so empty modules replace it here.
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
        return list  # any type that can be subscripted


for _name in ("", ".streams", ".futures"):
    sys.modules.setdefault(f"componentize_py_async_support{_name}", _Empty("componentize_py_async_support"))
sys.path.append(str(Path(__file__).parent.parent / "bindings"))

from componentize_py_types import Err  # noqa: E402 - after the path is set
from wit_world.imports import key_value, wasi_keyvalue_store  # noqa: E402

__all__ = ["Err", "key_value", "wasi_keyvalue_store"]
