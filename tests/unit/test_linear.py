"""No regular expression and no loop over what a client sends takes a time that grows with the square of it.

Processor time is measured, to which other programs do not add, and what is fast is not measured again.
"""

from __future__ import annotations

import ast
import asyncio
import gzip
import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import gateway
import kv_batch
from gateway.gateway import Gateway
from gateway.problems import Problem
from gateway.settings import Limits
from gateway.wire import bulk, ndjson, pairs
from gateway.wire.coding import Unpacked
from gateway.wire.disposition import NoName, name_of
from gateway.wire.encoding import NEWLINE, encode_pairs
from gateway.wire.form import FormDecoder
from gateway.wire.media import FORM, JSON, foreign_charset, media_type, preferred, takes_gzip
from gateway.wire.query import parse_query
from tests.hostile.repeats import (
    FORM_FRAGMENTS,
    FORM_PART,
    GZIP_FRAGMENTS,
    HEADER_FRAGMENTS,
    HEADERS,
    JSON_FRAGMENTS,
    KEYS,
    LINE,
    MANY,
    PAIR,
    PAIRS,
    TARGET,
    TARGET_FRAGMENTS,
    around,
    repeated,
    units,
)
from tests.unit.test_gateway import SmallBody, SmallHost, ask

SIZE = 128 * 1024
"""The length of the inputs that are compared with half of it."""

FIRST = SIZE // 8
"""The length that is tried first. A step of a nanosecond for each two of its bytes takes 130 ms."""

FAST = 0.0025
"""The seconds of processor time in which FIRST must be done. Only what takes longer is compared."""

LONG = 0.1
"""The seconds after which no longer input is needed for the comparison."""

OWN_FILES = {"gateway.pages"}
"""Modules whose expressions read only files of this project, while a component is compiled."""

Feed = Callable[[Any], object]
"""A loop over one input."""


def seconds(feed: Feed, text: Any) -> float:
    start = time.process_time()
    feed(text)
    return time.process_time() - start


def slow(feed: Feed, unit: Any, before: Any, behind: Any) -> str:
    """How the time grows with the length, if it is the worse for twice the length; empty if it is not."""

    def least(size: int, times: int) -> float:
        text = before + repeated(unit, size) + behind
        return min(seconds(feed, text) for _ in range(times))

    size = FIRST
    if least(size, 1) < FAST or (took := least(size, 3)) < FAST:
        return ""
    while size < SIZE and took < LONG:
        size *= 2
        took = least(size, 1)
    for times in 1, 3, 9:
        half, whole = least(size // 2, times), least(size, times)
        if whole < 3 * half:
            return ""
    return f"{before[-60:]!r} + {unit!r} * N + {behind[:60]!r}: {half:.2f} s, {whole:.2f} s for twice as many"


SCANS = dict.fromkeys(("findall", "finditer", "split", "sub"), "finditer")
METHODS = {"match": "match", "fullmatch": "fullmatch", "search": "search", **SCANS}
"""The methods of an expression, and which is measured for each."""


@dataclass
class Expression:
    """A regular expression, where it is, and the methods that are measured."""

    pattern: re.Pattern[Any]
    where: str
    methods: set[str] = field(default_factory=set)


@cache
def modules() -> dict[str, ModuleType]:
    return {
        found.name: importlib.import_module(found.name)
        for package in (gateway, kv_batch)
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if found.name not in OWN_FILES
    }


@cache
def body(module: ModuleType) -> list[ast.stmt]:
    return ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8")).body


def nodes(module: ModuleType) -> Iterator[ast.AST]:
    for statement in body(module):
        yield from ast.walk(statement)


def held(value: object, name: str) -> Iterator[tuple[str, re.Pattern[Any]]]:
    """The expressions that a value is or has, with its name: of a global, or of an .attribute."""
    if isinstance(value, re.Pattern):
        yield name, value
    elif isinstance(value, tuple | list | set | frozenset | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from held(item, name)
    elif type(value).__module__ in modules() or isinstance(value, type):
        for attribute, item in getattr(value, "__dict__", {}).items():
            if isinstance(item, re.Pattern | tuple | list | dict):
                yield from held(item, f".{attribute}")


def uses(module: ModuleType, name: str) -> set[str]:
    """The methods that a module calls on what has this name; all if it also does something else with it."""
    receivers = {
        id(node.value): {METHODS[node.attr]}
        for node in nodes(module)
        if isinstance(node, ast.Attribute) and node.attr in METHODS
    }
    found: set[str] = set()
    for node in nodes(module):
        read = node.id if isinstance(node, ast.Name) else f".{getattr(node, 'attr', '')}"
        if read == name and isinstance(getattr(node, "ctx", None), ast.Load):
            found |= receivers.get(id(node), set(METHODS.values()))
    return found


def calls(node: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """The calls of functions of `re` that take an expression, and the functions."""
    for inner in ast.walk(node):
        match inner:
            case ast.Call(func=ast.Attribute(value=ast.Name("re"), attr=function)) if function != "escape":
                yield inner, function


def expressions() -> list[Expression]:
    """Those that are held by a global of a module, or passed to a function of `re` as a constant."""
    found: dict[tuple[object, int], Expression] = {}
    for module_name, module in modules().items():
        holding = [each for name, value in vars(module).items() for each in held(value, name)]
        for name, pattern in holding:
            known = Expression(pattern, f"{module_name}:{name} ({len(found)})")
            found.setdefault((pattern.pattern, pattern.flags), known).methods.update(uses(module, name))
        for call, function in (each for statement in body(module) for each in calls(statement)):
            if function in METHODS and isinstance(call.args[0], ast.Constant):
                pattern = re.compile(call.args[0].value)
                known = Expression(pattern, f"{module_name}:{call.lineno}")
                found.setdefault((pattern.pattern, pattern.flags), known).methods.add(METHODS[function])
    return list(found.values())


EXPRESSIONS = expressions()


def test_each_expression_is_found() -> None:
    """One that is made elsewhere than where `expressions` looks must become a global of its module."""
    assert len(EXPRESSIONS) > 25
    assert all(expression.methods for expression in EXPRESSIONS)
    for name, module in modules().items():
        holders = {type(item) for value in vars(module).values() for item in (value, *_items(value))}
        for statement in body(module):
            for call, function in calls(statement):
                if function in METHODS:
                    known = isinstance(call.args[0], ast.Constant)
                elif isinstance(statement, ast.ClassDef):
                    known = vars(module)[statement.name] in holders
                else:
                    known = isinstance(statement, ast.Assign | ast.AnnAssign) and function == "compile"
                assert known, f"{name}, line {call.lineno}: re.{function}"
        assert not [
            node for node in nodes(module) if isinstance(node, ast.ImportFrom) and node.module == "re"
        ]


def _items(value: object) -> Sequence[object]:
    return value if isinstance(value, tuple | list) else ()


def sre(pattern: re.Pattern[Any]) -> Any:
    """The expression as Python's parser reads it: operations with their values."""
    return importlib.import_module("re._parser").parse(pattern.pattern, pattern.flags)


def atoms(node: Any) -> Iterator[Any]:
    """The operations that match one character."""
    if type(node).__name__ == "SubPattern":
        for operation, value in node:
            if str(operation) in ("LITERAL", "NOT_LITERAL", "IN", "ANY"):
                yield operation, value
            else:
                yield from atoms(value)
    elif isinstance(node, tuple | list):
        for item in node:
            yield from atoms(item)


def kinds(pattern: re.Pattern[Any]) -> dict[tuple[bool, ...], Any]:
    """One character of each kind that the expression tells apart, by which of its atoms match it."""
    parsed = sre(pattern)
    new, compiled = type(parsed), importlib.import_module("re._compiler").compile
    tests = [compiled(new(parsed.state, [atom]), parsed.state.flags) for atom in atoms(parsed)]
    found: dict[tuple[bool, ...], Any] = {}
    for code in (*range(0x20, 0x7F), *range(0x20), *range(0x7F, 0x100)):
        character = bytes([code]) if isinstance(pattern.pattern, bytes) else chr(code)
        found.setdefault(tuple(test.match(character) is not None for test in tests), character)
    return found


def sample(node: Any, characters: list[Any]) -> list[Any]:
    """A text with a part for each part of the expression, in pieces: words, and single characters."""
    compiled = importlib.import_module("re._compiler").compile
    pieces: list[Any] = []
    for index, (operation, value) in enumerate(node):
        match str(operation):
            case "LITERAL" | "NOT_LITERAL" | "IN" | "ANY":
                atom = compiled(type(node)(node.state, [(operation, value)]), node.state.flags)
                text = next(each for each in characters if atom.match(each))
                if index and str(operation) == str(node[index - 1][0]) == "LITERAL":
                    pieces[-1] += text
                else:
                    pieces.append(text)
            case "BRANCH":
                longest = max((sample(branch, characters) for branch in value[1]), key=len)
                pieces += longest
            case "MAX_REPEAT" | "POSSESSIVE_REPEAT":
                least, _, inner = value
                one = sample(inner, characters)
                pieces += [characters[0][:0].join(one) * least] if least > 1 else one
            case "SUBPATTERN":
                pieces += sample(value[3], characters)
            case "AT" | "ASSERT" | "ASSERT_NOT":
                pass
            case other:
                pytest.fail(f"this test does not know {other}")
    return pieces


def used(pattern: re.Pattern[Any], method: str) -> Feed:
    if method == "finditer":
        return lambda text: sum(1 for _ in pattern.finditer(text))
    return partial(getattr(pattern, method))


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda expression: expression.where)
def test_an_expression_is_linear(expression: Expression) -> None:
    known = kinds(expression.pattern)
    characters = list(known.values())
    odd = known.get((False,) * len(next(iter(known))), characters[0])
    pieces = sample(sre(expression.pattern), characters)
    # The letters of a word are told apart only by the word, so within the sample few of them are enough.
    few = units([*(each for each in characters if not each.isalnum()), characters[-1]])
    everything = units(characters)
    for method in expression.methods:
        feed = used(expression.pattern, method)
        for before, behind in around(pieces, odd):
            for unit in few if before and behind not in ("", b"", odd) else everything:
                assert not (told := slow(feed, unit, before, behind)), f"{method}: {told}"


LIMITS = Limits()
DISPOSITION = ["form-data", "; ", "name", "=", '"a"', "; filename*=", "utf-8''", "a"]


def in_chunks(text: bytes, size: int) -> list[bytes | Exception]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def lines_in_chunks(text: bytes) -> None:
    async def run() -> None:
        async for _ in ndjson.read(SmallBody(in_chunks(text, 256)), LIMITS, ndjson.decode_pair_lines):
            pass

    asyncio.run(run())


def unpacked(text: bytes) -> None:
    async def run() -> None:
        body = Unpacked(SmallBody([text]))
        while await body.read():
            pass

    asyncio.run(run())


def form(text: bytes, size: int = SIZE * 2) -> None:
    decoder = FormDecoder(f"{FORM}; boundary=b", LIMITS)
    for chunk in in_chunks(text, size):
        assert isinstance(chunk, bytes)
        decoder.feed(chunk)
    decoder.pairs()


def header(name: str) -> Feed:
    """A request with a header, whose other headers are usual."""
    headers = {"host": "localhost", "content_type": JSON, name: ""}
    asked = Gateway(SmallHost())
    return lambda text: ask(asked, "POST", "/v1/default/get-many", b"{}", **{**headers, name: text})


def target(text: str) -> None:
    ask(Gateway(SmallHost()), "GET", text)


LOOPS: list[tuple[str, Feed, list[Any], list[Any]]] = [
    # the name, the loop, the fragments of its inputs, and a valid input in pieces
    ("pair lines", lambda text: ndjson.decode_pair_lines(text, 1, LIMITS), JSON_FRAGMENTS, LINE),
    ("key lines", lambda text: ndjson.decode_key_lines(text, 1, LIMITS), JSON_FRAGMENTS, LINE),
    ("many values", lambda text: ndjson.decode_pair_lines(text, 1, LIMITS), JSON_FRAGMENTS[:12], MANY),
    ("lines in chunks", lines_in_chunks, [b"\\", b'"', b"a", b"\n", PAIR], LINE),
    (
        "pairs",
        lambda text: bulk.body_pairs(text, LIMITS) or pairs.decode_pairs(text, LIMITS),
        JSON_FRAGMENTS,
        PAIRS,
    ),
    (
        "keys",
        lambda text: bulk.body_keys(text, LIMITS) or pairs.decode_keys(text, LIMITS),
        JSON_FRAGMENTS,
        KEYS,
    ),
    ("a form", form, FORM_FRAGMENTS, FORM_PART),
    ("a form in chunks", partial(form, size=16), FORM_FRAGMENTS[:5], FORM_PART),
    ("a boundary", lambda text: FormDecoder(text, LIMITS), HEADER_FRAGMENTS, [FORM, "; boundary", "=", "a"]),
    ("the name of a part", name_of, [*HEADER_FRAGMENTS, "%", "'", "=?", "\t"], DISPOSITION),
    ("gzip", unpacked, [*GZIP_FRAGMENTS, gzip.compress(bytes(999))], []),
    ("a query", lambda text: parse_query(text, {"key"}), TARGET_FRAGMENTS, ["key=", "a"]),
    ("a media type", media_type.__wrapped__, HEADER_FRAGMENTS, ["a/b", ";", "q=0"]),
    ("a charset", foreign_charset.__wrapped__, HEADER_FRAGMENTS, ["a/b", "; charset=", "a"]),
    (
        "a list of types",
        lambda text: preferred.__wrapped__(text, (JSON, FORM)),
        HEADER_FRAGMENTS,
        ["a/b", ";", "q=0"],
    ),
    ("a list of codings", takes_gzip, HEADER_FRAGMENTS, ["gzip", ";", "q=0"]),
    *((name, header(name.replace("-", "_")), HEADER_FRAGMENTS, pieces) for name, pieces in HEADERS.items()),
    ("a target", target, TARGET_FRAGMENTS, TARGET),
    *(
        (
            name,
            lambda text, between=between: list(encode_pairs(["k"], [text], False, between)),
            [b"a", b'"', b"\0", b"\xc3\xa9", b"\xe2\x80\xa8", b"\x85"],
            [],
        )
        for name, between in {"a value": b", ", "a value as a line": NEWLINE}.items()
    ),
]


@pytest.mark.parametrize(
    ("feed", "fragments", "pieces"), [loop[1:] for loop in LOOPS], ids=[loop[0] for loop in LOOPS]
)
def test_a_loop_is_linear(feed: Feed, fragments: list[Any], pieces: list[Any]) -> None:
    def run(text: Any) -> None:
        with suppress(Problem, NoName):
            feed(text)

    for before, behind in around(pieces, fragments[0]):
        for unit in units(fragments):
            assert not (told := slow(run, unit, before, behind)), told
