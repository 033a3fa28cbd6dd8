"""Answers that no handler gave: problems, as RFC 9457 describes them, or as Stripe's API does."""

from __future__ import annotations

import json
import math
from typing import Literal, NamedTuple

from . import stripe_error as stripe

ProblemFormat = Literal["rfc9457", "stripe"]
"""How a problem is written: ``application/problem+json``, or the errors of Stripe's API."""


class Answer(NamedTuple):
    """A whole response: status, headers in lower case, body."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Problems:
    """Makes the answers, and keeps what is always the same of them.

    Each has its ``code``, for programs; ``detail`` is for people, and never holds a value that the
    client sent.
    """

    def __init__(
        self,
        types: str | None,
        key_header: str,
        payload_limit: int,
        form: ProblemFormat = "rfc9457",
    ) -> None:
        self._types = types
        self._is_stripe = form == "stripe"
        self._statuses = {**STATUSES, **stripe.STATUSES} if self._is_stripe else STATUSES
        self._type = (b"content-type", CONTENT_TYPES[form].encode("ascii"))
        details = dict(_DETAILS)
        details["missing-key"] = f"this request needs a key of its own in `{key_header.lower()}`"
        details["payload-too-large"] = f"a request with a key has {payload_limit} bytes at most"
        self._bodies = {code: self._body(code, detail) for code, detail in details.items()}

    def answer(
        self, code: str, detail: str | None = None, retry_after: float | None = None
    ) -> Answer:
        """The answer of ``code``; ``retry_after`` is in seconds."""
        body = self._bodies[code] if detail is None else self._body(code, detail)
        headers = [self._type, _NO_STORE, (b"content-length", b"%d" % len(body))]
        if retry_after is not None:
            headers.append((b"retry-after", whole_seconds(retry_after)))
        if self._is_stripe and code in stripe.ANSWERED_ALIKE:
            headers.append(stripe.SHOULD_NOT_RETRY)
        return Answer(self._statuses[code], headers, body)

    def _body(self, code: str, detail: str) -> bytes:
        status = self._statuses[code]
        members: dict[str, object]
        if self._is_stripe:
            members = stripe.stripe_error(code, status, detail)
        else:
            members = {
                "type": "about:blank" if self._types is None else self._types + code,
                "title": _TITLES[status],
                "status": status,
                "code": code,
                "detail": detail,
            }
        return json.dumps(members, separators=(",", ":")).encode("ascii")


def whole_seconds(delay: float) -> bytes:
    """Rounded up, and never zero: a client must not come back at once."""
    return b"%d" % max(math.ceil(delay), 1)


STATUSES = {
    "in-progress": 409,
    "scheduled": 409,
    "mismatched": 422,
    "unresolved": 409,
    "outcome-gone": 409,
    "fenced": 409,
    "missing-key": 400,
    "invalid-key": 400,
    "invalid-payload": 400,
    "payload-incomplete": 400,
    "no-scope": 403,
    "payload-too-large": 413,
    "operation-too-long": 414,
    "quota-exceeded": 429,
    "too-many-requests": 429,
    "full": 503,
    "retry-budget-exhausted": 503,
    "tier-unavailable": 503,
    "unavailable": 503,
    "aborted": 500,
    "misconfigured": 500,
    "no-such-request": 404,
}
"""The status of each code."""

_TITLES = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    413: "Payload Too Large",
    414: "URI Too Long",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}

_DETAILS = {
    "in-progress": "a request with this key is still running",
    "scheduled": "a request with this key waits for its next attempt",
    "mismatched": "this key was used with another payload",
    "unresolved": "nobody knows whether the request with this key took effect; it does not run "
    "again until that is resolved",
    "outcome-gone": "the request with this key has finished, but its response was not kept",
    "fenced": "the attempt outlived its lease and another one took over; ask again with the same "
    "key for its result",
    "payload-incomplete": "the body of the request broke off; nothing was run",
    "no-scope": "only a caller who is known may send a request with a key",
    "too-many-requests": "too many questions for the state of requests; ask again later",
    "full": "no room for a new record; ask again later with the same key",
    "retry-budget-exhausted": "too many requests are being retried; ask again later with the same "
    "key",
    "tier-unavailable": "requests cannot be deduplicated at the moment; ask again later with the "
    "same key",
    "unavailable": "requests cannot be deduplicated here, so none is run",
    "aborted": "the attempt ended without a response; ask again with the same key",
    "misconfigured": "the service's own settings were refused, so nothing was run",
    "no-such-request": "there is no such request, or it is not yours, or it is over",
}

CONTENT_TYPES: dict[ProblemFormat, str] = {
    "rfc9457": "application/problem+json",
    "stripe": "application/json",
}
"""What each format is sent as."""

# It holds for this moment only.
_NO_STORE = (b"cache-control", b"no-store")
