"""The corpus: all hostile requests, with names."""

from __future__ import annotations

from tests.hostile.bodies import bodies, forms, packed
from tests.hostile.framing import chunks, cut_short, smuggling
from tests.hostile.heads import heads, paths
from tests.hostile.requests import Hostile

CORPUS = [
    Hostile(f"{kind.__name__}: {name}", data)
    for kind in (smuggling, chunks, heads, paths, bodies, forms, packed, cut_short)
    for name, data in kind().items()
]
