"""Engines behind Spin, and what the contract's cases came to on each."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.backends.contract import CASES, RIGHT, Gateway, Raw
from tests.backends.engines import ENGINES, Engine
from tests.servers import Server, serving

SEEN: dict[str, dict[str, tuple[str, str]]] = {}
"""By engine, by promise: the outcome through the raw interface, and through kv-batch."""


@dataclass(frozen=True)
class Backend:
    """An engine with Spin before it.

    Attributes:
        name: The engine's, as in ENGINES.
        raw: The raw interface.
        gateway: kv-batch.
        server: The Spin that runs kv-batch.
        seen: By promise: the outcome through the raw interface, and through kv-batch.
    """

    name: str
    engine: Engine
    raw: Raw
    gateway: Gateway
    server: Server
    seen: dict[str, tuple[str, str]] = field(default_factory=dict)


def spin_over(engine: Engine, data: Path, stack: ExitStack, *options: str, **more: str) -> Server:
    """A Spin that runs kv-batch over an engine, until the stack is closed."""
    data.mkdir(parents=True, exist_ok=True)
    arguments = [*options]
    if engine.runtime_config:
        config = data / "runtime-config.toml"
        config.write_text(engine.runtime_config)
        arguments += ["--runtime-config-file", str(config)]
    # The limits of requests are not what is tested here.
    room = {"max_keys": "100000", "max_body_bytes": "300000000", "max_answer_bytes": "300000000"}
    # Spin's own word on every error of a store, for the tests to count.
    environment = {**engine.environment, "RUST_LOG": "spin_factor_key_value=warn"}
    variables = room | more
    manifest = variables.pop("manifest", "spin.toml")
    return stack.enter_context(
        serving("spin", data, *arguments, manifest=manifest, extra_environment=environment, **variables)
    )


def seen_whole() -> bool:
    """Whether every case was run on every engine."""
    return all(len(SEEN.get(name, {})) == len(CASES) for name in ENGINES)


def table() -> str:
    """What was seen, for the README: the raw interface by engine, and kv-batch on all of them."""
    head = ["", *(f"raw: {name}" for name in SEEN), "kv-batch on each"]
    lines = [head, ["---"] * len(head)]
    for case in CASES:
        outcomes = [SEEN[name][case.name] for name in SEEN]
        ours = {outcome for _, outcome in outcomes}
        lines.append(
            [
                f"{case.operation.replace('_', '-')}: {case.promise}",
                *(raw if raw == RIGHT else f"**{raw}**" for raw, _ in outcomes),
                RIGHT if ours == {RIGHT} else " / ".join(sorted(ours)),
            ]
        )
    wrong = [sum(raw != RIGHT for raw, _ in SEEN[name].values()) for name in SEEN]
    lines.append([f"cases that fail, of {len(CASES)}", *map(str, wrong), str(failures())])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def failures() -> int:
    """In how many cases kv-batch was not right, on all engines together."""
    return sum(ours != RIGHT for cases in SEEN.values() for _, ours in cases.values())
