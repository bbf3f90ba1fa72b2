"""The API as an OpenAPI 3.1 document. It is written by hand in this module.

Statuses and titles are those of `gateway.problems`. Limits are the defaults of `gateway.settings`. A variable
may have changed a limit, so the descriptions name the variable.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.problems import PROBLEM, PROBLEMS
from gateway.record import MAX_REQUEST_ID
from gateway.routes import LONGEST_PAGE, PAGE, ROUTES
from gateway.settings import Limits
from gateway.wire.media import FORM, JSON, NDJSON

VERSION = "1.0.0"

Json = dict[str, Any]

_LIMITS = Limits()

_BASE64 = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"
"""Padded base64, in which no bits are set that are not part of the value."""


def _schema(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: dict[str, Json], optional: dict[str, Json] | None = None, **more: object) -> Json:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
        "additionalProperties": False,
        **more,
    }


def _list(name: str, **more: object) -> Json:
    return {"type": "array", "items": _schema(name), **more}


_SCHEMAS: Final[Json] = {
    "Key": {
        "type": "string",
        "description": f"Any Unicode text; at most {_LIMITS.key_bytes} bytes in UTF-8 (max_key_bytes).",
        "maxLength": _LIMITS.key_bytes,
        "example": "user:1",
    },
    "Keys": _object({"keys": _list("Key", maxItems=_LIMITS.keys)}, example={"keys": ["user:1", "user:9"]}),
    "Pair": {
        "description": "A key and its value, as text or as padded base64 (RFC 4648 section 4). "
        f"A value has at most {_LIMITS.value_bytes} bytes as it is stored (max_value_bytes).",
        "oneOf": [
            _object({"key": _schema("Key"), "value": {"type": "string"}}, title="Text"),
            _object(
                {
                    "key": _schema("Key"),
                    "value": {"type": "string", "contentEncoding": "base64", "pattern": _BASE64},
                    "encoding": {"const": "base64"},
                },
                title="Bytes",
            ),
        ],
    },
    "Pairs": _object(
        {"pairs": _list("Pair", maxItems=_LIMITS.keys)},
        example={
            "pairs": [
                {"key": "user:1", "value": "Ada"},
                {"key": "logo", "value": "AAH/", "encoding": "base64"},
            ]
        },
    ),
    "Found": {
        "description": "A requested key and its value; null if the key is not in the store.",
        "anyOf": [
            _schema("Pair"),
            _object({"key": _schema("Key"), "value": {"type": "null"}}, title="Missing"),
        ],
    },
    "Lines": {
        "type": "string",
        "description": "NDJSON of any length: one JSON object per line. In a request each line is a Pair, or "
        '{"key": K} if only keys are needed. In an answer each line is a Found, or the count of what was '
        'written. The line {"end": {"pairs": N}} says that N lines come before it, since the start or since '
        "the last such line. In a request this number is checked. An answer that fails after it has begun "
        'ends with the line {"problem": {…}}, whose value is a Problem.',
    },
    "Problem": {
        "description": "What went wrong, where, and what to do about it (RFC 9457).",
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "enum": [f"/problems/{code}" for code in PROBLEMS]},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "pointer": {"type": "string", "description": "The place in a JSON body or a form (RFC 6901)."},
            "line": {"type": "integer", "minimum": 1, "description": "The line of an NDJSON body."},
            "parameter": {"type": "string", "description": "The parameter of the query."},
            "limit": {"type": "integer", "description": "The limit that the request exceeds."},
            "actual": {"type": "integer", "description": "The actual size or number, if it is known."},
            "applied": {"type": "integer", "description": "The number of keys or lines that were applied."},
            "failed": {
                "type": "array",
                "description": "Keys that failed and whose state is unknown; 1,000 at most.",
                "items": _object({"key": {"type": "string"}, "reason": {"type": "string"}}),
            },
            "not_attempted": {
                "type": "array",
                "description": "Keys that were not sent to the store.",
                "items": {"type": "string"},
            },
            "resume_line": {
                "type": "integer",
                "minimum": 1,
                "description": "The line of an NDJSON body from which to send it again.",
            },
            "variable": {"type": "string", "description": "The variable whose value is not valid."},
            "request_id": {"type": "string", "description": "The id under which the log has the details."},
        },
        "additionalProperties": False,
    },
}

_HEADERS: Final[Json] = {
    "x-request-id": {
        "description": "The id that the request had, or a generated one. The log line of the request has it.",
        "required": True,
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_REQUEST_ID},
    },
    "server-timing": {
        "description": "Milliseconds spent on reading and decoding the request, in the store, and on "
        "encoding the answer, until its head was sent. Only for a caller with a token.",
        "schema": {"type": "string"},
    },
}

_OWN_HEADERS: Final[dict[int, Json]] = {
    401: {"www-authenticate": "The required authentication (RFC 6750)."},
    403: {"www-authenticate": "The required scope (RFC 6750), if another token is needed."},
    405: {"allow": "The methods that the path has."},
    415: {
        "accept-post": "The media types that the body may have.",
        "accept-encoding": "The content codings that the body may have.",
    },
    503: {"retry-after": "Seconds to wait before the next attempt."},
}

_DETAILS: Final[dict[str, Json]] = {
    "malformed-body": {"detail": 'Line 7 has no member "key".', "line": 7, "applied": 6},
    "malformed-query": {
        "detail": "This route has no parameter 'kex'. It has: encoding, key.",
        "parameter": "kex",
    },
    "invalid-key": {"detail": "A key must be a string, but this one is a number.", "pointer": "/keys/0"},
    "invalid-value": {
        "detail": "A value must be a string, but this one is a number.",
        "pointer": "/pairs/0/value",
    },
    "unauthorized": {"detail": "A token is needed. Send one: authorization: Bearer TOKEN."},
    "forbidden": {
        "detail": "This request changes the store, but the caller may only read. Send the write token."
    },
    "store-not-granted": {
        "detail": "The gateway is not allowed to open this store: the host denies access to the store. "
        "Grant it in spin.toml, under key_value_stores."
    },
    "not-found": {
        "detail": "There is nothing at /v2/default. The API is under /v1/{store}, for example "
        "/v1/default/get-many."
    },
    "no-such-store": {
        "detail": "The store does not exist: the host knows no such store. Check its name in the path."
    },
    "method-not-allowed": {"detail": "This path does not have the method GET. It has: POST."},
    "too-large": {
        "detail": "One request may have at most 10000 keys, but this one has 10001 (max_keys). "
        "Send several requests.",
        "limit": 10_000,
        "actual": 10_001,
    },
    "unsupported-media-type": {
        "detail": "The body has no content-type. Send application/json or application/x-ndjson. "
        "curl sets application/json with --json, and multipart/form-data with -F."
    },
    "misconfigured": {
        "detail": 'The variable anonymous has a value that is not valid: it must be "none", "read" or '
        '"write". The operator of this gateway sets it, in spin.toml or as SPIN_VARIABLE_ANONYMOUS.',
        "variable": "anonymous",
    },
    "internal-error": {
        "detail": "This is a defect of the gateway, not of the request. Its log has the details under this "
        "request_id.",
        "request_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    },
    "store-failed": {
        "detail": "The store failed: connection refused. 1 keys were applied, 1 failed (their state is "
        "unknown), 1 were not attempted. The same request may be sent again unchanged.",
        "applied": 1,
        "not_attempted": ["user:3"],
        "failed": [{"key": "user:2", "reason": "connection refused"}],
    },
    "store-busy": {
        "detail": "The store is busy: too many requests. 0 keys were applied, 0 failed (their state is "
        "unknown), 1 were not attempted. The same request may be sent again unchanged.",
        "applied": 0,
        "not_attempted": ["user:1"],
        "failed": [],
    },
}
"""An example of each problem: its detail and its members."""


def _problems() -> Json:
    """The answer for each status of a problem."""
    answers: Json = {}
    for status in sorted({status for status, _ in PROBLEMS.values()}):
        codes = [code for code in PROBLEMS if PROBLEMS[code][0] == status]
        own = {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in _OWN_HEADERS.get(status, {}).items()
        }
        examples = {
            code: {
                "value": {
                    "type": f"/problems/{code}",
                    "title": PROBLEMS[code][1],
                    "status": status,
                    **_DETAILS[code],
                }
            }
            for code in codes
        }
        answers[str(status)] = {
            "description": "; ".join(f"{PROBLEMS[code][1]} ({code})" for code in codes) + ".",
            "headers": {**_HEADERS, **own},
            "content": {PROBLEM: {"schema": _schema("Problem"), "examples": examples}},
        }
    return answers


_ANY = (400, 401, 403, 404, 413, 500, 502, 503)
"""The statuses of problems that any request to a store may have."""


def _answer(description: str, content: Json) -> Json:
    vary = {
        "description": "The headers of the request on which the answer depends.",
        "schema": {"type": "string"},
    }
    return {"description": description, "headers": {**_HEADERS, "vary": vary}, "content": content}


def _content(schema: str, example: object) -> Json:
    return {"schema": _schema(schema), "example": example}


_TWO_FOUND: Final[Json] = {
    "pairs": [{"key": "user:1", "value": "Ada"}, {"key": "user:9", "value": None}],
}
_ONE_FOUND = '{"key": "user:1", "value": "Ada"}\n{"key": "user:9", "value": null}\n'
_TWO_LINES = '{"key": "user:1", "value": "Ada"}\n{"key": "user:2", "value": "Grace"}\n'


def _found() -> Json:
    return _answer(
        "A pair for every requested key, in the order of the request: as JSON, or as NDJSON if Accept "
        "prefers it.",
        {
            JSON: {
                "schema": _object({"pairs": _list("Found")}),
                "example": _TWO_FOUND,
            },
            NDJSON: _content("Lines", _ONE_FOUND),
        },
    )


def _counted(name: str) -> Json:
    return _answer(
        f"Everything was applied. The answer has the number of {name} in the request, with repeats.",
        {
            JSON: {"schema": _object({name: {"type": "integer", "minimum": 0}}), "example": {name: 2}},
            NDJSON: _content("Lines", f'{{"{name}": 2}}\n'),
        },
    )


def _parameter(name: str, description: str, schema: Json, **more: object) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": schema, **more}


_KEYS_ASKED = _parameter(
    "key",
    "A key. May be repeated.",
    {"type": "array", "items": _schema("Key"), "minItems": 1},
    required=True,
    style="form",
    explode=True,
    example=["user:1", "user:9"],
)
_ENCODING = _parameter(
    "encoding", "Answers every value as base64, even if it is text.", {"type": "string", "enum": ["base64"]}
)
_END = _parameter(
    "end",
    "Adds an end line, which shows that the answer is complete.",
    {"type": "string", "enum": ["true"]},
)
_ENDED = _parameter(
    "end",
    "The last line of an NDJSON body must be an end line. Other bodies need none.",
    {"type": "string", "enum": ["true"]},
)
_PREFIX = _parameter("prefix", "Only keys that start with this.", {"type": "string"}, example="user:")

_JSON_KEYS: Final[Json] = {JSON: {"schema": _schema("Keys")}}
_KEY_LINES: Final[Json] = {NDJSON: _content("Lines", '{"key": "user:1"}\n{"key": "user:9"}\n')}

_OPERATIONS: Final[dict[tuple[str | None, str], Json]] = {
    (None, "GET"): {
        "operationId": "getManyByQuery",
        "summary": "get-many for a shell",
        "parameters": [_KEYS_ASKED, _ENCODING],
        "responses": {"200": _found()},
    },
    (None, "DELETE"): {
        "operationId": "deleteManyByQuery",
        "summary": "delete-many for a shell",
        "parameters": [_KEYS_ASKED],
        "responses": {"200": _counted("keys")},
    },
    ("keys", "GET"): {
        "operationId": "listKeys",
        "summary": "The keys of the store, one page per request",
        "parameters": [
            _PREFIX,
            _parameter("after", "The last key of the previous page.", {"type": "string"}, example="user:1"),
            _parameter(
                "limit",
                "The maximum number of keys on a page.",
                {"type": "integer", "minimum": 1, "maximum": LONGEST_PAGE, "default": PAGE},
            ),
        ],
        "responses": {
            "200": _answer(
                "The keys, sorted by code point, and the `after` of the next page; null on the last page.",
                {
                    JSON: {
                        "schema": _object(
                            {
                                "keys": {"type": "array", "items": {"type": "string"}},
                                "next": {"type": ["string", "null"]},
                            }
                        ),
                        "example": {"keys": ["user:1", "user:2"], "next": None},
                    }
                },
            )
        },
    },
    ("keys", "DELETE"): {
        "operationId": "deleteKeys",
        "summary": "Deletes every key with a prefix",
        "description": "The keys are deleted in parts. A problem says how many were deleted, and the request "
        "may be sent again.",
        "parameters": [
            _parameter(
                "prefix", "The start of the keys. Empty for all keys.", {"type": "string"}, example="user:"
            ),
            _parameter("all", "Required if the prefix is empty.", {"type": "string", "enum": ["true"]}),
            _parameter("dry-run", "Counts the keys, and deletes none.", {"type": "string", "enum": ["true"]}),
        ],
        "responses": {
            "200": _answer(
                "The number of keys that were deleted, or that would be.",
                {
                    JSON: {
                        "schema": _object({"keys": {"type": "integer", "minimum": 0}}),
                        "example": {"keys": 2},
                    }
                },
            )
        },
    },
    ("export", "GET"): {
        "operationId": "exportStore",
        "summary": "Every pair, sorted by key",
        "description": "A stream. It is a valid body for set-many, get-many and delete-many.",
        "parameters": [_PREFIX, _ENCODING, _END],
        "responses": {"200": _answer("The pairs.", {NDJSON: _content("Lines", _TWO_LINES)})},
    },
    ("get-many", "POST"): {
        "operationId": "getMany",
        "summary": "The values of many keys",
        "description": "A line of NDJSON may also be a pair, whose value is ignored. NDJSON is answered in "
        "NDJSON unless Accept says otherwise.",
        "parameters": [_ENCODING, _ENDED],
        "requestBody": {"required": True, "content": {**_JSON_KEYS, **_KEY_LINES}},
        "responses": {"200": _found()},
    },
    ("set-many", "POST"): {
        "operationId": "setMany",
        "summary": "Creates or overwrites many pairs",
        "description": "The last value of a repeated key wins. Not atomic: a problem says which keys were "
        "applied. An NDJSON body is written as it arrives.",
        "parameters": [_ENDED],
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": _schema("Pairs")},
                NDJSON: _content("Lines", _TWO_LINES),
                FORM: {
                    "schema": {
                        "type": "object",
                        "description": "The name of a part is the key, its bytes are the value. A name that "
                        "clients write in different ways is refused: one with a quote, a backslash, a line "
                        "end, or a % before two hexadecimal digits.",
                        "additionalProperties": {"type": "string", "format": "binary"},
                    },
                    "example": {"greeting": "hello", "user:1": "Ada"},
                },
            },
        },
        "responses": {"200": _counted("pairs")},
    },
    ("delete-many", "POST"): {
        "operationId": "deleteMany",
        "summary": "Deletes many keys",
        "description": "A missing key is skipped. A line of NDJSON may also be a pair, whose value is "
        "ignored.",
        "parameters": [_ENDED],
        "requestBody": {"required": True, "content": {**_JSON_KEYS, **_KEY_LINES}},
        "responses": {"200": _counted("keys")},
    },
}


def _readiness(description: str, state: str) -> Json:
    schema = _object({"stores": {"type": "object", "additionalProperties": {"type": "string"}}})
    content = {JSON: {"schema": schema, "example": {"stores": {"default": state}}}}
    return {"description": description, "headers": _HEADERS, "content": content}


_READY: Final[Json] = {
    "operationId": "getReadiness",
    "summary": "Whether the stores answer",
    "description": "Needs no token. Reads from each store of the variable ready_stores, at most once a "
    "second.",
    "security": [],
    "responses": {
        "200": _readiness("Every store answers a read.", "ok"),
        "503": _readiness(
            'A store does not answer: it has the code of a problem instead of "ok".', "store-failed"
        ),
        "500": {"$ref": "#/components/responses/500"},
    },
}


def _operation(name: str | None, method: str) -> Json:
    scope = ROUTES[name][method][0]
    operation = {**_OPERATIONS[name, method], "security": [{"token": [scope]}]}
    statuses = (*_ANY, 415) if "requestBody" in operation else _ANY
    if any(parameter["in"] == "query" for parameter in operation.get("parameters", [])):
        statuses = (*statuses, 414)
    problems = {str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)}
    operation["responses"] = {**operation["responses"], **problems}
    operation["description"] = (
        operation.get("description", "") + f" The caller needs the scope {scope}."
    ).strip()
    return operation


def _head(operation: Json) -> Json:
    """The operation as HEAD: the same answers, without their bodies."""
    answers = {status: {"$ref": "#/components/responses/head"} for status in operation["responses"]}
    if "414" in answers:
        answers["414"] = {"$ref": "#/components/responses/414"}
    return {
        **operation,
        "operationId": operation["operationId"] + "Head",
        "summary": operation["summary"] + " (only the head of the answer)",
        "responses": answers,
    }


def _paths() -> Json:
    store = {
        "name": "store",
        "in": "path",
        "required": True,
        "description": "The label of a key-value store that is granted to the gateway (spin.toml).",
        "schema": {"type": "string", "minLength": 1},
        "example": "default",
    }
    paths: Json = {}
    for name, methods in ROUTES.items():
        item: Json = {"parameters": [store]}
        for method in methods:
            item[method.lower()] = _operation(name, method)
        if "get" in item:
            item["head"] = _head(item["get"])
        paths["/v1/{store}" + (f"/{name}" if name else "")] = item
    document: Json = {
        "operationId": "getOpenApi",
        "summary": "This document",
        "security": [],
        "responses": {
            "200": {
                "description": "The document.",
                "headers": _HEADERS,
                "content": {JSON: {"schema": {"type": "object", "required": ["openapi", "info", "paths"]}}},
            },
            "500": {"$ref": "#/components/responses/500"},
        },
    }
    paths["/openapi.json"] = {"get": document, "head": _head(document)}
    paths["/readyz"] = {"get": _READY, "head": _head(_READY)}
    return paths


DOCUMENT: Final[Json] = {
    "openapi": "3.1.0",
    "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
    "info": {
        "title": "kv-batch",
        "summary": "get-many, set-many and delete-many over any key-value store of Spin",
        "description": "A batch key-value gateway. Operations are not atomic, and there is no rollback. "
        "Every operation may be sent again unchanged. Bodies may be compressed with gzip (Content-Encoding). "
        "Streamed answers are compressed if the client accepts it (Accept-Encoding).\n\n"
        "The limits are variables of the component. Their defaults are: "
        f"max_body_bytes {_LIMITS.body_bytes} (JSON and form), "
        f"max_keys {_LIMITS.keys} (JSON, form, query), max_key_bytes {_LIMITS.key_bytes}, max_value_bytes "
        f"{_LIMITS.value_bytes}, max_answer_bytes {_LIMITS.answer_bytes} "
        "(JSON get-many, and what NDJSON repeats). The variable refused_characters (none by default) has the "
        "characters that no key may contain.\n\n"
        "A body is UTF-8; a byte order mark at its start is skipped. application/ndjson, application/jsonl "
        "and application/x-jsonlines are other names of application/x-ndjson.",
        "version": VERSION,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    },
    "servers": [{"url": "/"}],
    "paths": _paths(),
    "components": {
        "schemas": _SCHEMAS,
        "responses": {
            **_problems(),
            "head": {"description": "The head of the answer to GET.", "headers": _HEADERS},
            "414": {
                "description": "The target is over 64 KiB. The server answers this itself, without a body."
            },
        },
        "securitySchemes": {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "read_token, write_token, or a token of the variable tokens. A token for "
                "writing may also read. A caller without a token has the scope of the variable anonymous, "
                "which is none by default. A page of another origin needs a token.",
            }
        },
    },
}
"""The document. A method that a path does not have is 405, and an unknown path is 404, both as problems."""
