"""The gateway: one request in, one answer out.

    request → who asks → which route → query and body decoded → the contract over a bucket → answer

Everything in a request is checked before the store is touched. It knows neither the host that it runs on
(`gateway.host`) nor how a store is reached (`kv_batch.bucket`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Collection
from dataclasses import replace
from urllib.parse import unquote

from gateway.auth import authenticate, require
from gateway.host import Host
from gateway.http import DECIDING, Head, Request, Response, buffered
from gateway.pages import CONSOLE, openapi, reference
from gateway.plans import Plan, Plans
from gateway.problems import Problem, answer
from gateway.ready import Readiness
from gateway.record import MAX_LOGGED_NAME, LoggedBody, Record
from gateway.routes import ROUTES, Call
from gateway.settings import Access, Limits, ready_stores, retry_seconds
from gateway.stores import Store
from gateway.wire.media import JSON
from kv_batch.batch import Retry
from kv_batch.bucket import Bucket

_OTHERS = DECIDING[1:]
"""The headers of DECIDING but `authorization`."""

PUBLIC = ("/", "/docs", "/openapi.json", "/readyz")
"""The paths that need no token."""


class Gateway:
    """The gateway over one host. One object serves all requests of an instance concurrently."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._buckets: dict[str, Bucket] = {}
        self._plans = Plans()
        self._salt = ""
        self._readiness = Readiness()
        # Read once per instance. An invalid value is read again, and reported again, on each request.
        self._access: Access | None = None
        self._limits: Limits | None = None
        self._retry_seconds: float | None = None

    async def handle(self, request: Request) -> Response:
        """Handles a request. Every error becomes a response: no exception leaves this method."""
        record = Record(request.method, request.headers, request.base)
        try:
            response = await self._operation(request, record)
        except Exception as error:  # noqa: BLE001 - what left here would trap the instance
            response = answer(error, record)
        response.authorized = record.authorized
        phase = record.enter("send")
        record.status = response.status
        response.headers.append(("x-request-id", record.request_id))
        if record.authenticated:
            response.headers.append(("server-timing", record.server_timing()))
        if isinstance(response.body, bytes):
            record.sent = 0 if request.method == "HEAD" else len(response.body)
            record.log(request.body.received)
            return response
        response.body = LoggedBody(response.body, record, phase, request.body)
        return response

    def _operation(self, request: Request, record: Record) -> Awaitable[Response]:
        """Begins what the head of a request asks for.

        Raises:
            Problem: the head is refused.
        """
        header = request.headers.get
        token = header("authorization")
        if token is not None:
            self._salt = self._salt or os.urandom(16).hex()  # not drawn while the component is compiled
            token = self._salt + token  # not behind it: see `gateway.plans`
        key = (request.method, request.target, request.base, token, *map(header, _OTHERS))
        plan = self._plans.get(key)
        if plan is None:
            # It is made of what the key has, so that the plan cannot depend on anything else of this request.
            headers = {name: request.headers[name] for name in DECIDING if name in request.headers}
            head = Head(request.method, request.target, request.base, headers)
            # A page at the base without a slash would resolve its own links against the directory above.
            if head.path in PUBLIC and (head.full_path or "/") != head.base:
                return self._public(head, request, record)
            plan = self._plan(head, record)
            self._plans.remember(key, plan)
        else:
            record.authenticated = plan.authenticated
            record.authorized = True
            record.caller = plan.caller.name
            record.route = plan.route
            record.store = plan.label[:MAX_LOGGED_NAME]
        retry = Retry(plan.retry_seconds)
        store = Store(plan.label, self._host, self._buckets, record, retry, plan.caller.prefix)
        return plan.operation(Call(request, store, plan.limits, record))

    def _plan(self, head: Head, record: Record) -> Plan:
        """What requests with that head ask for.

        Raises:
            Problem: it is refused. The record has what was learned before.
        """
        method = "GET" if head.method == "HEAD" else head.method
        segments = head.path.split("/", 4)[1:] or [""]  # `OPTIONS *` has no slash
        if segments[0] != "v1" and unquote(segments[0]) != "v1":
            raise _not_found(head)
        if self._access is None:
            self._access = Access.of(self._host.config)
        caller = authenticate(head.headers, self._access)
        record.authenticated = "authorization" in head.headers
        record.caller = caller.name
        try:
            label, *rest = [unquote(segment, errors="strict") for segment in segments[1:]]
        except ValueError:  # too few segments, or not UTF-8
            raise _not_found(head) from None
        methods = ROUTES.get(rest[0] if rest else None) if label and len(rest) < 2 else None
        if methods is None:
            raise _not_found(head)
        record.route = f"/v1/{{store}}/{rest[0]}" if rest else "/v1/{store}"
        if method not in methods:
            raise _not_allowed(head, methods)
        record.store = label[:MAX_LOGGED_NAME]
        needed, route = methods[method]
        require(caller, needed, label)
        record.authorized = True
        if self._limits is None:
            self._limits = Limits.of(self._host.config)
        if self._retry_seconds is None:
            self._retry_seconds = retry_seconds(self._host.config)
        limits = replace(self._limits, key_prefix=caller.prefix) if caller.prefix else self._limits
        operation = route(head, limits)
        return Plan(caller, record.authenticated, record.route, label, limits, self._retry_seconds, operation)

    async def _public(self, head: Head, request: Request, record: Record) -> Response:
        """Answers a path of PUBLIC."""
        record.route = head.path
        if head.method not in ("GET", "HEAD"):
            raise _not_allowed(head, ["GET"])
        match head.path:
            case "/":
                return CONSOLE.answer(request)
            case "/docs":
                return reference(request.base).answer(request)
            case "/readyz":
                return await self._ready(record)
        return buffered(200, JSON, openapi(request.base))

    async def _ready(self, record: Record) -> Response:
        """`GET /readyz`: 200 if the stores of the variable `ready_stores` answer a read, else 503."""

        async def ask(label: str) -> None:
            await Store(label, self._host, self._buckets, record).do(lambda bucket: bucket.answers())

        labels = ready_stores(self._host.config)
        stores = {label: await self._readiness.state(label, ask) for label in labels}
        status = 200 if set(stores.values()) <= {"ok"} else 503
        return buffered(status, JSON, json.dumps({"stores": stores}).encode() + b"\n")


def _not_allowed(head: Head, methods: Collection[str]) -> Problem:
    allowed = [*methods, "HEAD"] if "GET" in methods else [*methods]
    hint = " curl -T sends PUT: add -X POST." if head.method == "PUT" and "POST" in methods else ""
    return Problem(
        "method-not-allowed",
        f"This path does not have the method {head.method[:100]}. It has: {', '.join(allowed)}.{hint}",
        headers=[("allow", ", ".join(allowed))],
    )


def _not_found(head: Head) -> Problem:
    return Problem(
        "not-found",
        f"There is nothing at {head.full_path[:200]}. The API is under {head.base}/v1/{{store}}, for "
        f"example {head.base}/v1/default/get-many.",
    )
