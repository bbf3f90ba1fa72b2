"""The client requests. Usage: see README.md."""

import json
import sys
from pathlib import Path
from typing import Any

import requests


def send(url: str, **arguments: Any) -> dict[str, object]:
    try:
        answer = requests.post(url, timeout=120, **arguments)
    except requests.RequestException as error:
        return {"error": repr(error)}
    return {"status": answer.status_code, "body": answer.text}


verb, url, *rest = sys.argv[1:]
if verb == "post":
    file, tries, *headers = rest
    for _ in range(int(tries)):
        with Path(file).open("rb") as body:
            print(json.dumps(send(url, data=body, headers=dict(each.split(": ", 1) for each in headers))))
else:
    fields = [(name, (None, value)) for name, value in zip(rest[::2], rest[1::2], strict=True)]
    print(json.dumps(send(url, files=fields)))
