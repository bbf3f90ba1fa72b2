"""The directory of the store."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

from tools.up.errors import CannotServe

DEFAULT_DATA = ".spin"

DATABASE = "sqlite_key_value.db"
"""The file of the default store in Spin's state directory. The embedded host uses the same name."""


def ensure_directory(data: Path) -> Path:
    """Create the data directory if it is missing, and check that the host can write there.

    Returns:
        Its absolute path.

    Raises:
        CannotServe: it is not a directory, or is not writable.
    """
    data = data.absolute()
    try:
        data.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=data):
            pass
        if (data / DATABASE).exists():
            with (data / DATABASE).open("r+b"):
                pass
    except (FileExistsError, NotADirectoryError) as error:
        raise CannotServe(f"DATA is {data}, which is not a directory") from error
    except OSError as error:
        raise CannotServe(f"DATA is {data}, which is not writable: {error.strerror}") from error
    return data


def write_ahead(database: Path) -> None:
    """Put a SQLite file into WAL mode (https://www.sqlite.org/wal.html), and create it if it is missing.

    The mode is kept in the file, for Spin as well. A small write then takes one flush of the disk instead of
    several. If another process has locked the file, or its file system has no shared memory, the mode stays
    as it is.
    """
    with suppress(sqlite3.Error), closing(sqlite3.connect(database, timeout=1)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def other_store(host: str, variables: Mapping[str, str]) -> str | None:
    """The runtime configuration of Spin, which may select another store than the file; None without one."""
    return variables.get("RUNTIME_CONFIG_FILE") or None if host == "spin" else None


def where_data_lies(host: str, data: Path, variables: Mapping[str, str]) -> str:
    """A line that tells the user where the data is."""
    runtime_config = other_store(host, variables)
    if runtime_config:
        return f"{data / DATABASE}, unless {runtime_config} configures another store"
    return str(data / DATABASE)
