"""URLs of stores: a gateway and the name of a store, or one URL with both."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from kv_batch_client.errors import BadInput

DEFAULT_URL = "http://127.0.0.1:3000"
DEFAULT_STORE = "default"

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def store_url(url: str, store: str | None = None) -> str:
    """The URL of a store, without a slash at its end.

    Args:
        url: `http://host:3000`, `https://x/base/path`, or a URL with a store: `https://x/base/path/v1/default`.
        store: The name of the store. It replaces that of the URL.

    Raises:
        BadInput: the URL is not that of a gateway.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise BadInput(f"{url!r} is not a URL: {error}.") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise BadInput(f"{url!r} is not the URL of a gateway. Write http://HOST:PORT or https://HOST/PATH.")
    if parts.username is not None or parts.query or parts.fragment:
        raise BadInput(
            f"The URL of {host} must have no user, query or fragment. A token is read from KVB_TOKEN or from "
            "the file that --token-file names."
        )
    if match := re.fullmatch(r"(.*/v1/[^/]+)/(?:get-many|set-many|delete-many|keys|export)/?", parts.path):
        raise BadInput(f"{url!r} is the URL of an operation. That of its store ends with {match[1]}.")
    match = re.fullmatch(r"(.*?)/v1(?:/([^/]+))?", parts.path.rstrip("/"))
    base, named = (match[1], match[2]) if match else (parts.path.rstrip("/"), None)
    label = quote(store, safe="") if store else named or DEFAULT_STORE
    return f"{parts.scheme}://{parts.netloc}{base}/v1/{label}"


def is_url(text: str) -> bool:
    """Whether an argument is a URL and not a file."""
    return text.startswith(("http://", "https://"))


def is_loopback(url: str) -> bool:
    """Whether a URL is one of this machine, so that compression would cost more than it saves."""
    return urlsplit(url).hostname in _LOOPBACK


def same_origin(one: str, other: str) -> bool:
    """Whether two URLs have the same scheme, host and port: then one token is meant for both."""
    first, second = urlsplit(one), urlsplit(other)
    return (first.scheme, first.netloc) == (second.scheme, second.netloc)
