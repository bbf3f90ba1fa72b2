"""Reports at the end of a run which hosts it used, and which it skipped and why."""

from __future__ import annotations

import signal

import hypothesis
import pytest

from tests.servers import HOSTS, why_not

# A run in the background of a script ignores Ctrl-C, and so would its child processes. The tests that send
# this signal would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A test machine may be busy, so no example has a deadline. Speed is measured in bench/.
hypothesis.settings.register_profile("kv-batch", deadline=None)
hypothesis.settings.load_profile("kv-batch")

FIGURES = pytest.StashKey[list[str]]()
"""Lines from tests that are printed at the end of the run."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names every host, so that a skipped one does not go unnoticed."""
    over_http = [each.nodeid for each in _reports(terminalreporter) if "/component/" in each.nodeid]
    ran = {name for name in HOSTS for test in over_http if f"[{name}" in test}
    terminalreporter.section("hosts")
    for name in HOSTS:
        missing = why_not(name)
        if missing:
            terminalreporter.write_line(f"{name}: SKIPPED: {missing}")
        else:
            terminalreporter.write_line(f"{name}: {'ran' if name in ran else 'not selected'}")
    for figure in terminalreporter.config.stash[FIGURES]:
        terminalreporter.write_line(figure)


def _reports(reporter: pytest.TerminalReporter) -> list[pytest.TestReport]:
    outcomes = ("passed", "failed", "error")
    return [
        each for outcome in outcomes for each in reporter.stats.get(outcome, []) if hasattr(each, "nodeid")
    ]
