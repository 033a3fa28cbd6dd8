"""Event loops that are not asyncio's, as trio's: waits are refused, and all else runs."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest
from support import admitted, asked

from oncegate import Admitted, Engine, NoEventLoopError, Replayed, RetryPolicy, idempotent, retrying

T = TypeVar("T")


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(private=True, capacity=1_000) as engine:
        yield engine


def driven(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine comes to that waits for nothing: by hand, without a loop of asyncio's."""
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    value: T = stopped.value.value
    return value


def refused(coroutine: Coroutine[Any, Any, Any]) -> NoEventLoopError:
    """The error of one that would wait."""
    with pytest.raises(NoEventLoopError) as error:
        coroutine.send(None)
    assert isinstance(error.value, RuntimeError)
    return error.value


def test_waits_say_that_they_need_asyncio(engine: Engine) -> None:
    """Goal: whoever waits outside of asyncio is told what to do, whether there is something to wait
    for or not, and nothing is begun. Method: each form of waiting, driven by hand as trio does."""
    error = refused(engine.begin_async(asked(), wait=1))
    assert "asyncio" in str(error) and "trio.to_thread" in str(error)
    assert (error.name, error.field, error.retriable) == ("NoEventLoop", "wait", False)
    refused(engine.next_attempt_async())
    refused(engine.next_attempt_async(1))
    refused(engine.next_attempts_async(2, 1))

    async def work() -> int:
        return 1

    refused(engine.run_async(asked(), work, wait=1))
    refused(engine.lease(asked(), wait=1).__aenter__())
    refused(idempotent(engine, key=lambda: "k", scope="acme", wait=1)(work)())
    assert engine.stats().begun == 0
    lease = admitted(engine)
    assert (lease.attempt, lease.status) == (1, "created")
    refused(engine.begin_async(asked(), wait=1))
    lease.complete()


def test_what_is_due_stays_due(engine: Engine) -> None:
    """Goal: a worker that waits outside of asyncio is refused, whether something is due or not, and
    takes nothing. Method: an attempt that is due; both forms refuse, and it is there afterwards."""
    engine.set_operation("charge", policy=RetryPolicy(backoff="constant", initial=0))
    admitted(engine).retry_later("503", "charge")
    refused(engine.next_attempt_async(1))
    refused(engine.next_attempts_async(1, 1))
    attempt = driven(engine.next_attempt_async(0))
    assert attempt is not None and attempt.lease.attempt == 2


def test_an_engine_whose_duplicates_wait_says_so(engine: Engine) -> None:
    """Goal: the engine's own wait is one, too. Method: an engine with one, and a call without."""
    with Engine(private=True, capacity=64, wait=1) as patient:
        refused(patient.begin_async(asked()))
        assert isinstance(driven(patient.begin_async(asked(), wait=0)), Admitted)


def test_what_does_not_wait_runs_anywhere(engine: Engine) -> None:
    """Goal: asyncio is needed for waiting alone. Method: an attempt, its replay, and one that is
    tried again, of which only the wait between its attempts is refused; its record is free."""

    async def work() -> int:
        return 7

    assert driven(engine.run_async(asked(), work)) == 7
    assert isinstance(driven(engine.begin_async(asked())), Replayed)
    assert driven(engine.next_attempt_async(0)) is None
    assert driven(engine.next_attempts_async(2, 0)) == []

    async def fails() -> int:
        raise ConnectionError

    policy = RetryPolicy(backoff="constant", initial=0)
    refused(retrying(engine, policy=policy, key=lambda: "k", scope="acme")(fails)())
