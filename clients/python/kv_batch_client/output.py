"""The file of an export, which gets its name when it is complete."""

from __future__ import annotations

import errno
import gzip
import os
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, Self, cast


class Output:
    """stdout, or a file. As a context manager it completes the file, unless there was an error.

    A file is written as FILE.part from its first byte on, and renamed at its end. After an error FILE.part
    stays. What is no regular file (/dev/null, a named pipe) is written as it is.

    Args:
        name: The file, compressed if its name ends in .gz; None or `-` for stdout.

    Raises:
        OSError: there can be no such file.
    """

    def __init__(self, name: str | None) -> None:
        self._is_stdout = name is None or name == "-"
        self._path = Path(name or "-").resolve()  # a link stays a link
        self._part: Path | None = None
        self._file: BinaryIO | None = None
        self._files = ExitStack()
        if self._is_stdout:
            return
        if not self._path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        if self._path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        if self._path.is_file() or not self._path.exists():
            self._part = self._path.with_name(f"{self._path.name}.part")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None:
            with suppress(OSError):
                self._files.close()
            return
        try:
            self._files.close()
            if self._is_stdout:
                sys.stdout.flush()
        except OSError as last:
            raise self._named(last) from last
        if self._part is not None:
            self._part.replace(self._path)

    @property
    def left(self) -> str:
        """A sentence about the file that an export left which failed; empty if there is none."""
        return f"What has arrived is in {self._part}." if self._part and self._file else ""

    def write(self, data: bytes) -> None:
        """Writes bytes.

        Raises:
            OSError: with the name of the file.
        """
        try:
            (self._file or self._open()).write(data)
        except OSError as error:
            raise self._named(error) from error

    def _named(self, error: OSError) -> OSError:
        """The error with a file name: an error of write() has none. stdout keeps none."""
        if self._is_stdout or error.filename:
            return error
        return OSError(error.errno, error.strerror, str(self._part or self._path))

    def _open(self) -> BinaryIO:
        if self._is_stdout:
            self._file = sys.stdout.buffer
            return self._file
        plain = self._files.enter_context((self._part or self._path).open("wb"))
        self._file = plain
        if self._path.suffix == ".gz":
            packed = gzip.GzipFile(filename="", fileobj=plain, mode="wb", compresslevel=6)
            self._file = cast("BinaryIO", self._files.enter_context(packed))
        return self._file
