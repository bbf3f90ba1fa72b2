"""The client aiohttp. Usage: see README.md."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp


async def send(url: str, **arguments: Any) -> dict[str, object]:
    try:
        async with aiohttp.ClientSession() as session, session.post(url, **arguments) as answer:
            return {"status": answer.status, "body": await answer.text()}
    except (aiohttp.ClientError, OSError) as error:
        return {"error": repr(error)}


async def main() -> None:
    verb, url, *rest = sys.argv[1:]
    if verb == "post":
        file, tries, *headers = rest
        for _ in range(int(tries)):
            with Path(file).open("rb") as body:  # noqa: ASYNC230 - aiohttp reads it so too
                answer = await send(url, data=body, headers=dict(each.split(": ", 1) for each in headers))
            print(json.dumps(answer))
    else:
        # Left to itself, aiohttp 3.14 writes a backslash before a space in a name, and for a name that is
        # not ASCII it fails with an AssertionError of its own, before it sends anything.
        form = aiohttp.FormData(quote_fields=False)
        for name, value in zip(rest[::2], rest[1::2], strict=True):
            form.add_field(name, value, content_type="text/plain")
        print(json.dumps(await send(url, data=form)))


asyncio.run(main())
