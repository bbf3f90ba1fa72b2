"""The client httpx. Usage: see README.md."""

import json
import sys
from pathlib import Path
from typing import Any

import httpx


def send(url: str, **arguments: Any) -> dict[str, object]:
    try:
        answer = httpx.post(url, timeout=120, **arguments)
    except httpx.HTTPError as error:
        return {"error": repr(error)}
    return {"status": answer.status_code, "body": answer.text}


verb, url, *rest = sys.argv[1:]
if verb == "post":
    file, tries, *headers = rest
    body = Path(file).read_bytes()
    for _ in range(int(tries)):
        print(json.dumps(send(url, content=body, headers=dict(each.split(": ", 1) for each in headers))))
else:
    fields = [(name, (None, value.encode())) for name, value in zip(rest[::2], rest[1::2], strict=True)]
    print(json.dumps(send(url, files=fields)))
