"""The stores that a command line names, with their tokens. A token is never an option:
the list of processes would show it."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from kv_batch_client.addresses import DEFAULT_URL, is_url, same_origin, store_url
from kv_batch_client.errors import BadInput
from kv_batch_client.lines import PART_LINES
from kv_batch_client.progress import Bar
from kv_batch_client.store import Store


def store(options: argparse.Namespace, bar: Bar | None = None) -> Store:
    """The store of --url and --store, else of the URL, else of KVB_STORE."""
    url = options.url or os.environ.get("KVB_URL") or DEFAULT_URL
    has_store = re.search(r"/v1/[^/]+/?$", url) is not None
    name = options.store or (None if has_store else os.environ.get("KVB_STORE"))
    return _open(options, store_url(url, name), _token(options.token_file, "KVB_TOKEN"), bar)


def two(options: argparse.Namespace, bar: Bar | None = None) -> tuple[Store, Store]:
    """The stores of two URLs."""
    source, destination = store_url(options.source), store_url(options.destination)
    first = _token(options.token_file, "KVB_TOKEN")
    second = _token(options.token_file_to, "KVB_TOKEN_TO")
    if second is None and same_origin(source, destination):
        second = first
    return _open(options, source, first, bar), _open(options, destination, second, bar)


def sides(options: argparse.Namespace) -> tuple[Store | str, Store | str]:
    """The stores or files of a comparison."""
    if is_url(options.source) and is_url(options.destination):
        return two(options)
    token = _token(options.token_file, "KVB_TOKEN")
    to = _token(options.token_file_to, "KVB_TOKEN_TO")
    if is_url(options.source):
        return _open(options, store_url(options.source), token, None), options.destination
    if is_url(options.destination):
        # There is one gateway only, so the usual token is meant for it.
        return options.source, _open(options, store_url(options.destination), to or token, None)
    return options.source, options.destination


def _open(options: argparse.Namespace, url: str, token: str | None, bar: Bar | None) -> Store:
    return Store(
        url,
        token=token,
        retry_seconds=options.retry_seconds,
        timeout=options.timeout,
        part_lines=getattr(options, "part_lines", PART_LINES),
        on_wait=(bar or Bar("")).waits,
    )


def _token(file: str | None, variable: str) -> str | None:
    if file is None:
        return os.environ.get(variable) or None
    token = Path(file).read_text(encoding="utf-8").strip()
    if not token:
        raise BadInput(f"{file} is empty. It must contain the token.")
    return token
