"""The parts of the embedded host: the store in Spin's format, the manifest, and values at the boundary.

The values are packed for Wasmtime and read back from its memory, so a version of wasmtime with other
structures fails here.
"""

from __future__ import annotations

import ctypes
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from embedded import values
from embedded.__main__ import Manifest, StartError, bound
from embedded.store import BATCH_CAP, FILE, Database, HostError, SqliteBucket
from kv_batch.batch import get_many
from kv_batch.bucket import MOST_KEYS
from kv_batch.wit import Wit, WitBucket, open_bucket
from tests.clock import run
from tests.wit_types import Err, wasi_keyvalue_store
from tools.components import ROOT

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / FILE)


def test_the_table_is_that_of_spin(database: Database, tmp_path: Path) -> None:
    SqliteBucket(database, "default").set_many([("k\0é", b"\x00\xff")])
    with sqlite3.connect(tmp_path / FILE) as spin:
        columns = spin.execute("PRAGMA table_info(spin_key_value)").fetchall()
        # name, type, not null, place in the primary key
        assert [(each[1], each[2], each[3], each[5]) for each in columns] == [
            ("store", "TEXT", 1, 1),
            ("key", "TEXT", 1, 2),
            ("value", "BLOB", 1, 0),
        ]
        assert spin.execute("SELECT * FROM spin_key_value").fetchall() == [("default", "k\0é", b"\x00\xff")]


def test_the_store_has_a_write_ahead_log_until_it_is_closed(database: Database, tmp_path: Path) -> None:
    SqliteBucket(database, "default").set("k", b"v")
    wal = tmp_path / f"{FILE}-wal"
    assert wal.stat().st_size > 0
    database.close()
    assert not wal.exists()


def test_stores_in_one_file_are_apart(database: Database) -> None:
    first, second = SqliteBucket(database, "first"), SqliteBucket(database, "second")
    first.set("k", b"1")
    second.set("k", b"2")
    first.delete("k")
    assert (first.get("k"), second.get("k"), first.list_keys(None), second.list_keys(None)) == (
        None,
        b"2",
        [],
        ["k"],
    )


def test_a_batch_is_as_raw_as_in_spin(database: Database) -> None:
    bucket = SqliteBucket(database, "default")
    bucket.set_many([("a", b"1"), ("b", b"2"), ("a", b"3")])
    assert sorted(bucket.get_many(["b", "missing", "a", "a"])) == [("a", b"3"), ("b", b"2")]
    bucket.delete_many(["a", "missing"])
    assert (bucket.exists("a"), bucket.exists("b")) == (False, True)
    with pytest.raises(HostError, match="cursor not supported"):
        bucket.list_keys("next")


def test_as_many_keys_as_the_core_sends_fit_in_a_call(database: Database) -> None:
    bucket = SqliteBucket(database, "default")
    pairs = [(f"k{i}", b"1") for i in range(MOST_KEYS)]
    bucket.set_many(pairs)
    keys = [key for key, _ in pairs]
    assert len(bucket.get_many(keys)) == MOST_KEYS
    bucket.delete_many(keys)
    assert bucket.list_keys(None) == []


def test_a_large_value_is_got_alone_and_too_large_a_batch_is_refused(database: Database) -> None:
    bucket = SqliteBucket(database, "default")
    bucket.set_many([("a", bytes(BATCH_CAP)), ("b", b"x")])
    assert bucket.get("a") == bytes(BATCH_CAP)
    with pytest.raises(HostError, match="exceeds limit"):
        bucket.get_many(["a", "b"])


async def wit_over(bucket: SqliteBucket, calls: list[str] | None = None) -> WitBucket:
    """The store behind the guest's adapter. The names of the called host functions are added to `calls`."""

    def function(name: str) -> Any:
        def call(*arguments: Any) -> Any:
            if calls is not None:
                calls.append(name)
            try:
                return getattr(bucket, name)(*arguments)
            except HostError as error:
                failure = str(error)
            raise Err(wasi_keyvalue_store.Error_Other(failure))

        return call

    def batch(name: str) -> Any:
        return lambda _, items: function(name)(items)

    opened = SimpleNamespace(get=function("get"))
    names = ("get_many", "set_many", "delete_many")
    wit = Wit(
        SimpleNamespace(open=lambda _: opened), SimpleNamespace(**{name: batch(name) for name in names}), Err
    )
    return await open_bucket(wit, "default")


def test_two_large_values_first_do_not_turn_batch_reads_off(database: Database) -> None:
    bucket = SqliteBucket(database, "default")
    large = bytes(3 * 1024 * 1024)
    bucket.set_many([("a", large), ("b", large), *((f"k{number}", b"1") for number in range(10_000))])
    calls: list[str] = []

    async def check() -> None:
        opened = await wit_over(bucket, calls)
        assert await get_many(opened, ["a", "b"]) == [("a", large), ("b", large)]
        assert calls == ["get_many", "get", "get"]
        calls.clear()
        assert len(await get_many(opened, [f"k{number}" for number in range(10_000)])) == 10_000
        assert calls == ["get_many"]

    run(check())


def test_a_batch_that_fails_is_rolled_back(database: Database) -> None:
    bucket = SqliteBucket(database, "default")
    with pytest.raises(HostError, match="NOT NULL"):
        bucket.set_many([("a", b"1"), ("b", None)])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="unpack"):
        bucket.set_many([("a", b"1"), ("b",)])  # type: ignore[list-item]
    bucket.set("c", b"3")
    assert bucket.list_keys(None) == ["c"]


def test_a_value_that_another_program_stored_as_text_is_an_error_as_in_spin(
    database: Database, tmp_path: Path
) -> None:
    bucket = SqliteBucket(database, "default")
    with sqlite3.connect(tmp_path / FILE) as other:
        other.execute("INSERT INTO spin_key_value VALUES ('default', 'text', 'hello')")
    other.close()
    for read in (lambda: bucket.get("text"), lambda: bucket.get_many(["text", "a"])):
        with pytest.raises(HostError, match="not as a blob"):
            read()


def test_threads_take_turns(database: Database) -> None:
    bucket = SqliteBucket(database, "default")

    def work(worker: int) -> None:
        for turn in range(20):
            bucket.set_many([(f"{worker}-{turn}-{i}", b"") for i in range(5)])

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(bucket.list_keys(None)) == 8 * 20 * 5


def test_the_manifest_gives_defaults_and_the_environment_more(tmp_path: Path) -> None:
    manifest = Manifest.read(
        ROOT / "spin.toml", {"SPIN_VARIABLE_READ_TOKEN": "t", "SPIN_VARIABLE_OTHER": "x"}
    )
    assert manifest.stores == {"default"}
    assert manifest.config["read_token"] == "t"
    assert manifest.config["anonymous"] == "none"
    assert manifest.config["max_keys"] == "10000"
    assert "other" not in manifest.config
    for content in ("", "not toml", '[component."other"]'):
        (tmp_path / "spin.toml").write_text(content)
        with pytest.raises(StartError, match="manifest"):
            Manifest.read(tmp_path / "spin.toml", {})


@pytest.mark.parametrize("address", ["", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999", "203.0.113.1:80"])
def test_an_address_that_cannot_be_had_is_said(address: str) -> None:
    with pytest.raises(StartError, match="cannot listen on"):
        bound(address)


def crossed(packed: bytes, read: Callable[[int], object]) -> object:
    """The result of reading a packed value."""
    held = ctypes.create_string_buffer(packed, values.SIZE)
    try:
        return read(ctypes.addressof(held))
    finally:
        values.delete(held)


@given(st.binary())
@example(bytes(range(256)) * 4096)
def test_any_bytes_cross(data: bytes) -> None:
    assert crossed(values.octets(data), values.read_octets) == data
    assert crossed(values.latin1(data), values.read_latin1) == data


@given(TEXT)
def test_any_text_crosses(text: str) -> None:
    assert crossed(values.string(text), values.read_string) == text


@given(st.lists(TEXT))
def test_lists_of_text_cross(texts: list[str]) -> None:
    assert crossed(values.sequence(map(values.string, texts)), values.read_strings) == texts


@given(st.lists(st.tuples(TEXT, st.binary())))
def test_pairs_cross(pairs: list[tuple[str, bytes]]) -> None:
    rows = (values.row(values.string(key), values.octets(value)) for key, value in pairs)
    assert crossed(values.sequence(rows), values.read_pairs) == pairs


@given(st.lists(st.tuples(TEXT, TEXT)))
def test_pairs_of_text_cross(pairs: list[tuple[str, str]]) -> None:
    rows = (values.row(*map(values.string, pair)) for pair in pairs)
    assert crossed(values.sequence(rows), values.read_string_pairs) == pairs


def test_what_may_be_missing_crosses() -> None:
    assert crossed(values.option(None), values.read_option) is None

    def held(address: int) -> str:
        inside = values.read_option(address)
        assert inside is not None
        return values.read_string(inside)

    assert crossed(values.option(values.string("é")), held) == "é"
