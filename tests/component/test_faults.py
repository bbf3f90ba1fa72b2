"""The compiled component over a store that fails as stores do: its reports over HTTP are always true.

The schedules and the model are those of the native tests (tests/faults). This suite adds the layers between
the contract and a client: the functions of the host, the adapter of the guest, the routes and the problems.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, note, settings

from embedded.component import Component
from tests.exchanges import Exchange
from tests.faults.model import Model
from tests.faults.schedule import BUSY, RESET, STRANGER, Operation, Schedule, schedules
from tests.faults.seen import Outcome, Seen
from tests.faults.store import FaultyStore
from tools.components import ROOT


class FaultyStores:
    """A fresh store under a fresh label for each schedule, since limits are learned by label."""

    def __init__(self) -> None:
        self.opened = 0
        self.store: FaultyStore | None = None

    def fresh(self, schedule: Schedule) -> tuple[str, FaultyStore]:
        if self.store is not None:
            self.store.forget()  # the host keeps every store that it has opened
        self.opened += 1
        self.store = FaultyStore(schedule)
        return f"s{self.opened}", self.store

    def open(self, label: str) -> FaultyStore | None:
        return self.store if label == f"s{self.opened}" else None


class Client:
    """A client of the component, without a server."""

    def __init__(self) -> None:
        self.stores = FaultyStores()
        self.component = Component(
            ROOT / "build/embedded.wasm", {"anonymous": "write", "retry_seconds": "0"}, self.stores
        )

    def play(self, schedule: Schedule) -> None:
        """Plays a schedule, and checks each operation."""
        label, store = self.stores.fresh(schedule)
        model = Model()
        # All operations use the same instance, since another one would have learned nothing.
        with self.component.instance() as instance:
            for number, operation in enumerate(schedule.operations):
                store.begin()
                before = dict(store.data)
                exchange = Exchange(_body(operation, number))
                path = f"/v1/{label}/{operation.name.replace('_', '-')}"
                instance.handle("POST", path, [("content-type", "application/json")], exchange)
                outcome = _outcome(exchange, operation, store)
                model.check(Seen(store.backend, operation, number, outcome, store.calls, before, store.data))


def _body(operation: Operation, number: int) -> bytes:
    if operation.name != "set_many":
        return json.dumps({"keys": operation.asked}).encode()
    pairs = [{"key": key, "value": value.decode()} for key, value in operation.pairs(number)]
    return json.dumps({"pairs": pairs}).encode()


def _outcome(exchange: Exchange, operation: Operation, store: FaultyStore) -> Outcome:
    """The report in an answer. Also checks the parts that only HTTP has."""
    answer: dict[str, Any] = json.loads(exchange.answer)
    reads = operation.name == "get_many"
    if exchange.status == 200:
        if reads:
            return Outcome(answer=[(each["key"], _bytes(each["value"])) for each in answer["pairs"]])
        assert answer == {"pairs" if operation.name == "set_many" else "keys": len(operation.asked)}
        return Outcome()
    error, _, rest = answer["detail"].partition(": ")[2].partition(". ")
    busy = error == BUSY
    assert (exchange.status, answer["type"]) == (
        (503, "/problems/store-busy") if busy else (502, "/problems/store-failed")
    )
    assert ("retry-after" in exchange.headers) == busy
    failed = [(each["key"], each["reason"]) for each in answer.get("failed", [])]
    if "applied" not in answer:
        assert rest == "Nothing was changed; try again."
        assert busy or failed == [(store.calls[-1].keys[0], store.calls[-1].error)], (
            "names no key, or another"
        )
        return Outcome(error)
    not_attempted = answer["not_attempted"]
    elsewhere = {key for key, _ in failed}.union(not_attempted)
    applied = [key for key in dict.fromkeys(operation.asked) if key not in elsewhere]
    assert answer["applied"] == len(applied), "the count is not what the lists leave"
    counts = f"{len(applied)} keys were applied, {len(failed)} failed (their state is unknown), "
    assert rest.startswith(f"{counts}{len(not_attempted)} were not attempted."), answer["detail"]
    return Outcome(error, True, applied, failed, not_attempted)


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else value.encode()


@pytest.fixture(scope="module")
def client() -> Client:
    return Client()


@settings(max_examples=400, deadline=None, print_blob=True)
@given(schedule=schedules((RESET, RESET, RESET, BUSY, STRANGER), most_operations=5))
def test_what_is_said_over_http_is_true(client: Client, schedule: Schedule) -> None:
    note(f"client.play({schedule!r})")
    client.play(schedule)


def test_a_large_value_brings_no_call_without_a_key(client: Client) -> None:
    """A large value is transferred by itself, so no pair may be left for the batch."""
    schedule = Schedule("SQLite", "as asked", (Operation("set_many", ("a",), size=3 << 20),))
    label, store = client.stores.fresh(schedule)
    store.begin()
    with client.component.instance() as instance:
        exchange = Exchange(_body(schedule.operations[0], 0))
        instance.handle("POST", f"/v1/{label}/set-many", [("content-type", "application/json")], exchange)
    assert exchange.status == 200
    assert len(store.data["a"]) == 3 << 20
    assert [call.name for call in store.calls if not call.keys] == []
