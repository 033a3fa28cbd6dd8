"""Running once: `run`, `lease`, and what exceptions and cancellations leave behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator, Iterator

import pytest

from oncegate import (
    Admitted,
    AlreadyRanError,
    Engine,
    ErrorPolicy,
    InProgress,
    InProgressError,
    MismatchedError,
    Outcome,
    OutcomeGoneError,
    Payload,
    Replayed,
    Request,
    RunFailedError,
    SerializationError,
    Unresolved,
    UnresolvedError,
    current_lease,
)


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(capacity=1_000) as engine:
        yield engine


def asked(key: str = "k", payload: bytes | None = None) -> Request:
    return Request("charge", key, scope="acme", payload=payload)


def test_work_runs_once(engine: Engine) -> None:
    """Goal: duplicates get the result of the first run. Method: three calls, counted."""
    calls = []

    def work() -> dict[str, int]:
        calls.append(current_lease().attempt)
        return {"charge": len(calls)}

    assert [engine.run(asked(), work) for _ in range(3)] == [{"charge": 1}] * 3
    assert calls == [1]
    with pytest.raises(LookupError):
        current_lease()


def test_work_of_many_threads_runs_once(engine: Engine) -> None:
    """Goal: overlapping calls run once, and all get the result.
    Method: 16 threads from one barrier, which wait for a work that waits for all of them."""
    calls: list[int] = []
    results: list[int] = []
    start = threading.Barrier(16)
    others = threading.Event()

    def work() -> int:
        calls.append(1)
        assert others.wait(30)
        return len(calls)

    def call() -> None:
        start.wait()
        results.append(engine.run(asked(), work, wait=30))

    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    others.set()
    for thread in threads:
        thread.join()
    assert (results, calls) == ([1] * 16, [1])


def test_answers_without_a_result_are_exceptions(engine: Engine) -> None:
    """Goal: who wants a result learns why there is none.
    Method: a call inside of another one, another payload, and a request in doubt."""

    def inside() -> int:
        with pytest.raises(InProgressError) as told:
            engine.run(asked(payload=b"1"), lambda: 2)
        assert told.value.retry_after is not None and 0 < told.value.retry_after <= 30
        assert isinstance(told.value.admission, InProgress)
        return 1

    assert engine.run(asked(payload=b"1"), inside) == 1
    with pytest.raises(MismatchedError):
        engine.run(asked(payload=b"2"), lambda: 2)

    def lost() -> None:
        raise ConnectionError("after it was sent")

    policy = ErrorPolicy(unknown=ConnectionError)
    with pytest.raises(ConnectionError):
        engine.run(asked("lost"), lost, errors=policy)
    with pytest.raises(UnresolvedError):
        engine.run(asked("lost"), lost, errors=policy)


def test_exceptions_mean_what_the_policy_says(engine: Engine) -> None:
    """Goal: a failure is tried again, is final, or is in doubt. Method: one of each kind."""
    attempts: list[int] = []

    def fails() -> int:
        attempts.append(current_lease().attempt)
        if len(attempts) == 1:
            raise TimeoutError
        raise ValueError("card declined")

    policy = ErrorPolicy(final=ValueError)
    with pytest.raises(TimeoutError):
        engine.run(asked(), fails, errors=policy)
    with pytest.raises(ValueError, match="card declined"):
        engine.run(asked(), fails, errors=policy)
    with pytest.raises(RunFailedError, match="ValueError: card declined") as told:
        engine.run(asked(), fails, errors=policy)
    assert told.value.kind == "ValueError"
    assert attempts == [1, 2]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_a_program_ends_the_attempt(engine: Engine, error: type[BaseException]) -> None:
    """Goal: the record never waits for its lease to lapse. Method: each of them, by each policy."""

    def ends() -> None:
        raise error

    with pytest.raises(error):
        engine.run(asked(), ends)
    again = engine.begin(asked())
    assert isinstance(again, Admitted) and again.lease.attempt == 2
    again.lease.abandon()
    with pytest.raises(error):
        engine.run(asked(), ends, errors=ErrorPolicy(on_cancel="unknown"))
    assert isinstance(engine.begin(asked()), Unresolved)


def test_a_policy_that_fails_leaves_nothing_behind(engine: Engine) -> None:
    """Goal: an error in the policy is told, and the record is free. Method: one that raises."""

    def broken(error: Exception) -> str:
        raise LookupError("no such policy")

    def fails() -> None:
        raise OSError

    policy = ErrorPolicy(otherwise=broken)  # type: ignore[arg-type] # on purpose
    with pytest.raises(LookupError):
        engine.run(asked(), fails, errors=policy)
    assert isinstance(engine.begin(asked()), Admitted)


def test_a_result_that_cannot_be_kept_has_run(engine: Engine) -> None:
    """Goal: work whose result is refused by the serializer does not run again.
    Method: a tuple, which JSON gives back as a list."""
    calls = []

    def work() -> tuple[int, int]:
        calls.append(1)
        return (1, 2)

    with pytest.raises(SerializationError, match="result: found a value of the type tuple"):
        engine.run(asked(), work)
    with pytest.raises(OutcomeGoneError):
        engine.run(asked(), work)
    assert calls == [1]


def test_a_cancelled_task_ends_its_attempt() -> None:
    """Goal: a cancelled coroutine leaves no record behind that runs for ever.
    Method: a task is cancelled in its work; the next call runs at once, as attempt 2."""

    async def scene() -> None:
        with Engine(capacity=1_000) as engine:
            inside = asyncio.Event()

            async def hangs() -> None:
                inside.set()
                await asyncio.Event().wait()

            task = asyncio.create_task(engine.run_async(asked(), hangs))
            await inside.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

            async def attempt() -> int:
                return current_lease().attempt

            assert await engine.run_async(asked(), attempt) == 2

    asyncio.run(scene())


def test_tasks_wait_without_blocking_the_loop() -> None:
    """Goal: duplicates wait while the loop goes on. Method: ten tasks, one of which runs."""

    async def scene() -> None:
        with Engine(capacity=1_000) as engine:
            calls = []
            inside, go_on = asyncio.Event(), asyncio.Event()

            async def work() -> int:
                calls.append(1)
                inside.set()
                await go_on.wait()
                return 7

            tasks = [
                asyncio.create_task(engine.run_async(asked(), work, wait=30)) for _ in range(10)
            ]
            await inside.wait()
            # The loop runs while nine of them wait.
            go_on.set()
            assert await asyncio.gather(*tasks) == [7] * 10
            assert calls == [1]

    asyncio.run(scene())


def test_a_block_holds_a_lease(engine: Engine) -> None:
    """Goal: a block is an attempt. Method: one that ends, one that stores, one that raises."""
    with engine.lease(asked("empty")) as lease:
        assert lease is current_lease() and not lease.ended
    assert isinstance(engine.begin(asked("empty")), Replayed)
    with engine.lease(asked("stores")) as lease:
        lease.complete(Outcome(201, b"receipt"))
    with pytest.raises(AlreadyRanError) as told, engine.lease(asked("stores")):
        pytest.fail("it has run")
    assert isinstance(told.value.admission, Replayed)
    assert told.value.admission.body == b"receipt"
    with pytest.raises(OSError), engine.lease(asked("raises")):
        raise OSError
    with engine.lease(asked("raises")) as lease:
        assert lease.attempt == 2


def test_a_closed_generator_ends_its_attempt(engine: Engine) -> None:
    """Goal: a generator that is closed in its block resolves the record. Method: close it."""

    def parts() -> Generator[int, None, None]:
        with engine.lease(asked()) as lease:
            yield lease.attempt
            yield 0

    generator = parts()
    assert next(generator) == 1
    generator.close()
    again = parts()
    assert next(again) == 2
    assert list(again) == [0]
    assert isinstance(engine.begin(asked()), Replayed)


def test_an_async_block_holds_a_lease() -> None:
    """Goal: the same for `async with`. Method: one block that waits for another."""

    async def scene() -> None:
        with Engine(capacity=1_000) as engine:
            inside = asyncio.Event()
            go_on = asyncio.Event()

            async def first() -> None:
                with pytest.raises(OSError):
                    async with engine.lease(asked()):
                        inside.set()
                        await go_on.wait()
                        raise OSError

            async def second() -> int:
                async with engine.lease(asked(), wait=30) as lease:
                    return lease.attempt

            one = asyncio.create_task(first())
            await inside.wait()
            two = asyncio.create_task(second())
            go_on.set()
            await one
            assert await two == 2

    asyncio.run(scene())


def test_a_json_payload_is_compared_by_its_meaning(engine: Engine) -> None:
    """Goal: a client may order its members anew. Method: two orders, and another value."""

    def with_payload(text: bytes) -> Request:
        return Request("charge", "k", scope="acme", payload=Payload.json(text))

    engine.run(with_payload(b'{"a": 1, "b": 2}'), lambda: 1)
    assert engine.run(with_payload(b'{"b":2,"a":1.0}'), lambda: 2) == 1
    with pytest.raises(MismatchedError):
        engine.run(with_payload(b'{"a": 1, "b": 3}'), lambda: 3)
