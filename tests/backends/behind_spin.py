"""Engines behind Spin, and the outcomes of the contract's cases on each engine."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.backends.contract import CASES, RIGHT, Gateway, Raw
from tests.backends.engines import ENGINES, Engine
from tests.servers import Server, serving

SEEN: dict[str, dict[str, tuple[str, str]]] = {}
"""By engine and by case: the outcome through the raw interface, and the one through kv-batch."""


@dataclass(frozen=True)
class Backend:
    """An engine with Spin in front of it.

    Attributes:
        name: The name of the engine, a key of ENGINES.
        engine: The running engine.
        raw: A client of the raw interface.
        gateway: A client of kv-batch.
        server: The Spin that runs kv-batch.
        seen: By case: the outcome through the raw interface, and the one through kv-batch.
    """

    name: str
    engine: Engine
    raw: Raw
    gateway: Gateway
    server: Server
    seen: dict[str, tuple[str, str]] = field(default_factory=dict)


def spin_over(engine: Engine, data: Path, stack: ExitStack, *options: str, **more: str) -> Server:
    """Runs kv-batch in Spin over an engine until the stack is closed.

    Args:
        engine: The running engine.
        data: The directory of the host.
        stack: It stops the host.
        options: Further options of `spin up`.
        more: Further variables of the component; `manifest` for another manifest, `host` for another host of
            `tests.servers.SPINS`, `port` for a fixed port.
    """
    data.mkdir(parents=True, exist_ok=True)
    arguments = [*options]
    if engine.runtime_config:
        config = data / "runtime-config.toml"
        config.write_text(engine.runtime_config)
        arguments += ["--runtime-config-file", str(config)]
    # The limits of requests are not under test here.
    room = {"max_keys": "100000", "max_body_bytes": "300000000", "max_answer_bytes": "300000000"}
    # Spin logs every error of a store, and the tests count them.
    environment = {**engine.environment, "RUST_LOG": "spin_factor_key_value=warn"}
    variables = room | more
    manifest, host = variables.pop("manifest", None), variables.pop("host", "spin")
    port = int(variables.pop("port", "0"))
    return stack.enter_context(
        serving(
            host, data, *arguments, manifest=manifest, port=port, extra_environment=environment, **variables
        )
    )


def seen_whole() -> bool:
    """Whether every case ran on every engine."""
    return all(len(SEEN.get(name, {})) == len(CASES) for name in ENGINES)


def table() -> str:
    """The outcomes as a table for docs/backends.md: the raw interface by engine, and kv-batch on all."""
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
    """The number of cases in which kv-batch was not right, on all engines together."""
    return sum(ours != RIGHT for cases in SEEN.values() for _, ours in cases.values())
