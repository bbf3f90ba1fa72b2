"""The table and the chart of `build/bench/results.json`: `python -m bench.report`.

The chart is docs/images/bench.svg. matplotlib draws it: `make bench` installs requirements-bench.lock.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tools.components import ROOT

RESULTS = ROOT / "build" / "bench" / "results.json"
CHART = ROOT / "docs" / "images" / "bench.svg"
OURS = "spin"
"""The name of kv-batch's newest component among the contenders."""

PEERS = ("calls", "straight", "bare", "plain", "javascript", "webdis", "spin-0.3-rc", "spin-0.2")
SHOWN = {"bare": "#7a8699", "plain": "#2f6fab", "webdis": "#b3591b"}
"""The peers of the chart, and their colours."""

Samples = Sequence[Mapping[str, float]]


def rate(samples: Samples) -> float:
    """The median of the requests a second."""
    return median(sample["rate"] for sample in samples)


def ratios(ours: Samples, theirs: Samples) -> list[float]:
    """Our requests a second divided by theirs, by round, sorted."""
    return sorted(a["rate"] / b["rate"] for a, b in zip(ours, theirs, strict=True))


def table(results: Mapping[str, Any]) -> str:
    """The results as tables in Markdown."""
    machine = results["machine"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, load {machine['load']:.1f} at the start; "
        + ", ".join(machine["versions"].values())
        + f"; medians of {results['rounds']} rounds of {results['seconds']:g} s.",
        "",
        "| | kv-batch: requests/s | p50, ms | p99, ms | over 35 ms | "
        + " | ".join(f"beside {peer}" for peer in PEERS)
        + " |",
        "| --- " + "| ---: " * (4 + len(PEERS)) + "|",
    ]
    for row in results["rows"]:
        if "why_not" in row:
            lines.append(f"| {row['row']} | not run: {row['why_not']} |" + " |" * (3 + len(PEERS)))
            continue
        samples = row["samples"]
        ours = samples[OURS]
        cells = [
            row["row"],
            f"{rate(ours):,.0f}",
            *(f"{median(each[name] for each in ours):.1f}" for name in ("p50", "p99")),
            f"{median(each['slow'] / each['requests'] for each in ours):.1%}",
            *(_beside(ours, samples.get(peer), row["left_out"].get(peer)) for peer in PEERS),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, *_cold(results), *_streams(results)])


def _beside(ours: Samples, theirs: Samples | None, why_not: str | None) -> str:
    if theirs is None:
        return f"not run: {why_not}" if why_not else ""
    found = ratios(ours, theirs)
    return f"{median(found):.2f} ({found[0]:.2f} to {found[-1]:.2f})"


def _cold(results: Mapping[str, Any]) -> list[str]:
    if "cold" not in results:
        return []
    ours, hello = (median(results["cold"][name]) for name in (OURS, "hello"))
    return ["", f"`spin up` to the first answer: kv-batch {ours:.2f} s, hello {hello:.2f} s."]


def _streams(results: Mapping[str, Any]) -> list[str]:
    if "streams" not in results:
        return []
    lines = ["", "| a million pairs | seconds | pairs/s |", "| --- | ---: | ---: |"]
    for name, seconds in results["streams"]["seconds"].items():
        a_second = results["streams"]["pairs"] / median(seconds)
        lines.append(f"| {name} | {median(seconds):.2f} | {a_second:,.0f} |")
    return lines


def chart(results: Mapping[str, Any], file: Path) -> None:
    """Draws kv-batch beside each peer: one bar for each row and peer, from 1 on, on a logarithmic scale."""
    from matplotlib import rc_context  # noqa: PLC0415 - only `make bench` installs it
    from matplotlib.figure import Figure  # noqa: PLC0415

    rows = [row for row in results["rows"] if "samples" in row and SHOWN.keys() & row["samples"].keys()]
    figure = Figure(figsize=(9, 0.42 * len(rows) + 1), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(SHOWN)
    for offset, (peer, colour) in enumerate(SHOWN.items()):
        bars = [
            (place, ratios(row["samples"][OURS], row["samples"][peer]))
            for place, row in enumerate(rows)
            if peer in row["samples"]
        ]
        if not bars:
            continue
        places = [place + (offset - 1) * height for place, _ in bars]
        middles = [median(found) for _, found in bars]
        spread = [
            [middle - found[0] for middle, (_, found) in zip(middles, bars, strict=True)],
            [found[-1] - middle for middle, (_, found) in zip(middles, bars, strict=True)],
        ]
        widths = [middle - 1 for middle in middles]
        drawn = axes.barh(places, widths, height, left=1, color=colour, xerr=spread, ecolor="#444")
        drawn.set_label(f"beside {peer}")
        axes.bar_label(drawn, [f"{middle:.2g}" for middle in middles], padding=4, fontsize=8)
    names = [row["row"].replace(" of 100 B", "").replace(", 4 connections", "") for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=9)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.set_xlim(0.01, 100)
    axes.set_xticks([0.01, 0.1, 1, 10, 100], ["1/100", "1/10", "1", "10", "100"])
    axes.axvline(1, color="#222", linewidth=1)
    axes.set_xlabel("requests a second of kv-batch divided by those of the peer (more is better)")
    axes.legend(loc="lower left")
    axes.spines[["top", "right"]].set_visible(False)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "kv-batch"}):  # text as text
        figure.savefig(file, metadata={"Date": None})


def main() -> int:
    """Prints the tables, and draws the chart."""
    results = json.loads(RESULTS.read_text())
    print(table(results))
    chart(results, CHART)
    print(f"\n{CHART.relative_to(ROOT)} is drawn.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
