"""Retry budgets: what the attempts of one call may cost, all calls together."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import asked, lease_of

from oncegate import (
    AdaptiveBackoff,
    AttemptError,
    Engine,
    Failure,
    ManualClock,
    Request,
    RetryBudget,
    RetryPolicy,
    Scheduled,
    current_lease,
    retrying,
)

AT_ONCE = RetryPolicy(backoff="constant", initial=0, max_attempts=10)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(clock: ManualClock) -> Iterator[Engine]:
    with Engine(private=True, capacity=1_000, clock=clock) as engine:
        yield engine


def bucket(tokens: float, **options: Any) -> RetryBudget:
    """A retry costs one token, and a success brings none, unless something else is said."""
    return RetryBudget.bucket(**{"capacity": tokens, "cost": 1, "success": 0, **options})


class Work:
    """Fails so many times for each order, and then succeeds; counts its attempts."""

    def __init__(self, failures: int, error: Callable[[], Exception] = ConnectionError) -> None:
        self.failures = failures
        self.error = error
        self.attempts: list[str] = []

    def __call__(self, order: str) -> str:
        self.attempts.append(order)
        if self.attempts.count(order) <= self.failures:
            raise self.error()
        return order

    def of(self, engine: Engine, policy: RetryPolicy = AT_ONCE, **options: Any) -> Any:
        """The work, tried again as the policy says."""

        def charge(order: str) -> str:
            return self(order)

        options = {"scope": "acme", "operation": "charge", **options}
        return retrying(engine, policy=policy, key="order", **options)(charge)


ALWAYS = sys.maxsize


def test_a_spent_budget_ends_the_call(engine: Engine, clock: ManualClock) -> None:
    """Goal: retries stop when their budget is spent, and go on when it has been filled.
    Method: two tokens for ten attempts; a call without any; two seconds that bring one each. What
    is raised is the last failure, with a note that says why; the record is free."""
    engine.set_retry_budget(bucket(2, name="payments", refill_per_second=1))
    work = Work(ALWAYS)
    charge = work.of(engine)
    for attempts in (3, 4):
        with pytest.raises(ConnectionError) as raised:
            charge("a")
        assert len(work.attempts) == attempts
        if sys.version_info >= (3, 11):
            assert "retry budget 'payments' is spent" in raised.value.__notes__[0]
    clock.advance(2)
    with pytest.raises(ConnectionError):
        charge("a")
    assert len(work.attempts) == 7
    assert lease_of(engine.begin(Request("charge", "a", scope="acme"))).attempt == 8


def test_other_ends_have_no_note(engine: Engine) -> None:
    """Goal: a budget is blamed for what it refused, and for nothing else. Method: attempts that are
    used up, beside a budget that has tokens left."""
    engine.set_retry_budget(bucket(100))
    policy = RetryPolicy(backoff="constant", initial=0, max_attempts=2)
    with pytest.raises(ConnectionError) as raised:
        Work(ALWAYS).of(engine, policy)("a")
    assert not getattr(raised.value, "__notes__", [])


def test_an_error_that_is_raised_again_has_one_note(engine: Engine) -> None:
    """Goal: notes do not pile up. Method: one object that is raised by each of three calls."""
    engine.set_retry_budget(bucket(1))
    error = ConnectionError()
    charge = Work(ALWAYS, lambda: error).of(engine)
    for _ in range(3):
        with pytest.raises(ConnectionError):
            charge("a")
    assert len(getattr(error, "__notes__", [None])) == 1


def test_a_success_brings_what_it_cost(engine: Engine) -> None:
    """Goal: a retry that succeeds is settled as one. Method: one token, which comes back each time;
    then failures, of which none does."""
    engine.set_retry_budget(bucket(1, refund_cost=True))
    work = Work(1)
    charge = work.of(engine)
    assert [charge(order) for order in "abc"] == ["a", "b", "c"]
    work.failures = ALWAYS
    for attempts in (2, 1):
        before = len(work.attempts)
        with pytest.raises(ConnectionError):
            charge("d")
        assert len(work.attempts) - before == attempts


def test_first_attempts_fill_and_replays_do_not(engine: Engine) -> None:
    """Goal: a share of what runs may be retried, and duplicates run nothing. Method: one retry for
    two first attempts; a replay, many times, brings none."""
    engine.set_retry_budget(RetryBudget.ratio(ratio=0.5, min_per_second=0))
    work = Work(0)
    charge = work.of(engine)
    assert [charge(order) for order in "aaaaaa"] == ["a"] * 6
    work.failures = ALWAYS
    for attempts in (2, 1, 2):
        before = len(work.attempts)
        with pytest.raises(ConnectionError):
            charge(f"order {before}")
        assert len(work.attempts) - before == attempts


@pytest.mark.parametrize("of", [{"scope": "acme"}, {"operation": "charge"}])
def test_budgets_are_of_scopes_and_operations(engine: Engine, of: dict[str, Any]) -> None:
    """Goal: what one may not spend, others may. Method: a tenth of a retry for each
    first attempt of a scope, or of an operation."""
    engine.set_retry_budget(RetryBudget.ratio(ratio=0.1, min_per_second=0), **of)
    bound, free = Work(1), Work(1)
    with pytest.raises(ConnectionError):
        bound.of(engine)("a")
    assert free.of(engine, scope="other", operation="refund")("a") == "a"
    assert (len(bound.attempts), len(free.attempts)) == (1, 2)


@pytest.mark.parametrize(
    ("error", "describe", "attempts"),
    [
        (ConnectionError, None, 5),
        (TimeoutError, None, 3),
        (asyncio.TimeoutError, None, 3),
        (ConnectionError, lambda _: AttemptError("429", kind="throttled"), 2),
        (TimeoutError, lambda _: AttemptError("slow", kind="transient"), 5),
        (TimeoutError, lambda _: None, 3),
        (ConnectionError, lambda _: AttemptError("declined", terminal=True), 1),
        (ConnectionError, lambda _: AttemptError("429", refused=True), 1),
    ],
)
def test_failures_have_their_prices(
    engine: Engine, error: type[Exception], describe: Any, attempts: int
) -> None:
    """Goal: what a retry costs, the failure says. Method: four tokens; errors that may pass cost
    one, timeouts two, and throttling four."""
    engine.set_retry_budget(bucket(4, cost_timeout=2, cost_throttled=4))
    work = Work(ALWAYS, error)
    with pytest.raises(error):
        work.of(engine, describe=describe)("a")
    assert len(work.attempts) == attempts


def test_a_description_that_fails_resolves_the_record(engine: Engine) -> None:
    """Goal: a defect in `describe` is raised, and wedges nothing. Method: one that raises."""

    def describe(error: Exception) -> AttemptError:
        raise LookupError("a defect")

    work = Work(1)
    with pytest.raises(LookupError, match="a defect") as raised:
        work.of(engine, describe=describe)("a")
    # While the traceback is there, and so the lease.
    assert lease_of(engine.begin(Request("charge", "a", scope="acme"))).attempt == 2
    assert raised.value.args == ("a defect",)


def test_what_never_began_is_given_back() -> None:
    """Goal: a task that is cancelled between two attempts costs nothing. Method: one token, paid by
    a task whose next attempt is not due; another one finds it there."""
    slow = RetryPolicy(backoff="constant", initial=10, max_attempts=10)

    async def scene() -> None:
        with Engine(private=True, capacity=1_000, clock=ManualClock()) as engine:
            engine.set_retry_budget(bucket(1))
            work = Work(1)

            async def charge(order: str) -> str:
                return work(order)

            def run(order: str, policy: RetryPolicy) -> asyncio.Task[str]:
                once = retrying(engine, policy=policy, key="order", scope="acme")(charge)
                return asyncio.ensure_future(once(order))

            task = run("a", slow)
            while not work.attempts:
                await asyncio.sleep(0)
            with pytest.raises(ConnectionError):
                await run("b", AT_ONCE)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as cancelled:
                await task
            assert work.attempts == ["a", "b"]
            # While the traceback is there, and so the call's attempts.
            assert await run("c", AT_ONCE) == "c"
            assert cancelled.value.__traceback__ is not None

    asyncio.run(scene())


def test_deadlines_are_the_engine_s_time(engine: Engine, clock: ManualClock) -> None:
    """Goal: a call ends with its policy's deadline, by the engine's clock. Method: attempts of two
    seconds each, with five seconds for all."""
    attempts = []

    def charge() -> str:
        attempts.append(current_lease().attempt)
        clock.advance(2)
        raise ConnectionError

    policy = RetryPolicy(backoff="constant", initial=0, max_attempts=10, deadline=5)
    with pytest.raises(ConnectionError):
        engine.run_with_retries(asked(), charge, policy=policy)
    assert attempts == [1, 2, 3]


def test_what_comes_too_late_is_not_begun(clock: ManualClock) -> None:
    """Goal: an attempt that was waited for beyond the deadline does not run, and costs nothing.
    Method: time passes between a failure and the next attempt."""

    class Slow(Engine):
        def begin(self, *args: Any, **options: Any) -> Any:
            if work.attempts:
                clock.advance(6)
            return super().begin(*args, **options)

    work = Work(1)
    policy = RetryPolicy(backoff="constant", initial=0, max_attempts=10, deadline=5)
    with Slow(private=True, capacity=1_000, clock=clock) as engine:
        engine.set_retry_budget(bucket(1))
        with pytest.raises(ConnectionError):
            work.of(engine, policy)("a")
        assert work.attempts == ["a"]
        assert work.of(engine)("b") == "b"
        assert lease_of(engine.begin(Request("charge", "a", scope="acme"))).attempt == 3


@pytest.mark.parametrize(("deadline", "longest"), [(5, 5), (None, 30)])
def test_nobody_is_waited_for_beyond_the_deadline(
    clock: ManualClock, deadline: float | None, longest: float
) -> None:
    """Goal: between attempts a call waits for others no longer than its deadline allows.
    Method: how long it asks to wait for its second attempt, with a deadline and without one."""
    waits: list[Any] = []

    class Told(Engine):
        def begin(self, *args: Any, **options: Any) -> Any:
            waits.append(options["wait"])
            return super().begin(*args, **options)

    policy = RetryPolicy(backoff="constant", initial=0, max_attempts=2, deadline=deadline)
    with Told(private=True, capacity=64, clock=clock) as engine:
        assert Work(1).of(engine, policy)("a") == "a"
    assert waits == [None, longest]


def test_load_stretches_the_delays_of_a_call(clock: ManualClock) -> None:
    """Goal: adaptive backoff counts in one call, too. Method: a full load, and what a duplicate is
    told of the next attempt while the first call waits for it."""

    async def scene() -> None:
        adaptive = AdaptiveBackoff()
        with Engine(private=True, capacity=64, adaptive_backoff=adaptive, clock=clock) as engine:
            clock.advance(1)
            engine.set_load(1)
            policy = RetryPolicy(backoff="constant", initial=10)
            work = Work(1)

            async def charge() -> str:
                return work("a")

            task = asyncio.ensure_future(
                engine.run_with_retries_async(asked(), charge, policy=policy)
            )
            while not work.attempts:
                await asyncio.sleep(0)
            answer = engine.begin(asked())
            assert isinstance(answer, Scheduled) and answer.due_in == 20
            clock.advance(20)
            assert await task == "a"

    asyncio.run(scene())


def test_a_lost_lease_costs_nothing(engine: Engine, clock: ManualClock) -> None:
    """Goal: a call whose lease was lost does not pay for a successor. Method: one token; the lease
    lapses within the work and another caller takes the record."""
    engine.set_retry_budget(bucket(1))

    def charge() -> str:
        clock.advance(31)
        lease_of(engine.begin(asked())).fail(Failure.retryable())
        raise ConnectionError

    with pytest.raises(ConnectionError):
        engine.run_with_retries(asked(), charge, policy=AT_ONCE, renew=False)
    assert Work(1).of(engine)("b") == "b"
