"""Where the data lies."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from tools.up.errors import CannotServe

DEFAULT_DATA = ".spin"

DATABASE = "sqlite_key_value.db"
"""What Spin calls the default store's file in its state directory; the embedded host follows it."""


def ensure_directory(data: Path) -> Path:
    """Make the data directory where it is missing, and make sure that the host can write there.

    Raises:
        CannotServe: when it is no directory or cannot be written.
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
        raise CannotServe(f"DATA is {data}, where nothing can be written: {error.strerror}") from error
    return data


def where_data_lies(host: str, data: Path, variables: Mapping[str, str]) -> str:
    """A line for the user. Spin's runtime configuration may put the store elsewhere."""
    runtime_config = variables.get("RUNTIME_CONFIG_FILE")
    if host == "spin" and runtime_config:
        return f"{data / DATABASE}, unless {runtime_config} says otherwise"
    return str(data / DATABASE)
