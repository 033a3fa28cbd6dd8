"""`@retrying`: attempts of one call, by policy, and never two at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from oncegate import (
    Admitted,
    Engine,
    ErrorPolicy,
    Failure,
    InProgressError,
    Request,
    RetryPolicy,
    RunFailedError,
    Scheduled,
    current_lease,
    idempotent,
    retrying,
)

QUICK = RetryPolicy(backoff="constant", initial=0.01, jitter="none", max_attempts=4)


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(capacity=1_000, precise_clock=True) as engine:
        yield engine


def test_it_is_tried_until_it_succeeds(engine: Engine) -> None:
    """Goal: a failure that passes is not seen by the caller, and the result is stored.
    Method: two failures, each an attempt with a higher fencing token; then a duplicate."""
    attempts: list[tuple[int, int]] = []

    @retrying(engine, policy=QUICK, key="order", scope="acme")
    def charge(order: str) -> str:
        attempts.append((current_lease().attempt, current_lease().fencing_token))
        if len(attempts) < 3:
            raise ConnectionError
        return "receipt"

    assert [charge("a"), charge("a")] == ["receipt", "receipt"]
    assert [attempt for attempt, _ in attempts] == [1, 2, 3]
    assert attempts == sorted(set(attempts))


def test_the_last_failure_is_raised(engine: Engine) -> None:
    """Goal: a policy has an end, after which the next call starts anew.
    Method: work that always fails, counted in two calls."""
    attempts: list[int] = []

    @retrying(engine, policy=QUICK, key="order", scope="acme")
    def charge(order: str) -> str:
        attempts.append(current_lease().attempt)
        raise ConnectionError(f"attempt {attempts[-1]}")

    for last in ("attempt 4", "attempt 8"):
        with pytest.raises(ConnectionError, match=last):
            charge("a")
    assert attempts == [1, 2, 3, 4, 5, 6, 7, 8]


def test_what_is_final_is_not_tried_again(engine: Engine) -> None:
    """Goal: a declined card is declined once. Method: one final error, and one in doubt."""
    attempts = []

    @retrying(
        engine,
        policy=QUICK,
        scope="acme",
        errors=ErrorPolicy(final=ValueError, unknown=TimeoutError),
    )
    def charge(kind: type[Exception]) -> str:
        attempts.append(kind)
        raise kind

    # A class is no argument that tells calls apart.
    named = retrying(
        engine,
        policy=QUICK,
        key=lambda kind: kind.__name__,
        scope="acme",
        errors=ErrorPolicy(final=ValueError, unknown=TimeoutError),
    )(charge.__wrapped__)  # type: ignore[attr-defined] # by functools.wraps
    for kind in (ValueError, TimeoutError):
        with pytest.raises(kind):
            named(kind)
    with pytest.raises(RunFailedError):
        named(ValueError)
    assert attempts == [ValueError, TimeoutError]


def test_a_service_says_when(engine: Engine) -> None:
    """Goal: a `Retry-After` is followed. Method: an hour, which no deadline of a minute allows, and
    a hundredth of a second; where nothing is said the policy's own delays count."""
    policy = RetryPolicy(
        backoff="constant", initial=0.01, jitter="none", max_attempts=3, deadline=60, hint_max=7_200
    )
    attempts: list[str] = []

    def charge(said: str) -> str:
        attempts.append(said)
        raise ConnectionError(said)

    def hint(error: Exception) -> float | None:
        return float(str(error)) if str(error) else None

    said = retrying(engine, policy=policy, key="said", scope="acme", retry_after=hint)(charge)
    for value in ("3600", "0.01"):
        with pytest.raises(ConnectionError):
            said(value)
    assert attempts == ["3600", "0.01", "0.01", "0.01"]


def test_nobody_runs_between_two_attempts(engine: Engine) -> None:
    """Goal: while one caller's next attempt is not due, no other caller runs.
    Method: another call between the attempts, which is answered that it is scheduled."""
    slow = RetryPolicy(backoff="constant", initial=0.2, jitter="none", max_attempts=2)
    failed = threading.Event()
    runs = []

    def work(order: str) -> int:
        runs.append(current_lease().attempt)
        if len(runs) == 1:
            failed.set()
            raise ConnectionError
        return len(runs)

    first = retrying(engine, policy=slow, key="order", scope="acme", operation="charge")(work)
    other = idempotent(engine, key="order", scope="acme", operation="charge")(work)
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(first("a")))
    thread.start()
    assert failed.wait(30)
    request = Request("charge", "a", scope="acme")
    while not isinstance(engine.begin(request), Scheduled):
        assert len(runs) == 1
    with pytest.raises(Exception, match="attempt 2 is due in"):
        other("a")
    thread.join()
    assert (results, runs) == ([2], [1, 2])


def test_coroutines_are_tried_again() -> None:
    """Goal: the same on an event loop, which goes on meanwhile. Method: five tasks, one work."""

    async def scene() -> None:
        with Engine(capacity=1_000, precise_clock=True) as engine:
            attempts: list[int] = []

            @retrying(engine, policy=QUICK, key="order", scope="acme", wait=30)
            async def charge(order: str) -> int:
                attempts.append(current_lease().attempt)
                await asyncio.sleep(0)
                if len(attempts) < 3:
                    raise ConnectionError
                return 7

            assert await asyncio.gather(*(charge("a") for _ in range(5))) == [7] * 5
            assert attempts == [1, 2, 3]

    asyncio.run(scene())


def test_a_duplicate_of_a_running_attempt_is_told(engine: Engine) -> None:
    """Goal: a first call finds another's attempt as without retries. Method: a lease is held."""
    held = engine.begin(Request("charge", "a", scope="acme"))
    assert isinstance(held, Admitted)

    @retrying(engine, policy=QUICK, key="order", scope="acme", operation="charge")
    def charge(order: str) -> int:
        return 1

    with pytest.raises(InProgressError):
        charge("a")
    held.lease.fail(Failure.retryable())
    assert charge("a") == 1
