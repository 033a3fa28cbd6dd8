"""Errors as Stripe's API tells them, for services that are asked through Stripe's SDKs."""

from __future__ import annotations

STATUSES = {"mismatched": 400}
"""Where Stripe's API has another status: its SDKs know an ``idempotency_error`` by this one."""

SHOULD_NOT_RETRY = (b"stripe-should-retry", b"false")
"""Keeps an SDK from sending again what would be answered alike: it repeats each 409 and 5xx."""

ANSWERED_ALIKE = frozenset(("unresolved", "outcome-gone", "misconfigured"))
"""The codes that it stands beside."""


def stripe_error(code: str, status: int, message: str) -> dict[str, object]:
    """The document of an error: what SDKs read is its type, and the code of a running duplicate."""
    error = {"type": _kind(code, status), "code": _CODES.get(code, code), "message": message}
    return {"error": error}


def _kind(code: str, status: int) -> str:
    if code == "mismatched":
        return "idempotency_error"
    return "api_error" if status >= 500 else "invalid_request_error"


_CODES = {"in-progress": "idempotency_key_in_use", "scheduled": "idempotency_key_in_use"}
