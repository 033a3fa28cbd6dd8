"""Statistics: what is counted, and what is there."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support import admitted, asked, lease_of

from oncegate import (
    AttemptError,
    Engine,
    Failure,
    FencedError,
    FullError,
    Latency,
    Lease,
    Live,
    ManualClock,
    Quota,
    QuotaExceededError,
    RetryPolicy,
    RetryStats,
    Stats,
)

DAY = 86_400


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(clock: ManualClock) -> Iterator[Engine]:
    policy = RetryPolicy(backoff="constant", initial=5)
    with Engine(private=True, capacity=10_000, clock=clock, retry_policy=policy) as engine:
        yield engine


def test_each_answer_is_counted(engine: Engine, clock: ManualClock) -> None:
    """Goal: every answer has its counter. Method: one of each kind, then all counters."""
    admitted(engine, "done").complete(b"7")
    running = admitted(engine, "running")
    admitted(engine, "failed").fail(Failure.retryable(5))
    admitted(engine, "unknown").fail(Failure.unknown())
    admitted(engine, "large").complete(b"x" * 100_000)
    for key in ("done", "running", "failed", "unknown", "large"):
        engine.begin(asked(key))
    engine.begin(asked("done", b"other"))
    clock.advance(5)
    admitted(engine, "failed").abandon()
    stats = engine.stats()
    assert isinstance(stats, Stats)
    assert (stats.begun, stats.created, stats.completed) == (12, 5, 2)
    assert stats.reused == 5
    assert (stats.replayed, stats.in_progress, stats.scheduled) == (1, 1, 1)
    assert (stats.unresolved, stats.outcome_gone, stats.mismatched) == (1, 1, 1)
    assert (stats.retried, stats.fenced, stats.full, stats.quota) == (1, 0, 0, 0)
    clock.advance(60)
    admitted(engine, "running").complete(b"")
    with pytest.raises(FencedError):
        running.complete(b"")
    stats = engine.stats()
    assert (stats.fenced, stats.lapsed, stats.expired) == (1, 1, 1)


def test_what_gives_way_is_counted(clock: ManualClock) -> None:
    """Goal: an operator sees that a table is too small. Method: tables that are, in each way: too
    many records, too many bytes, nothing that may give way, and a scope's share."""
    with Engine(private=True, capacity=16, clock=clock) as engine:
        for number in range(100):
            admitted(engine, str(number)).complete(b"")
        early = engine.stats().evicted_early
        assert early > 0 == engine.stats().evicted_expired
        clock.advance(3 * DAY)
        for number in range(100, 110):
            admitted(engine, str(number)).complete(b"")
        stats = engine.stats()
        assert stats.evicted_early == early and stats.evicted_expired > 0
    with Engine(private=True, capacity=1_000, clock=clock, outcome_bytes=200_000) as engine:
        for number in range(200):
            admitted(engine, str(number)).complete(b"x" * 3_000)
        stats = engine.stats()
        assert stats.outcomes_evicted > 100 and stats.outcomes_carried == 0
        assert 0.5 < stats.outcome_fill <= 1
    with Engine(private=True, capacity=1_000, clock=clock, outcome_bytes=200_000) as engine:
        lease_of(engine.begin(asked("long"), dedup_window=40 * DAY)).complete(b"x" * 3_000)
        for number in range(200):
            admitted(engine, str(number)).complete(b"x" * 3_000)
            clock.advance(DAY / 10)
        stats = engine.stats()
        assert stats.outcomes_evicted == 0 < stats.outcomes_carried
    with Engine(private=True, capacity=16, clock=clock, on_full="reject") as engine:
        leases: list[Lease] = []
        with pytest.raises(FullError):
            leases.extend(admitted(engine, str(number)) for number in range(100))
        assert (engine.stats().full, engine.stats().quota) == (1, 0)
    with Engine(private=True, capacity=16, clock=clock, default_quota=Quota(max_live=1)) as engine:
        admitted(engine, "1").complete()
        with pytest.raises(QuotaExceededError):
            admitted(engine, "2")
        assert (engine.stats().full, engine.stats().quota) == (0, 1)


def test_records_are_there_by_state(engine: Engine) -> None:
    """Goal: levels say what the table holds. Method: one record in each state."""
    admitted(engine, "succeeded").complete(b"7")
    running = admitted(engine, "running")
    admitted(engine, "waiting").fail()
    admitted(engine, "failed").fail(Failure.terminal(b"no"))
    admitted(engine, "unknown").fail(Failure.unknown())
    stats = engine.stats()
    assert isinstance(stats.live, Live)
    assert stats.live.as_dict() == {
        "running": 1, "waiting": 1, "succeeded": 1, "failed": 1, "unknown": 1,
    }  # fmt: skip
    assert stats.fill == pytest.approx(5 / 10_000)
    assert stats.bytes > 1_000_000 and 0 <= stats.outcome_fill <= 1
    del running


def test_retries_are_counted(engine: Engine, clock: ManualClock) -> None:
    """Goal: the scheduler tells what it does. Method: put off, ready, in flight, buried, redriven,
    discarded."""
    admitted(engine, "1").retry_later("503", "charge")
    admitted(engine, "2").retry_later("503", "charge")
    assert (engine.stats().retries.scheduled, engine.stats().retries.retrying) == (2, 2)
    clock.advance(6)
    engine.advance()
    assert engine.stats().retries.ready == 2
    first, second = engine.next_attempts(2, 0)
    retries = engine.stats().retries
    assert isinstance(retries, RetryStats)
    assert (retries.in_flight, retries.ready) == (2, 0)
    assert isinstance(retries.dispatch_lag, Latency)
    for attempt in (first, second):
        attempt.lease.retry_later(AttemptError("declined", terminal=True), "charge")
    assert engine.stats().retries.dead_letters == 2
    one, other = engine.dead_letters()
    engine.redrive(one)
    engine.discard(other)
    retries = engine.stats().retries
    assert (retries.buried, retries.redriven, retries.discarded) == (2, 1, 1)


def test_statistics_are_plain(engine: Engine) -> None:
    """Goal: exporters take them as they are. Method: a dict that JSON has, with all attributes."""
    for number in range(5_000):
        engine.begin(asked(str(number % 10)))
    stats = engine.stats()
    told = stats.as_dict()
    assert json.loads(json.dumps(told)) == told
    public = {name for name in dir(stats) if not name.startswith("_")} - {"as_dict"}
    assert set(told) == public
    assert told["live"]["running"] == stats.live.running == 0
    assert 0 < stats.begin.p50 <= stats.begin.p99 <= stats.begin.p999 < 1
    assert repr(stats.live).startswith("Live({'running'")
