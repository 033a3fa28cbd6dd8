"""Retries that the engine sees to: what becomes of an attempt that failed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from support import admitted, asked, lease_of

from oncegate import (
    AttemptError,
    Buried,
    Engine,
    FencedError,
    FullError,
    InvalidInputError,
    ManualClock,
    Outcome,
    QuotaExceededError,
    Replayed,
    RetryBudget,
    RetryPolicy,
    Scheduled,
)

POLICY = RetryPolicy(backoff="list", delays=[5, 10], max_attempts=3)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(clock: ManualClock) -> Iterator[Engine]:
    with Engine(private=True, capacity=20_000, retry_policy=POLICY, clock=clock) as engine:
        yield engine


def test_a_failed_attempt_is_put_off(engine: Engine) -> None:
    """Goal: the engine owns the next attempt. Method: what the holder and a duplicate are told."""
    lease = admitted(engine)
    later = lease.retry_later("503", "charge", b"7")
    assert isinstance(later, Scheduled)
    assert (later.next_attempt, later.due_in) == (2, 5.0)
    assert lease.ended
    answer = engine.begin(asked())
    assert isinstance(answer, Scheduled) and answer.due_in == 5.0
    with pytest.raises(FencedError):
        lease.complete()


def test_attempts_are_used_up(engine: Engine, clock: ManualClock) -> None:
    """Goal: the policy says when to stop. Method: all attempts fail; the last one's outcome is what
    duplicates get."""
    lease = admitted(engine)
    for delay in (5, 10):
        assert isinstance(lease.retry_later("503", "charge"), Scheduled)
        clock.advance(delay)
        attempt = engine.next_attempt(0)
        assert attempt is not None
        lease = attempt.lease
    error = AttemptError("503", outcome=Outcome(502, b"no answer"))
    later = lease.retry_later(error, "charge")
    assert isinstance(later, Buried)
    assert (later.reason, later.kept, later.budget, later.refills_in) == (
        "attempts", True, None, None,
    )  # fmt: skip
    assert lease.ended
    replay = engine.begin(asked())
    assert isinstance(replay, Replayed)
    assert (replay.status, replay.body) == (502, b"no answer")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (AttemptError("503"), 5.0),
        (AttemptError("429", kind="throttled", retry_after=7), 7.0),
        (AttemptError("429", retry_after=timedelta(minutes=1)), 60.0),
        (AttemptError("429", retry_after="30"), 30.0),
        (AttemptError("429", retry_after="Thu, 01 Jan 1970 00:00:00 GMT"), 0.0),
        (AttemptError("429", retry_after="whenever"), 5.0),
        (AttemptError("declined", terminal=True), "final_error"),
        (AttemptError("429", refused=True), "final_error"),
    ],
)
def test_what_the_service_said_is_followed(
    engine: Engine, error: AttemptError, expected: float | str
) -> None:
    """Goal: an error carries what is known about the next attempt. Method: each thing once."""
    later = admitted(engine).retry_later(error, "charge")
    said = later.due_in if isinstance(later, Scheduled) else later.reason
    assert said == expected


@pytest.mark.parametrize(
    "date",
    [
        "Wed, 01 Jan 2020 00:01:00 GMT",
        "Wednesday, 01-Jan-20 00:01:00 GMT",
        "Wed Jan  1 00:01:00 2020",
    ],
)
def test_a_date_to_come_is_waited_for(engine: Engine, clock: ManualClock, date: str) -> None:
    """Goal: a `Retry-After` may be a date, and is one of the engine's clock. Method: in each form
    one that is a minute away, 45 seconds, and past; a clock of a test begins with 2020."""
    error = AttemptError("429", retry_after=date)
    for key, step, due_in in (("1", 0, 60.0), ("2", 15, 45.0), ("3", 60, 0.0)):
        clock.advance(step)
        later = admitted(engine, key).retry_later(error, "charge")
        assert isinstance(later, Scheduled)
        assert later.due_in == due_in


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "odd"},
        {"retry_after": -1},
        {"retry_after": 1, "refused": True},
    ],
)
def test_errors_are_checked(wrong: dict[str, Any]) -> None:
    """Goal: an error that says nothing sensible is refused. Method: each option, out of range."""
    with pytest.raises(InvalidInputError):
        AttemptError("503", **wrong)


@pytest.mark.parametrize(
    ("error", "operation", "context"),
    [
        ("", "charge", b""),
        ("x" * 33, "charge", b""),
        ("503", "", b""),
        ("503", "o" * 256, b""),
        ("503", "charge", b"c" * 5_000),
    ],
)
def test_a_refused_argument_leaves_the_lease(
    engine: Engine, error: str, operation: str, context: bytes
) -> None:
    """Goal: what is refused ends nothing. Method: each argument, then a call that is right."""
    lease = admitted(engine)
    with pytest.raises(InvalidInputError):
        lease.retry_later(error, operation, context)
    assert not lease.ended
    assert isinstance(lease.retry_later("503", "charge"), Scheduled)


def test_no_room_leaves_the_lease(clock: ManualClock) -> None:
    """Goal: where no more can be retried the holder is told, and may end his attempt otherwise.
    Method: a table with room for few."""
    with Engine(private=True, capacity=1_000, max_retrying=16, clock=clock) as engine:
        leases = [admitted(engine, str(number)) for number in range(64)]
        with pytest.raises(FullError) as full:
            for lease in leases:
                lease.retry_later("503", "charge")
        assert full.value.field == "max_retrying"
        refused = next(lease for lease in leases if not lease.ended)
        assert refused.complete() == "stored"


def test_a_lost_lease_is_not_put_off(engine: Engine, clock: ManualClock) -> None:
    """Goal: only the holder puts his attempt off. Method: after a lapse that another one used."""
    slow = admitted(engine)
    clock.advance(31)
    quick = admitted(engine)
    with pytest.raises(FencedError):
        slow.retry_later("timeout", "charge")
    assert slow.ended
    assert quick.complete(b"quick") == "stored"


def test_operations_have_policies_of_their_own(engine: Engine) -> None:
    """Goal: a policy is an operation's. Method: one with, one without; then it is replaced."""
    engine.set_operation("mail", policy=RetryPolicy(backoff="constant", initial=77))
    for key, operation, due_in in [("1", "mail", 77.0), ("2", "charge", 5.0)]:
        later = admitted(engine, key).retry_later("503", operation)
        assert isinstance(later, Scheduled) and later.due_in == due_in
    engine.set_operation("mail", policy=RetryPolicy(backoff="constant", initial=8))
    later = admitted(engine, "3").retry_later("503", "mail")
    assert isinstance(later, Scheduled) and later.due_in == 8.0
    with pytest.raises(InvalidInputError):
        engine.set_operation("", max_in_flight=1)
    with pytest.raises(InvalidInputError):
        engine.set_operation("mail", max_in_flight=0)


def test_a_bulkhead_holds(engine: Engine, clock: ManualClock) -> None:
    """Goal: a service that hangs does not take all workers. Method: two attempts at a time of one
    operation, while another one goes on."""
    engine.set_operation("slow", max_in_flight=2)
    for number in range(4):
        admitted(engine, f"slow{number}").retry_later("503", "slow")
    admitted(engine, "quick").retry_later("503", "quick")
    clock.advance(5)
    found = engine.next_attempts(10, 0)
    assert sorted(attempt.operation for attempt in found) == ["quick", "slow", "slow"]
    next(attempt for attempt in found if attempt.operation == "slow").lease.complete()
    assert len(engine.next_attempts(10, 0)) == 1


def test_a_deadline_ends_retries(engine: Engine, clock: ManualClock) -> None:
    """Goal: nothing is scheduled that cannot end in time. Method: a policy of twelve seconds."""
    policy = RetryPolicy(backoff="constant", initial=10, max_attempts=9, deadline=12)
    engine.set_operation("charge", policy=policy)
    assert isinstance(admitted(engine).retry_later("503", "charge"), Scheduled)
    clock.advance(10)
    attempt = engine.next_attempt(0)
    assert attempt is not None
    later = attempt.lease.retry_later("503", "charge")
    assert isinstance(later, Buried) and later.reason == "deadline"


def test_an_attempt_timeout_is_its_lease(engine: Engine, clock: ManualClock) -> None:
    """Goal: an attempt that hangs is retried. Method: its lease lasts as long as its timeout."""
    policy = RetryPolicy(backoff="constant", initial=1, max_attempts=9, attempt_timeout=3)
    engine.set_operation("charge", policy=policy)
    admitted(engine).retry_later("503", "charge")
    clock.advance(1)
    attempt = engine.next_attempt(0)
    assert attempt is not None and attempt.lease.remaining == 3.0
    clock.advance(3)
    assert engine.next_attempt(0) is None
    clock.advance(1)
    again = engine.next_attempt(0)
    assert again is not None and again.lease.attempt == 3
    with pytest.raises(FencedError):
        attempt.lease.complete()


def budgets() -> dict[str, RetryBudget]:
    return {
        "bucket": RetryBudget.bucket(name="bucket", capacity=2, cost=1, success=0),
        "grpc": RetryBudget.grpc(4, 0.1, name="grpc"),
        "ratio": RetryBudget.ratio(name="ratio", ratio=0, min_per_second=0),
        "concurrency": RetryBudget.concurrency(name="concurrency", share=0, min_retries=1),
    }


@pytest.mark.parametrize("kind", sorted(budgets()))
@pytest.mark.parametrize("level", ["engine", "scope", "operation"])
def test_a_spent_budget_buries(engine: Engine, kind: str, level: str) -> None:
    """Goal: all requests together make as many retries as the budget pays for.
    Method: each kind at each level; requests fail until it is spent, and it tells its name."""
    budget = budgets()[kind]
    assert budget.name == kind
    places: dict[str, dict[str, Any]] = {
        "engine": {},
        "scope": {"scope": "acme"},
        "operation": {"operation": "charge"},
    }
    engine.set_retry_budget(budget, **places[level])
    said = [admitted(engine, str(number)).retry_later("503", "charge") for number in range(4)]
    spent = [later for later in said if isinstance(later, Buried)]
    assert spent
    assert {(later.reason, later.budget) for later in spent} == {("budget", kind)}
    if level == "scope":
        engine.remove_retry_budget("acme")
        assert isinstance(admitted(engine, "more").retry_later("503", "charge"), Scheduled)
    if level == "engine":
        return
    other = lease_of(engine.begin(asked(scope="other", operation="mail")))
    assert isinstance(other.retry_later("503", "mail"), Scheduled)


def test_budgets_of_others_are_presets() -> None:
    """Goal: published budgets have their names here. Method: each is made, and named."""
    for budget in (
        RetryBudget.aws_standard(name="b"),
        RetryBudget.aws_2026(name="b"),
        RetryBudget.grpc(name="b"),
        RetryBudget.ratio(name="b"),
        RetryBudget.concurrency(name="b"),
        RetryBudget.bucket(name="b", charge="failure", threshold=50, refund_cost=True),
    ):
        assert repr(budget) == 'RetryBudget("b")'


def test_budgets_are_checked(engine: Engine) -> None:
    """Goal: a budget that cannot be is refused by its field. Method: some out of range, two places
    at once, and more scopes than there may be."""
    wrong: list[Any] = [
        lambda: RetryBudget.bucket(capacity=0),
        lambda: RetryBudget.grpc(0, 0.1),
        lambda: RetryBudget.ratio(ratio=-1),
        lambda: RetryBudget.ratio(ttl=-1),
        lambda: RetryBudget.concurrency(share=2),
        lambda: engine.set_retry_budget(RetryBudget.grpc(), scope="a", operation="b"),
    ]
    for call in wrong:
        with pytest.raises(InvalidInputError):
            call()
    budget = RetryBudget.ratio()
    with pytest.raises(QuotaExceededError):
        for number in range(2_000):
            engine.set_retry_budget(budget, scope=str(number))


def test_services_below_are_told_who_calls(engine: Engine) -> None:
    """Goal: an attempt tells services below who it is. Method: keys and headers over attempts."""
    lease = admitted(engine)
    key, headers = lease.downstream_key("payments"), lease.headers("payments")
    assert headers == {
        "idempotency-key": f'"{key}"',
        "idempotency-attempt": "1",
        "fencing-token": str(lease.fencing_token),
    }
    others = {
        lease.downstream_key("mail"),
        lease.downstream_key("payments", "charge"),
        lease.downstream_key("payments", "ship"),
        admitted(engine, "other").downstream_key("payments"),
    }
    assert len(others | {key}) == 5 and all(len(other) == 43 for other in others)
    lease.fail()
    again = admitted(engine)
    assert again.downstream_key("payments") == key
    assert again.headers("payments")["idempotency-attempt"] == "2"
    with pytest.raises(FencedError):
        lease.downstream_key("payments")
    with pytest.raises(InvalidInputError):
        again.headers("")
