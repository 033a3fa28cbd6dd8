"""Retry policies and budgets, as vectors spell them."""

from __future__ import annotations

from typing import Any

from fields import FailedError, Fields

from oncegate import RetryBudget, RetryPolicy

JITTERS = {"NONE": "none", "FULL": "full", "EQUAL": "equal", "DECORRELATED": "decorrelated"}


def given(**values: Any) -> dict[str, Any]:
    """Those that are given."""
    return {name: value for name, value in values.items() if value is not None}


def read_policy(fields: Fields) -> RetryPolicy:
    """The policy that the fields describe."""
    preset = fields.text("preset", "CUSTOM")
    attempts = fields.number("max_attempts")
    limits = given(
        max_attempts=None if preset in ("CUSTOM", "GRPC") else attempts,
        deadline=fields.seconds("deadline_ms"),
        expected_duration=fields.seconds("expected_ms"),
        attempt_timeout=fields.seconds("attempt_timeout_ms"),
        ignore_hints=fields.flag("ignore_hints") or None,
        hint_max=fields.seconds("hint_max_ms"),
        hint_beyond_drawn=fields.seconds("hint_beyond_drawn_ms"),
    )
    if preset == "CUSTOM":
        policy = RetryPolicy(**given(max_attempts=attempts), **backoff(fields), **limits)
    elif preset == "GRPC":
        initial, most = fields.seconds("initial_ms"), fields.seconds("max_ms")
        multiplier = fields.real("multiplier")
        if initial is None or most is None or multiplier is None or attempts is None:
            raise FailedError("a policy of gRPC needs all of its four values")
        policy = RetryPolicy.grpc(initial, most, multiplier, attempts).replace(**limits)
    else:
        made: RetryPolicy = getattr(RetryPolicy, preset.lower())()
        policy = made.replace(**limits)
    fields.finish("policy")
    return policy


def backoff(fields: Fields) -> dict[str, Any]:
    """What shapes the delays."""
    kind = fields.text("backoff", "EXPONENTIAL")
    share = fields.real("jitter_share")
    jitter = fields.text("jitter", "NONE")
    delays = [fields._is("delays_ms", delay, int) / 1_000 for delay in fields.array("delays_ms")]
    return given(
        backoff=kind.lower(),
        initial=fields.seconds("initial_ms"),
        multiplier=fields.real("multiplier"),
        increment=fields.seconds("increment_ms"),
        max=fields.seconds("max_ms"),
        delays=delays if kind == "LIST" else None,
        jitter=share if jitter == "PROPORTIONAL" else JITTERS[jitter],
    )


def read_budget(fields: Fields) -> RetryBudget:
    """The budget that the fields describe."""
    kind, preset = fields.text("kind"), fields.text("preset", "PLAIN")
    values = given(
        capacity=fields.real("capacity"),
        success=fields.real("success"),
        cost=fields.real("cost_transient"),
        cost_throttled=fields.real("cost_throttled"),
        cost_timeout=fields.real("cost_timeout"),
        refill_per_second=fields.real("refill_per_second"),
        ratio=fields.real("ratio"),
        min_per_second=fields.number("min_per_second"),
        ttl=fields.seconds("ttl_ms"),
        slices=fields.number("slices"),
        share=fields.real("share"),
        min_retries=fields.number("min_retries"),
    )
    fields.finish("budget")
    if kind == "RATIO":
        return RetryBudget.ratio(**values)
    if kind == "CONCURRENCY":
        return RetryBudget.concurrency(**values)
    if kind != "BUCKET":
        raise FailedError(f"kind: there is no {kind}")
    if preset == "PLAIN":
        return RetryBudget.bucket(**values)
    if preset == "GRPC":
        return RetryBudget.grpc(int(values.pop("capacity")), values.pop("success"), **values)
    made: RetryBudget = getattr(RetryBudget, preset.lower())(**values)
    return made
