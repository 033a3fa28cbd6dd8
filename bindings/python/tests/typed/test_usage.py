"""What a user's type checker knows: mypy and pyright read this file strictly, and then it is run.

A name that loses its type, or an answer that is added and not handled, fails before anything runs.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from typing_extensions import assert_never, assert_type

import oncegate
from oncegate import (
    Admitted,
    Engine,
    InProgress,
    Lease,
    Mismatched,
    Outcome,
    OutcomeGone,
    Payload,
    Replayed,
    Request,
    Scheduled,
    Scope,
    Unresolved,
    idempotent,
)


def request(key: str, payload: Payload | None = None) -> Request:
    return Request("POST /charges", key, scope="acme", payload=payload)


def handle(engine: Engine, asked: Request) -> int:
    """Every answer has its class, its parts have their types, and there is no other one."""
    answer = engine.begin(asked, wait=timedelta(0))
    match answer:
        case Admitted(lease):
            assert_type(lease, Lease)
            assert_type(lease.fencing_token, int)
            lease.complete(Outcome(201, b"charged", {"content-type": "text/plain"}))
            return 201
        case Replayed(outcome):
            assert_type(outcome, Outcome)
            assert_type(outcome.body, bytes)
            return outcome.status
        case InProgress(attempt, remaining):
            assert_type(attempt, int)
            assert_type(remaining, float)
            return 409
        case Scheduled(_, due_in):
            assert_type(due_in, float)
            return 409
        case Mismatched():
            return 422
        case Unresolved() | OutcomeGone():
            return 409
        case _:
            assert_never(answer)


def test_each_answer_is_matched_by_its_class() -> None:
    """Goal: a `match` over the answers is complete, and takes them apart. Method: a request that is
    admitted, replayed, in progress and mismatched; the rest is what the checkers prove."""
    with Engine(capacity=1_000) as engine:
        hundred, two = Payload.json(b'{"amount": 100}'), Payload.json(b'{"amount": 200}')
        assert [handle(engine, request("a", hundred)) for _ in range(2)] == [201, 201]
        assert handle(engine, request("a", two)) == 422
        held = engine.begin(request("b"))
        assert isinstance(held, Admitted)
        assert handle(engine, request("b")) == 409
        held.lease.abandon()


def test_decorated_functions_keep_their_types() -> None:
    """Goal: who calls a decorated function gets what it returns, and may pass what it takes.
    Method: a function and a coroutine function, each called twice."""
    with Engine(capacity=1_000) as engine:

        @idempotent(engine, key="order", scope=Scope.SINGLE_TENANT)
        def charge(order: str, cents: int) -> int:
            return cents

        def of_order(order: str) -> str:
            return order

        @idempotent(engine, key="order", scope=of_order)
        async def refund(order: str) -> str:
            return f"refunded {order}"

        assert_type(charge("a", cents=500), int)
        assert charge("a", 500) == 500

        async def twice() -> list[str]:
            return [await refund("a"), await refund("a")]

        assert asyncio.run(twice()) == ["refunded a"] * 2


def test_errors_have_builtin_parents() -> None:
    """Goal: who catches what Python has for such a mistake catches these too. Method: a key that is
    refused, and a request that is declined."""
    with Engine(capacity=1_000) as engine:
        with pytest.raises(ValueError, match="key") as refused:
            request("")
        assert isinstance(refused.value, oncegate.OncegateError)
        assert_type(refused.value.code, int)
        assert_type(refused.value.retry_after, float | None)
        with engine.lease(request("a")) as lease:
            assert_type(lease, Lease)
            with pytest.raises(oncegate.InProgressError) as declined, engine.lease(request("a")):
                pass
            answer = declined.value.admission
            assert isinstance(answer, InProgress)
            assert answer.remaining > 0
