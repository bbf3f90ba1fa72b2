"""The directory of the store."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
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


def where_data_lies(host: str, data: Path, variables: Mapping[str, str]) -> str:
    """A line that tells the user where the data is. Spin's runtime configuration may select another store."""
    runtime_config = variables.get("RUNTIME_CONFIG_FILE")
    if host == "spin" and runtime_config:
        return f"{data / DATABASE}, unless {runtime_config} configures another store"
    return str(data / DATABASE)
