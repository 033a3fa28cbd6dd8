"""Requests, options and outcomes, as vectors spell them."""

from __future__ import annotations

from typing import Any

from fields import FailedError, Fields
from policy import given

from oncegate import Failure, Outcome, Payload, Request, Scope

LAPSES = {"": None, "RECLAIM": "reclaim", "UNKNOWN": "unknown", "FAILED": "failed"}


def read_request(step: Fields) -> Request:
    """The request of a step."""
    name = step.data("scope")
    kind = step.text("scope_kind", "NAMED")
    scope: bytes | Scope
    if kind == "NAMED":
        scope = b"acme" if name is None else name
    else:
        scope = {
            "SINGLE_TENANT": Scope.SINGLE_TENANT,
            "UNAUTHENTICATED": Scope.UNAUTHENTICATED,
        }[kind]
    key = step.data("key") or b""
    by_payload = step.choose("key_kind", {"GIVEN": False, "FROM_PAYLOAD": True}, "GIVEN")
    operation = step.text("operation", "POST /charges")
    payload = read_payload(step)
    return Request(operation, None if by_payload else key, scope=scope, payload=payload)


def read_payload(step: Fields) -> Payload | None:
    """The payload of a step."""
    data = step.data("payload") or b""
    boundary = step.text("boundary")
    excluded, included = step.texts("excluded"), step.texts("included")
    kind = step.text("payload_kind", "NONE")
    if kind == "NONE":
        return None
    if kind == "MULTIPART":
        payload = Payload.multipart(data, boundary)
    else:
        payload = {"RAW": Payload.raw, "JSON": Payload.json, "FORM": Payload.form}[kind](data)
    if excluded:
        payload = payload.excluding(excluded)
    return payload.including(included) if included else payload


def read_options(step: Fields) -> dict[str, Any]:
    """The options of a step that begins, but for its wait."""
    return given(
        lease_duration=step.seconds("lease_ms"),
        dedup_window=step.seconds("dedup_window_ms"),
        on_lapse=step.choose("on_lapse", LAPSES, ""),
        run_due=step.flag("run_due") or None,
    )


def read_outcome(step: Fields) -> Outcome:
    """The outcome of a step."""
    status = step.number("outcome_status") or 0
    body = step.data("body") or b""
    metadata = step.array("metadata")
    if step.flag("withheld"):
        return Outcome.withheld(status)
    pairs = [(str(name), str(value)) for name, value in metadata]
    return Outcome(status, body, pairs)


def read_failure(step: Fields) -> Failure:
    """How a step fails."""
    kind, delay = step.text("failure"), step.seconds("delay_ms")
    outcome = read_outcome(step)
    if kind == "RETRYABLE":
        return Failure.retryable(delay or 0)
    if kind == "TERMINAL":
        return Failure.terminal(outcome)
    if kind == "UNKNOWN":
        return Failure.unknown()
    raise FailedError(f"failure: there is no {kind}")
