"""The entry of the component for the release candidate of WASI 0.3, which Spin 4.0 has: `app.py`.

The Wasmtime of Spin 4.0 resumes a task that yields before anything else is done. So a task waits on a clock
there, which is never less than a millisecond.
"""

from __future__ import annotations

import app
from app import HttpHandler

__all__ = ["HttpHandler"]

app.suspend = app.tick
