"""What requests ask for, remembered by their heads.

A client sends the same head again and again: its token, the path, what it sends and what it accepts. What
follows from a head takes half of the Python of a small request: who asks, which route, what its query says.
It depends on the head and the settings, which an instance reads once, and on nothing else.

A request that is refused has no plan. So a wrong token is compared with all tokens each time, and a right one
once. A plan is looked up by the hash of its key, and texts are compared only where the hashes are equal. In
the component such a hash is FNV with 32 bits, and everybody may know its seed. So a salt stands before the
token: which tokens have the same hash differs from instance to instance. Behind the token a salt would change
nothing, since FNV makes equal states of equal ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.auth import Caller
from gateway.routes import Operation
from gateway.settings import Limits

MOST_PLANS = 64
"""The maximum number of plans that an instance remembers."""

LONGEST_HEAD = 2_048
"""The maximum size of a head whose plan is remembered, in characters."""

Key = tuple[str | None, ...]
"""A head: the method, the target, the base, and the values of `gateway.http.DECIDING`; None for a header that
is missing."""


@dataclass(eq=False)
class Plan:
    """What requests with one head ask for.

    Attributes:
        caller: Who asks.
        authenticated: Whether with a token.
        route: The route in the notation of the API.
        label: The label of the store.
        limits: The limits for this caller.
        retry_seconds: How long calls to a busy store are retried.
        operation: What is asked for.
    """

    caller: Caller
    authenticated: bool
    route: str
    label: str
    limits: Limits
    retry_seconds: float
    operation: Operation


class Plans:
    """The plans that an instance remembers. The oldest is forgotten first.

    Attributes:
        get: Returns the plan of a key; None if there is none.
    """

    def __init__(self) -> None:
        self._plans: dict[Key, Plan] = {}
        self.get: Callable[[Key], Plan | None] = self._plans.get

    def remember(self, key: Key, plan: Plan) -> None:
        """Remembers a plan, unless its head is long."""
        if sum(map(len, filter(None, key))) > LONGEST_HEAD:
            return
        if len(self._plans) == MOST_PLANS:
            del self._plans[next(iter(self._plans))]
        self._plans[key] = plan
