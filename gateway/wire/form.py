"""Decodes `multipart/form-data` (RFC 7578) to pairs: the name of a part is the key, its bytes are the value.

This is for a shell: `curl -F greeting=hello -F logo.png=@logo.png`. The file name and the media type of a
part are ignored. `gateway.wire.disposition` decodes the name of a part.
"""

from __future__ import annotations

from multipart import (
    MultipartError,
    MultipartSegment,
    ParserError,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from gateway.problems import Problem
from gateway.settings import Limits
from gateway.wire.disposition import NoName, name_of
from gateway.wire.pairs import Pair, check_count, check_key, check_value_size
from gateway.wire.place import MAX_QUOTED

_AS_IT_IS = ("7bit", "8bit", "binary")
"""The transfer encodings that leave the bytes unchanged."""


class _Parser(PushMultipartParser):  # type: ignore[misc]  # it has no types
    """The parser, which refuses folded headers here.

    No client sends them. `PushMultipartParser` joins each fold with all folds before it, so 16 MB of folds
    took a minute.
    """

    def _on_segment_headerline(self, line: bytes) -> None:
        if line[:1] in (b" ", b"\t"):
            raise ParserError("A header of a part is folded")
        super()._on_segment_headerline(line)


class FormDecoder:
    """Decodes the pairs of a form as its bytes arrive."""

    def __init__(self, content_type: str, limits: Limits) -> None:
        """Creates a decoder for the boundary in `content_type`.

        Raises:
            Problem: `malformed-body`: there is no valid boundary.
        """
        boundary = parse_options_header(content_type)[1].get("boundary", "")
        # RFC 2046 section 5.1.1: 1 to 70 characters.
        if not 1 <= len(boundary) <= 70:
            raise Problem(
                "malformed-body",
                "The content-type has no boundary of 1 to 70 characters (RFC 2046 section 5.1.1). "
                "Let the client set the content-type, as curl does with -F.",
            )
        self._limits = limits
        # The key may be percent-encoded, with three bytes for one. 1,024 bytes are left for the rest.
        self._parser = _Parser(boundary, max_header_size=3 * limits.key_bytes + 1024)
        self._pairs: list[Pair] = []
        self._key = ""
        self._chunks: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> None:
        """Decodes the next bytes of the form.

        Raises:
            Problem: `malformed-body`, `invalid-key`, `too-large`.
        """
        try:
            for event in self._parser.parse(chunk):
                if isinstance(event, MultipartSegment):
                    self._start(event)
                elif event is None:
                    self._pairs.append((self._key, b"".join(self._chunks)))
                else:
                    self._add(bytes(event))
        except MultipartError as error:
            raise self._malformed(error) from error

    def pairs(self) -> list[Pair]:
        """Returns the pairs. All bytes must have been fed.

        Raises:
            Problem: `malformed-body`: the form is incomplete.
        """
        try:
            self._parser.close()
        except MultipartError as error:
            raise self._malformed(error) from error
        return self._pairs

    @property
    def _pointer(self) -> str:
        return f"/pairs/{len(self._pairs)}"

    def _start(self, part: MultipartSegment) -> None:
        check_count(len(self._pairs) + 1, self._limits)
        headers: dict[str, str] = {}
        for header, value in part.headerlist:
            if header in headers:
                raise self._refused(f"A part has the header {header[:MAX_QUOTED]} twice.")
            headers[header] = value
        if headers.get("Content-Type", "").lower().startswith("multipart/"):
            raise self._refused(
                "A part is a form itself, with several files, but a part must be one value. "
                "With curl, send each file as a part: -F a=@a -F b=@b, not -F ab=@a,b."
            )
        encoding = headers.get("Content-Transfer-Encoding", "binary").strip().lower()
        if encoding not in _AS_IT_IS:
            raise self._refused(
                f"A part has the content-transfer-encoding {encoding[:MAX_QUOTED]!r}. Send its bytes without "
                "an encoding (RFC 7578 section 4.7)."
            )
        try:
            name = name_of(headers["Content-Disposition"])
        except NoName as error:
            raise self._refused(str(error)) from error
        self._key = check_key(name, self._limits, {"pointer": f"{self._pointer}/key"})
        self._chunks = []
        self._size = 0

    def _add(self, chunk: bytes) -> None:
        self._size += len(chunk)
        check_value_size(self._size, self._limits, {"pointer": f"{self._pointer}/value"})
        self._chunks.append(chunk)

    def _refused(self, reason: str) -> Problem:
        return Problem("malformed-body", reason, pointer=self._pointer)

    def _malformed(self, error: MultipartError) -> Problem:
        hint = " A key may be too long." if isinstance(error, ParserLimitReached) else ""
        return Problem(
            "malformed-body",
            f"The body is not multipart/form-data: {error.args[0]}.{hint}",
            pointer=self._pointer,
        )
