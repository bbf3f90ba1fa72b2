"""Python's own client, urllib. Usage: see README.md."""

import json
import sys
import urllib.error
import urllib.request
import uuid
from pathlib import Path


def send(url: str, body: bytes, headers: dict[str, str]) -> dict[str, object]:
    request = urllib.request.Request(url, body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return {"status": answer.status, "body": answer.read().decode()}
    except urllib.error.HTTPError as answer:
        return {"status": answer.code, "body": answer.read().decode()}
    except OSError as error:
        return {"error": repr(error)}


verb, url, *rest = sys.argv[1:]
if verb == "post":
    file, tries, *headers = rest
    body = Path(file).read_bytes()
    for _ in range(int(tries)):
        print(json.dumps(send(url, body, dict(header.split(": ", 1) for header in headers))))
else:  # urllib has no forms of its own
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in zip(rest[::2], rest[1::2], strict=True)
    ]
    form = "".join([*parts, f"--{boundary}--\r\n"]).encode()
    print(json.dumps(send(url, form, {"content-type": f"multipart/form-data; boundary={boundary}"})))
