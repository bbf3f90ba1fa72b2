"""The engines of the backends suite, each behind Spin twice: with the raw interface and with kv-batch."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.backends.behind_spin import SEEN, Backend, spin_over
from tests.backends.contract import RIGHT, Gateway, Raw
from tests.backends.engines import ENGINES, why_not
from tests.backends.network import why_not as why_no_network
from tests.servers import why_not as why_no_host
from tools.components import ROOT


@pytest.fixture(scope="session")
def raw_component() -> None:
    """Builds the component that exposes the raw interface."""
    subprocess.run(["make", "-s", "build/raw.wasm"], cwd=ROOT, check=True)


@pytest.fixture(scope="session", params=list(ENGINES))
def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, raw_component: None
) -> Iterator[Backend]:
    """An engine that this machine has."""
    name = str(request.param)
    missing = why_no_host("spin") or why_not(name)
    if missing:
        pytest.skip(f"{name}: {missing}")
    data = tmp_path_factory.mktemp("engine")
    with ExitStack() as stack:
        engine = stack.enter_context(ENGINES[name](data))
        server = spin_over(engine, data, stack)
        # On SQLite both must use the same file, which Spin keeps in its state directory.
        raw = spin_over(engine, data, stack, manifest="tests/backends/raw/spin.toml")
        yield Backend(name, engine, Raw(raw.url), Gateway(server.url), server, SEEN.setdefault(name, {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names every engine, with its results or the reason why it was skipped."""
    terminalreporter.section("backends, under Spin")
    for name in ENGINES:
        missing = why_no_host("spin") or why_not(name)
        if missing:
            terminalreporter.write_line(f"{name}: SKIPPED: {missing}")
            continue
        cases = SEEN.get(name, {}).values()
        ours = sum(outcome == RIGHT for _, outcome in cases)
        raw = sum(outcome != RIGHT for outcome, _ in cases)
        terminalreporter.write_line(
            f"{name}: kv-batch right in {ours} of {len(cases)} cases, of which the raw interface fails {raw}"
            if cases
            else f"{name}: not selected"
        )
    missing = why_no_host("spin") or why_no_network()
    terminalreporter.write_line(
        f"engines that are far away (toxiproxy): {f'SKIPPED: {missing}' if missing else 'can be run'}"
    )
