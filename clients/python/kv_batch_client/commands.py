"""The commands of `kvb`. Each takes the parsed options and returns an exit code."""

from __future__ import annotations

import argparse
import base64
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from kv_batch_client import connections, sources
from kv_batch_client.addresses import is_url
from kv_batch_client.difference import difference, sorted_lines
from kv_batch_client.errors import BadInput, ClientError, counted
from kv_batch_client.lines import Part, checked, end_line, pair_line, without_mark
from kv_batch_client.output import Output
from kv_batch_client.progress import Bar
from kv_batch_client.store import Store
from kv_batch_client.writing import Written

DIFFERENT = MISSING = 1


class KeysFailed(ClientError):
    """Some keys failed by themselves; all others were written."""

    def __init__(self, failed: dict[str, str]) -> None:
        super().__init__(f"{len(failed)} keys failed")
        self.failed = failed


class ExportFailed(ClientError):
    """An export that ended early.

    Attributes:
        cause: The reason.
        left: A sentence about the file that is left; empty if there is none.
    """

    def __init__(self, cause: ClientError, left: str) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.left = left


class Interrupted(ClientError):
    """Ctrl-C, with how far the command came."""


def get(options: argparse.Namespace) -> int:
    """Prints the values of keys. Returns 1 if a key is missing."""
    missing = False
    with connections.store(options) as store:
        for key, value in store.get_many(_keys(options)):
            missing |= value is None
            if options.json:
                pair = pair_line(key, value) if value is not None else _null_line(key)
                _write(pair + b"\n")
            elif value is None:
                _say(f"{json.dumps(key)} is not in the store.")
            else:
                _write(value if options.raw else _readable(key, value) + b"\n")
    return MISSING if missing else 0


def set_(options: argparse.Namespace) -> int:
    """Writes the pairs of the command line."""
    options.unit = "pair"
    arguments = iter(options.pairs)
    pairs = []
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if equals:
            pairs.append((key, text.encode(errors="surrogateescape")))
            continue
        given = next(arguments, None)
        if given is None:
            raise BadInput(f"{key!r} has no value. Write {key}=VALUE, or {key} @FILE, or {key} - for stdin.")
        pairs.append((key, _value(given)))
    with connections.store(options) as store:
        _finish(store.set_many(pairs), "written")
    return 0


def delete(options: argparse.Namespace) -> int:
    """Deletes keys, or all keys with a prefix."""
    options.unit = "key"
    if options.prefix is None:
        with connections.store(options) as store:
            _finish(store.delete_many(_keys(options)), "deleted")
        return 0
    if options.keys or options.keys_file:
        raise BadInput("Give either keys or --prefix.")
    with connections.store(options) as store:
        count = store.count(options.prefix)
        what = (
            f"{counted(count, 'key')} that start with {options.prefix!r}"
            if options.prefix
            else f"all {counted(count, 'key')}"
        )
        if not count:
            _say(f"No key of {store.url} starts with {options.prefix!r}.")
        elif options.yes or _agreed(f"Delete {what} of {store.url}? [y/N] "):
            _say(f"{store.delete_prefix(options.prefix)}.")
        else:
            _say("Nothing was deleted.")
    return 0


def keys(options: argparse.Namespace) -> int:
    """Prints the keys, sorted."""
    with connections.store(options) as store:
        for key in store.keys(options.prefix, options.after):
            # A terminal obeys control characters, so they are shown as JSON there.
            as_json = options.json or (sys.stdout.isatty() and not key.isprintable())
            _write((json.dumps(key) if as_json else key).encode() + b"\n")
    return 0


def export(options: argparse.Namespace) -> int:
    """Writes the pairs to a file or to stdout."""
    with Bar("export") as bar, connections.store(options, bar) as store, Output(options.output) as file:
        _expect(bar, store, options.prefix)
        try:
            for line in bar.counted(store.export_lines(options.prefix)):
                file.write(line + b"\n")
            file.write(end_line(bar.lines))
        except KeyboardInterrupt as error:
            raise Interrupted(f"after {counted(bar.lines, 'pair')}. {file.left}") from error
        except ClientError as error:
            raise ExportFailed(error, file.left) from error
    _say(f"{counted(bar.lines, 'pair')} exported.")
    return 0


def import_(options: argparse.Namespace) -> int:
    """Writes the pairs of a file to the store."""
    with _input(options.file) as file, Bar("import") as bar, connections.store(options, bar) as store:
        if options.format == "ndjson":
            lines = checked(sources.ndjson(file), needs_end=options.end)
        else:
            read, options.unit = sources.FORMATS[options.format]
            lines = read(file, _say)
        size = _size(file)
        if size is not None and options.format in sources.STREAMED:
            bar.expect(size)
            lines = bar.measured(lines, file.tell)
        # A pipe is not read ahead: a thread that waits for its input could not be stopped by Ctrl-C.
        written = _write_all(store, lines, bar, options.unit, ahead=size is not None)
    _finish(written, "imported")
    return 0


def copy(options: argparse.Namespace) -> int:
    """Copies the pairs of a store to another."""
    with Bar("copy") as bar:
        source, destination = connections.two(options, bar)
        if source.url == destination.url:
            raise BadInput("Both URLs are the same store.")
        _expect(bar, source, options.prefix)
        written = _write_all(destination, source.export_lines(options.prefix), bar, "pair", ahead=True)
    _finish(written, "copied")
    return 0


def _write_all(store: Store, lines: Iterator[bytes], bar: Bar, unit: str, *, ahead: bool) -> Written:
    """set-many of lines."""
    done = 0

    def on_part(part: Part) -> None:
        nonlocal done
        done = part.after - 1

    try:
        return store.write_lines("set-many", lines, on_part=on_part, on_sent=bar.passed, ahead=ahead)
    except KeyboardInterrupt as error:
        far = f"after {unit} {done}. All up to it are applied, and perhaps some after it."
        raise Interrupted(far if done else "in the first part. Some of it may be applied.") from error


def _expect(bar: Bar, store: Store, prefix: str) -> None:
    """Tells the bar the number of pairs, if there is a bar and the token may count them."""
    if bar.is_shown:
        with suppress(ClientError):
            bar.expect(store.count(prefix))


def _size(file: BinaryIO) -> int | None:
    """The size of a file in bytes; None if it is no regular file."""
    status = os.fstat(file.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def diff(options: argparse.Namespace) -> int:
    """Prints the keys that differ. Returns 1 if there are any."""
    differs = False
    first, second = (_side(each, options.prefix) for each in connections.sides(options))
    for kind, key in difference(first, second):
        differs = True
        _write(f"{kind} {key if key.isprintable() else json.dumps(key)}\n".encode())
    return DIFFERENT if differs else 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "get": get,
    "set": set_,
    "delete": delete,
    "keys": keys,
    "export": export,
    "import": import_,
    "copy": copy,
    "diff": diff,
}


def _side(side: Store | str, prefix: str) -> Iterator[bytes]:
    if isinstance(side, Store):
        yield from side.export_lines(prefix)
        return
    with _input(side) as file:
        yield from sorted_lines(sources.ndjson(file), prefix)


def _finish(written: Written, done: str) -> None:
    _say(f"{counted(written.pairs - len(written.failed), 'key' if done == 'deleted' else 'pair')} {done}.")
    if written.failed:
        raise KeysFailed(written.failed)


def _keys(options: argparse.Namespace) -> Iterator[str]:
    if not options.keys and not options.keys_file:
        raise BadInput("No key was given. Name keys, or a file with keys: --keys-file FILE (- is stdin).")

    def each() -> Iterator[str]:
        yield from options.keys
        if options.keys_file:
            with _input(options.keys_file) as file:
                for number, line in enumerate(without_mark(file), 1):
                    try:
                        yield line.rstrip(b"\r\n").decode()
                    except UnicodeDecodeError as error:
                        raise BadInput(f"Line {number} of {options.keys_file} is not UTF-8.") from error

    return each()


def _value(given: str) -> bytes:
    if given == "-":
        return sys.stdin.buffer.read()
    return Path(given[1:]).read_bytes() if given.startswith("@") else given.encode(errors="surrogateescape")


def _readable(key: str, value: bytes) -> bytes:
    try:
        value.decode()
    except UnicodeDecodeError:
        _say(f"The value of {json.dumps(key)} is not text, and is printed as base64. --raw prints its bytes.")
        return base64.b64encode(value)
    return value


def _null_line(key: str) -> bytes:
    return json.dumps({"key": key, "value": None}).encode()


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise BadInput("The deletion needs an answer, and stdin is no terminal. Add --yes to delete.")
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


@contextmanager
def _input(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        if sys.stdin.isatty():
            _say("Reading from the terminal. Ctrl-D ends the input.")
        yield sys.stdin.buffer
        return
    if is_url(name):
        raise BadInput(f"{name} is a URL; a file is needed. kvb copy copies from a URL.")
    with Path(name).open("rb") as file:
        yield file


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)


def _say(what: str) -> None:
    print(f"kvb: {what}", file=sys.stderr)
