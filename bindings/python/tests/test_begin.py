"""Begin: every answer, and what its options change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support import admitted, asked, lease_of

from oncegate import (
    Admitted,
    ClosedError,
    Engine,
    Failure,
    FullError,
    InProgress,
    InvalidInputError,
    Lease,
    ManualClock,
    Mismatched,
    OncegateError,
    Outcome,
    OutcomeGone,
    Prepared,
    Quota,
    QuotaExceededError,
    RegionError,
    Replayed,
    Request,
    Scheduled,
    Unresolved,
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(clock: ManualClock) -> Iterator[Engine]:
    with Engine(private=True, capacity=1_000, clock=clock) as engine:
        yield engine


def test_a_new_request_is_admitted(engine: Engine) -> None:
    """Goal: nobody runs it, so that the caller does. Method: what its lease says."""
    lease = admitted(engine)
    assert (lease.attempt, lease.status, lease.ended) == (1, "created", False)
    assert lease.remaining == engine.lease_duration == 30.0


def test_a_finished_request_is_replayed(engine: Engine) -> None:
    """Goal: duplicates get what the first run left. Method: status, bytes and metadata of it."""
    outcome = Outcome(201, b"made", {"location": "/charges/7"})
    assert admitted(engine).complete(outcome) == "stored"
    replay = engine.begin(asked())
    assert isinstance(replay, Replayed)
    assert (replay.status, replay.body, replay.outcome) == (201, b"made", outcome)
    assert replay.metadata == [("location", "/charges/7")]


def test_a_running_request_is_in_progress(engine: Engine, clock: ManualClock) -> None:
    """Goal: duplicates meet the lease. Method: its number and what is left of it."""
    lease = admitted(engine)
    clock.advance(10)
    answer = engine.begin(asked())
    assert isinstance(answer, InProgress)
    assert (answer.attempt, answer.remaining) == (1, 20.0)
    lease.abandon()
    assert lease_of(engine.begin(asked())).attempt == 2


def test_a_failed_request_is_scheduled(engine: Engine, clock: ManualClock) -> None:
    """Goal: nobody runs it before it is due. Method: before, at, and after the delay."""
    admitted(engine).fail(Failure.retryable(timedelta(seconds=5)))
    clock.advance(2)
    answer = engine.begin(asked())
    assert isinstance(answer, Scheduled)
    assert (answer.next_attempt, answer.due_in) == (2, 3.0)
    clock.advance(3)
    assert lease_of(engine.begin(asked())).status == "retried"


def test_another_payload_is_a_mismatch(engine: Engine) -> None:
    """Goal: a key names one request, while it runs and after. Method: both, with other bytes."""
    lease = lease_of(engine.begin(asked(payload=b"1")))
    assert isinstance(engine.begin(asked(payload=b"2")), Mismatched)
    lease.complete(b"")
    assert isinstance(engine.begin(asked(payload=b"2")), Mismatched)


def test_an_unknown_effect_is_unresolved(engine: Engine) -> None:
    """Goal: what may have happened does not run again. Method: a failure that is unknown."""
    admitted(engine).fail(Failure.unknown())
    assert isinstance(engine.begin(asked()), Unresolved)


def test_bytes_that_are_not_kept_are_gone(engine: Engine) -> None:
    """Goal: what has finished does not run again, even where its bytes are not there.
    Method: withheld, and larger than the limit."""
    assert admitted(engine, "a").complete(Outcome.withheld(200)) == "without_bytes"
    assert admitted(engine, "b").complete(b"x" * 100_000) == "without_bytes"
    assert isinstance(engine.begin(asked("a")), OutcomeGone)
    assert isinstance(engine.begin(asked("b")), OutcomeGone)


def test_a_failure_for_good_is_replayed(engine: Engine) -> None:
    """Goal: what failed for good does not run again. Method: duplicates get its outcome."""
    admitted(engine).fail(Failure.terminal(Outcome(402, b"declined")))
    replay = engine.begin(asked())
    assert isinstance(replay, Replayed)
    assert (replay.status, replay.body) == (402, b"declined")


def test_a_window_ends(engine: Engine, clock: ManualClock) -> None:
    """Goal: after the dedup window it is a new request. Method: that of the call, to the edge."""
    lease_of(engine.begin(asked(), dedup_window=60)).complete(b"")
    clock.advance(59)
    assert isinstance(engine.begin(asked()), Replayed)
    clock.advance(2)
    assert lease_of(engine.begin(asked())).status == "expired"


@pytest.mark.parametrize("policy", ["reclaim", "unknown", "failed"])
def test_a_lapse_is_what_the_policy_says(engine: Engine, clock: ManualClock, policy: Any) -> None:
    """Goal: each policy for a lapse is its own answer. Method: a lease of one second, lapsed."""
    lease = lease_of(engine.begin(asked(), lease_duration=1, on_lapse=policy))
    clock.advance(1.5)
    answer = engine.begin(asked())
    expected = {"reclaim": Admitted, "unknown": Unresolved, "failed": Replayed}[policy]
    assert isinstance(answer, expected), answer
    del lease


def test_what_is_due_is_a_callers_or_a_workers(engine: Engine, clock: ManualClock) -> None:
    """Goal: what the engine retries is not a caller's unless he says so.
    Method: the same call without and with `run_due`, when it is due."""
    scheduled = admitted(engine).retry_later("503", "charge")
    assert isinstance(scheduled, Scheduled)
    clock.advance(scheduled.due_in)
    assert isinstance(engine.begin(asked()), Scheduled)
    assert lease_of(engine.begin(asked(), run_due=True)).attempt == 2


def test_a_batch_answers_in_order(engine: Engine) -> None:
    """Goal: many requests in one call, each with its answer, and what is refused beside the others.
    Method: new, running, finished, prepared, and one whose key breaks the rules."""
    admitted(engine, "finished").complete(b"7")
    running = admitted(engine, "running")
    prepared = engine.prepare(asked("finished"))
    requests: list[Request | Prepared] = [
        asked("new"),
        asked("running"),
        asked("finished"),
        prepared,
    ]
    answers = engine.begin_batch(requests, lease_duration=5)
    kinds = [type(answer) for answer in answers]
    assert kinds == [Admitted, InProgress, Replayed, Replayed]
    first = answers[0]
    assert isinstance(first, Admitted)
    assert first.lease.remaining == 5.0
    del running
    assert engine.begin_batch([]) == []


def test_a_batch_says_what_is_wrong_with_one() -> None:
    """Goal: one refused request does not take the others with it. Method: a scope without room."""
    quota = Quota(max_live=1)
    with Engine(private=True, capacity=1_000, default_quota=quota) as engine:
        answers = engine.begin_batch([asked("1"), asked("2"), asked("3", scope="other")])
    first, second, third = answers
    assert isinstance(first, Admitted)
    assert isinstance(second, QuotaExceededError)
    assert isinstance(third, Admitted)


def test_a_prepared_request_is_asked_again(engine: Engine) -> None:
    """Goal: a prepared request is the request. Method: it meets what that one left."""
    prepared = engine.prepare(asked())
    lease = lease_of(prepared.begin())
    assert isinstance(engine.begin(asked()), InProgress)
    lease.complete(b"7")
    first, second = prepared.begin(), prepared.begin()
    assert isinstance(first, Replayed) and isinstance(second, Replayed)
    assert first.body == second.body == b"7"
    assert len(prepared.fingerprint) == 32


def test_a_prepared_request_tells_what_is_stored_now(engine: Engine, clock: ManualClock) -> None:
    """Goal: a replay is told again as the object that told it, and never after the outcome has
    changed. Method: the same request finishes again after its window, with one thing different."""
    prepared = engine.prepare(asked())
    outcomes = [
        Outcome(200, b"7"),
        Outcome(201, b"7"),
        Outcome(201, b"8"),
        Outcome(201, b"8", {"location": "/8"}),
        Outcome(201, b"/8", {"location": ""}),
    ]
    for outcome in outcomes:
        lease_of(prepared.begin()).complete(outcome)
        first, second = prepared.begin(), engine.begin(prepared)
        assert isinstance(first, Replayed)
        assert first is second
        assert first.outcome == outcome
        clock.advance(timedelta(days=2))


def test_a_full_table_refuses() -> None:
    """Goal: where nothing may give way there is no room, and no wrong answer.
    Method: leases until the table is full."""
    with Engine(private=True, capacity=16, on_full="reject") as engine:
        leases: list[Lease] = []
        with pytest.raises(FullError) as full:
            leases.extend(admitted(engine, str(number)) for number in range(1_000))
        assert full.value.retriable
        assert isinstance(full.value, RuntimeError)


def test_quotas_hold_per_scope(engine: Engine) -> None:
    """Goal: a scope that used its share is refused, and no other. Method: by number and by rate;
    without the quota it goes on."""
    engine.set_quota("acme", Quota(rate=1, burst=2))
    admitted(engine, "1").complete(b"")
    admitted(engine, "2").complete(b"")
    with pytest.raises(QuotaExceededError) as refused:
        engine.begin(asked("3"))
    assert refused.value.retry_after is not None and 0 < refused.value.retry_after <= 1
    assert isinstance(engine.begin(asked("3", scope="other")), Admitted)
    engine.remove_quota("acme")
    assert isinstance(engine.begin(asked("3")), Admitted)


@pytest.mark.parametrize("option", ["wait", "lease_duration", "dedup_window"])
@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), timedelta(seconds=-1)])
def test_durations_are_checked(engine: Engine, option: str, wrong: Any) -> None:
    """Goal: what is no duration is refused by its name. Method: each option, each kind."""
    with pytest.raises(InvalidInputError) as refused:
        engine.begin(asked(), **{option: wrong})
    assert refused.value.field == option


def test_options_are_checked() -> None:
    """Goal: an engine that cannot be is not opened, and says why. Method: some fields."""
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"capacity": 0}, "capacity"),
        ({"outcome_limit": 5_000_000}, "outcome_limit"),
        ({"lease_duration": 0}, "lease_duration"),
        ({"on_lapse": "explode"}, "on_lapse"),
        ({"path": "table", "private": True}, "private"),
        ({"secret": b"short"}, "secret"),
    ]
    for options, field in wrong:
        with pytest.raises(InvalidInputError) as refused:
            Engine(**options)
        assert refused.value.field == field


def test_tables_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """Goal: a file is not opened with other sizes. Method: another capacity."""
    path = tmp_path / "table"
    with Engine(path=path, capacity=1_000) as engine:
        admitted(engine).complete(b"7")
        with Engine(path=str(path), capacity=1_000) as other:
            assert isinstance(other.begin(asked()), Replayed)
        with pytest.raises(RegionError) as refused:
            Engine(path=path, capacity=2_000)
        assert isinstance(refused.value, OSError)


def test_a_closed_engine_begins_nothing(engine: Engine) -> None:
    """Goal: after `close` nothing begins, and what runs may end. Method: each kind of call."""
    lease = admitted(engine)
    prepared = engine.prepare(asked())
    engine.close()
    engine.close()
    assert engine.closed
    for call in (lambda: engine.begin(asked()), prepared.begin, lambda: engine.stats()):
        with pytest.raises(ClosedError) as closed:
            call()
        assert isinstance(closed.value, OncegateError)
    assert lease.complete(b"") == "stored"


def test_secrets_rotate(clock: ManualClock) -> None:
    """Goal: records of before a rotation are found after it. Method: one, by both secrets."""
    with Engine(private=True, capacity=1_000, clock=clock, secret=b"1" * 32) as engine:
        admitted(engine).complete(b"7")
        before = engine.prepare(asked()).fingerprint
        engine.rotate_secret(b"2" * 32)
        assert isinstance(engine.begin(asked()), Replayed)
        assert engine.prepare(asked()).fingerprint != before
