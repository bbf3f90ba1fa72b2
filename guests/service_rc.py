"""The entry of the component for the release candidate of WASI 0.3, which Spin 4.0 has: `app.py`.

The Wasmtime of Spin 4.0 resumes a task that yields before anything else is done. So a task waits on a clock
there, which is never less than a millisecond.

Spin 4.1 makes an instance for each request of this component, and has not many of them. So the body of a
stranger, which would keep its instance, is not read on.
"""

from __future__ import annotations

import app
from app import HttpHandler

__all__ = ["HttpHandler"]

app.suspend = app.tick
app.LINGERING.strangers_at_once = 0
