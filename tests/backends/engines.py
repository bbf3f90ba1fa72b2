"""The engines behind Spin's key-value stores, each on a free loopback port."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import httpx

from tests.servers import free_port
from tools.components import ROOT

START_SECONDS = 30
"""Timeout in seconds for an engine to listen."""

AWS = {
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Spin's DynamoDB store reads these variables, and the endpoint, from the environment."""

DYNAMODB_LOCAL = ROOT / "build" / "dynamodb-local"


@dataclass(frozen=True)
class Engine:
    """A running engine.

    Attributes:
        runtime_config: The text of Spin's `--runtime-config-file`; empty for Spin's default store.
        environment: Variables for the environment of Spin.
        port: The port of the engine; 0 for none.
        process: Its process; None for Spin's default store.
    """

    runtime_config: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None


@contextmanager
def redis(data: Path, port: int = 0) -> Iterator[Engine]:
    """Redis, in memory."""
    port = port or free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(data)]
    with running(command, port, data / "redis.log") as process:
        config = f'[key_value_store.default]\ntype = "redis"\nurl = "redis://127.0.0.1:{port}"\n'
        yield Engine(config, port=port, process=process)


@contextmanager
def moto(data: Path) -> Iterator[Engine]:
    """moto's DynamoDB, which accepts more items in a write than Amazon does."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "--port", str(port)]
    with running(command, port, data / "moto.log") as process:
        yield _dynamodb(port, process)


@contextmanager
def dynamodb_local(data: Path) -> Iterator[Engine]:
    """Amazon's own DynamoDB Local, which enforces Amazon's limits."""
    if not any(DYNAMODB_LOCAL.glob("*.jar")):
        pom = ROOT / "tests/backends/dynamodb-local/pom.xml"
        maven = ["mvn", "-q", "-f", str(pom), "dependency:copy-dependencies"]
        subprocess.run([*maven, f"-DoutputDirectory={DYNAMODB_LOCAL}"], check=True)
    port = free_port()
    command = ["java", f"-Djava.library.path={DYNAMODB_LOCAL}", "-cp", f"{DYNAMODB_LOCAL}/*"]
    command += ["software.amazon.dynamodb.services.local.main.ServerRunner", "-inMemory", "-disableTelemetry"]
    with running([*command, "-port", str(port)], port, data / "dynamodb.log") as process:
        yield _dynamodb(port, process)


def sqlite(_: Path) -> AbstractContextManager[Engine]:
    """Spin's default store."""
    return nullcontext(Engine())


def _dynamodb(port: int, process: subprocess.Popen[bytes]) -> Engine:
    """Creates the table that Spin requires in DynamoDB: partition key `PK`, a string, and no sort key."""
    url = f"http://127.0.0.1:{port}"
    scope = "Credential=test/20260101/us-east-1/dynamodb/aws4_request"
    answer = httpx.post(
        url,
        headers={
            "x-amz-target": "DynamoDB_20120810.CreateTable",
            "content-type": "application/x-amz-json-1.0",
            "authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=unchecked",
        },
        json={
            "TableName": "kv-batch",
            "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "PK", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        },
        timeout=30,
    )
    answer.raise_for_status()
    config = '[key_value_store.default]\ntype = "aws_dynamo"\nregion = "us-east-1"\ntable = "kv-batch"\n'
    config += "consistent_read = true\n"
    return Engine(config, AWS | {"AWS_ENDPOINT_URL": url}, port, process)


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise RuntimeError(f"{command[0]} does not listen:\n{log.read_text(errors='replace')}")
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} stopped:\n{log.read_text(errors='replace')}")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _lacks(*programs: str) -> str | None:
    missing = [program for program in programs if shutil.which(program) is None]
    return f"no {' and no '.join(missing)} on PATH" if missing else None


ENGINES: dict[str, Callable[[Path], AbstractContextManager[Engine]]] = {
    "SQLite": sqlite,
    "Redis": redis,
    "DynamoDB (moto)": moto,
    "DynamoDB Local": dynamodb_local,
}


def why_not(name: str) -> str | None:
    """Why this machine cannot run an engine; None if it can."""
    match name:
        case "Redis":
            return _lacks("redis-server")
        case "DynamoDB (moto)":
            return None if find_spec("moto") else "no moto installed"
        case "DynamoDB Local":
            return _lacks("java", "mvn")
    return None
