"""Stripe's own client for Python, which repeats its requests by itself, in front of real servers.

It sends the same `Idempotency-Key` with each repetition; connections are cut by a relay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import stripe
from relay import Relay, relayed
from serving import Gate, Server, serve

UVICORN = ("uvicorn", "--fd", "{fd}", "--lifespan", "off", "--log-level", "warning")
PATIENT = 1_000
"""Repetitions that nothing takes which is going to happen."""

Start = Callable[..., AbstractContextManager[tuple[Server, Relay]]]


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own delays, made short; and it writes nothing into the user's home."""
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.005)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 0.02)
    monkeypatch.setattr(stripe, "enable_telemetry", False)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts a server, and a relay in front of it that cuts some connections."""

    @contextmanager
    def started(*cuts: str, app: str = "app", **environment: str) -> Iterator[Any]:
        command = (*UVICORN, f"charging:{app}")
        with serve(tmp_path, *command, **environment) as server, relayed(server.url, *cuts) as way:
            yield server, way

    return started


@contextmanager
def at_gate(folder: Path) -> Iterator[tuple[ThreadPoolExecutor, Gate]]:
    """Threads for clients whose handlers wait at a gate, which is closed before they are waited
    for.
    """
    with ThreadPoolExecutor() as pool, closing(Gate(folder)) as gate:
        yield pool, gate


def client(relay: Relay, account: str = "sk_test_1", retries: int = 3) -> stripe.StripeClient:
    """The SDK, with its own retries, asking through the relay."""
    addresses: Any = {"api": relay.url}
    return stripe.StripeClient(account, base_addresses=addresses, max_network_retries=retries)


def charge(
    relay: Relay,
    key: str | None = None,
    *,
    amount: int = 100,
    account: str = "sk_test_1",
    retries: int = 3,
    **headers: str,
) -> stripe.Charge:
    """Charges, with a key of the SDK's own making where none is given."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client(relay, account, retries).v1.charges.create(
        {"amount": amount, "currency": "usd", "source": "tok_visa"},
        {"idempotency_key": key, "headers": named},
    )


def is_replay(answer: stripe.StripeObject) -> bool:
    """Whether the SDK was told that it is the first answer again."""
    assert answer.last_response is not None
    return answer.last_response.headers.get("idempotent-replayed") == "true"


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_lost_answer_is_charged_once(start: Start, way: str) -> None:
    """Goal: when answers get lost, the SDK sends again by itself, and gets that of the one charge.
    Method: two answers are lost after the charge; both of the SDK's clients."""
    with start("lose", "lose") as (server, relay):
        if way == "sync":
            told = charge(relay)
        else:
            charges = client(relay).v1.charges
            told = asyncio.run(charges.create_async({"amount": 100, "currency": "usd"}))
    assert (told.amount, is_replay(told)) == (100, True)
    assert [(answer.status, answer.is_replay) for answer in relay.seen] == [
        (200, False),
        (200, True),
        (200, True),
    ]
    assert len({answer.key for answer in relay.seen}) == 1
    assert server.effects() == [relay.seen[0].key]


def test_without_the_middleware_it_is_charged_twice(start: Start) -> None:
    """Goal: the test before sees what the middleware is for. Method: the same without it."""
    with start("lose", app="bare") as (server, relay):
        told = charge(relay)
    assert not is_replay(told)
    assert server.effects() == [relay.seen[0].key] * 2


def test_a_resend_that_overlaps_is_told_to_come_back(start: Start, tmp_path: Path) -> None:
    """Goal: while the first request runs, the SDK's repetitions get 409, at which it goes on, until
    it has the outcome. Method: cut its connection while the handler waits, let the handler go on
    after the second 409."""
    with start("hang up") as (server, relay), at_gate(tmp_path) as (pool, gate):
        told = pool.submit(charge, relay, retries=PATIENT, x_gate=gate.path)
        with gate.arrival():
            relay.cut.set()
            relay.until(409)
            relay.until(409)
        assert is_replay(told.result(60))
        assert gate.arrivals() == 0
    assert {answer.status for answer in relay.seen} == {200, 409}
    assert server.effects() == [relay.seen[0].key]


def test_a_conflict_is_one_that_the_sdk_knows(start: Start, tmp_path: Path) -> None:
    """Goal: an SDK that does not repeat tells its caller what the conflict is, by Stripe's name.
    Method: two calls with one key, the second one while the first runs."""
    with start() as (server, relay), at_gate(tmp_path) as (pool, gate):
        first = pool.submit(charge, relay, "key-1", retries=0, x_gate=gate.path)
        with gate.arrival(), pytest.raises(stripe.APIError) as conflict:
            charge(relay, "key-1", retries=0)
        assert not is_replay(first.result(60))
    assert conflict.value.http_status == 409
    assert conflict.value.error is not None
    assert conflict.value.error.code == "idempotency_key_in_use"
    assert server.effects() == ["key-1"]


def test_a_500_is_replayed_as_stripe_does(start: Start) -> None:
    """Goal: with `stripe-v1` an error after the charge stays the answer, however often the SDK
    repeats. Method: a handler that fails after its charge, and three repetitions; and another call
    with the key."""
    with start() as (server, relay):
        for _ in range(2):
            with pytest.raises(stripe.APIError, match="something broke"):
                charge(relay, "key-1", x_first_status="500")
    assert [answer.status for answer in relay.seen] == [500] * 8
    assert [answer.is_replay for answer in relay.seen] == [False] + [True] * 7
    assert server.effects() == ["key-1"]


def test_doubt_is_not_asked_about_again(start: Start) -> None:
    """Goal: where nobody knows whether it was charged, the SDK is told so, and stops at once: its
    repetitions would be answered alike. Method: a 504 that the policy calls unknown."""
    with start(POLICY="doubtful") as (server, relay), pytest.raises(stripe.APIError) as doubt:
        charge(relay, "key-1", x_first_status="504")
    assert doubt.value.error is not None
    assert (doubt.value.http_status, doubt.value.error.code) == (409, "unresolved")
    assert [answer.status for answer in relay.seen] == [504, 409]
    assert server.effects() == ["key-1"]


def test_other_parameters_are_an_idempotency_error(start: Start) -> None:
    """Goal: the same key with another amount raises what the SDK has for it, and is not repeated.
    Method: 100, then 200, in one account; and 200 in another one, which knows nothing of it."""
    with start() as (server, relay):
        first = charge(relay, "key-1")
        with pytest.raises(stripe.IdempotencyError) as error:
            charge(relay, "key-1", amount=200)
        assert (error.value.http_status, relay.requests) == (400, 2)
        assert "another payload" in str(error.value)
        other = charge(relay, "key-1", amount=200, account="sk_test_2")
        assert (other.amount, is_replay(other)) == (200, False)
        again = charge(relay, "key-1")
        assert (again.id, is_replay(again)) == (first.id, True)
    assert server.effects() == ["key-1"] * 2


def test_who_is_not_known_makes_no_records(start: Start) -> None:
    """Goal: a caller without an account gets the SDK's error for that.
    Method: an API key that the service does not know."""
    with start() as (server, relay), pytest.raises(stripe.PermissionError):
        charge(relay, "key-1", account="pk_other")
    assert server.effects() == []


def test_the_second_api_works_alike(start: Start) -> None:
    """Goal: calls of API v2, which are JSON, are protected too, and with `stripe-v2` a failure is
    driven on by the SDK's repetition. Method: a lost answer and other parameters; a 500, which the
    SDK repeats."""
    with start("lose", POLICY="v2") as (server, relay):

        def event(key: str, value: str = "25", **headers: str) -> Any:
            return client(relay).v2.billing.meter_events.create(
                {"event_name": "tokens", "payload": {"value": value}},
                {"idempotency_key": key, "headers": headers},
            )

        told = event("key-1")
        assert (told.event_name, is_replay(told)) == ("tokens", True)
        with pytest.raises(stripe.IdempotencyError):
            event("key-1", "26")
        assert server.effects() == ["key-1"]
        driven = event("key-2", **{"x-first-status": "500"})
        assert not is_replay(driven)
        again = event("key-2", **{"x-first-status": "500"})
        assert (again.identifier, is_replay(again)) == (driven.identifier, True)
    assert server.effects() == ["key-1", "key-2", "key-2"]
    assert [answer.status for answer in relay.seen] == [200, 200, 400, 500, 200, 200]
