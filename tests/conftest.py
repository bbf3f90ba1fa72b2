"""Reports at the end of a run which hosts it used, and which it skipped and why."""

from __future__ import annotations

import re
import signal
from collections import Counter

import hypothesis
import pytest

from tests.servers import HOSTS, LEFT_OUT, why_not

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
    # The name of a host may begin with the name of another, and other parameters follow it.
    names = "|".join(sorted(map(re.escape, HOSTS), key=len, reverse=True))
    ran = Counter(match[1] for test in over_http if (match := re.search(rf"\[({names})\b", test)))
    terminalreporter.section("hosts")
    for name in HOSTS:
        missing = why_not(name)
        if missing:
            terminalreporter.write_line(f"{name}: SKIPPED: {missing}")
        else:
            terminalreporter.write_line(f"{name}: {f'{ran[name]} tests' if ran[name] else 'not selected'}")
    for name, variable in LEFT_OUT.items():
        terminalreporter.write_line(f"{name}: SKIPPED: {variable} does not name its spin")
    for figure in terminalreporter.config.stash[FIGURES]:
        terminalreporter.write_line(figure)


def _reports(reporter: pytest.TerminalReporter) -> list[pytest.TestReport]:
    outcomes = ("passed", "failed", "error")
    return [
        each for outcome in outcomes for each in reporter.stats.get(outcome, []) if hasattr(each, "nodeid")
    ]
