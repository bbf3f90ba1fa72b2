"""One request and its answer in memory, for a component without a server."""

from __future__ import annotations


class Exchange:
    """The exchange of the embedded host, in memory.

    Attributes:
        chunks: The chunks of the request's body that have not been read. An exception among them is raised
            when its turn comes.
        status, headers, answer: The part of the response that has been sent.
    """

    def __init__(self, *chunks: bytes | Exception) -> None:
        self.chunks = list(chunks)
        self.status = 0
        self.headers: dict[str, str] = {}
        self.answer = b""

    def read(self) -> bytes:
        chunk = self.chunks.pop(0) if self.chunks else b""
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    def respond(self, status: int, headers: list[tuple[str, str]], authorized: bool) -> None:
        assert all(name == name.lower() for name, _ in headers)
        self.status, self.headers = status, dict(headers)

    def write(self, chunk: bytes) -> bool:
        self.answer += chunk
        return True
