"""Says at the end of a run which hosts it ran on, and which it left out and why."""

from __future__ import annotations

import pytest

from tests.servers import HOSTS, why_not


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names every host, whether it ran or not: a skipped one must not go unnoticed."""
    over_http = [each.nodeid for each in _reports(terminalreporter) if "/component/" in each.nodeid]
    ran = {name for name in HOSTS for test in over_http if f"[{name}" in test}
    terminalreporter.section("hosts")
    for name in HOSTS:
        missing = why_not(name)
        if missing:
            terminalreporter.write_line(f"{name}: SKIPPED: {missing}")
        else:
            terminalreporter.write_line(f"{name}: {'ran' if name in ran else 'not asked for'}")


def _reports(reporter: pytest.TerminalReporter) -> list[pytest.TestReport]:
    outcomes = ("passed", "failed", "error")
    return [
        each for outcome in outcomes for each in reporter.stats.get(outcome, []) if hasattr(each, "nodeid")
    ]
