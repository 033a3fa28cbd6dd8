"""Attempts: workers in threads and on event loops get each of them once."""

from __future__ import annotations

import asyncio
import collections
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from support import PATIENCE, admitted, in_thread, program, said, until

from oncegate import (
    Attempt,
    ClosedError,
    Engine,
    InvalidInputError,
    Lease,
    ManualClock,
    RetryPolicy,
)

SOON = RetryPolicy(backoff="constant", initial=0.02, max_attempts=1_000)
LATER = RetryPolicy(backoff="constant", initial=5, max_attempts=1_000)


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(private=True, capacity=20_000, retry_policy=SOON) as engine:
        yield engine


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def timed(clock: ManualClock) -> Iterator[Engine]:
    with Engine(private=True, capacity=20_000, retry_policy=LATER, clock=clock) as engine:
        yield engine


def put_off(engine: Engine, number: int, operation: str = "charge") -> None:
    admitted(engine, f"k{number}").retry_later("503", operation, str(number).encode())


def put_all_off(engine: Engine, count: int) -> None:
    for number in range(count):
        put_off(engine, number)


def ended(attempt: Attempt | None) -> bytes:
    """The context of an attempt, which succeeds."""
    assert attempt is not None
    attempt.lease.complete()
    return attempt.context


def test_what_is_due_is_handed_out(timed: Engine, clock: ManualClock) -> None:
    """Goal: a worker gets what it needs to run the next attempt. Method: before it is due there is
    none; then operation, context and lease."""
    put_off(timed, 7)
    assert timed.next_attempt(0) is None
    clock.advance(5)
    attempt = timed.next_attempt(0)
    assert isinstance(attempt, Attempt)
    assert (attempt.operation, attempt.context) == ("charge", b"7")
    assert isinstance(attempt.lease, Lease)
    assert (attempt.lease.attempt, attempt.lease.status) == (2, "retried")
    assert timed.next_attempt(0) is None
    attempt.lease.complete(b"done")
    assert attempt.lease.ended


def test_attempts_come_by_due_time(timed: Engine, clock: ManualClock) -> None:
    """Goal: what was due first comes first. Method: three, put off one after the other."""
    for number in range(3):
        put_off(timed, number)
        clock.advance(1)
    clock.advance(60)
    found = timed.next_attempts(10, 0)
    assert [attempt.context for attempt in found] == [b"0", b"1", b"2"]
    assert timed.next_attempts(10, 0) == []
    assert timed.next_attempts(0) == []


def test_a_freed_attempt_comes_again(timed: Engine, clock: ManualClock) -> None:
    """Goal: what a worker loses is not lost. Method: the object is freed without an end."""
    put_off(timed, 7)
    clock.advance(5)
    attempt = timed.next_attempt(0)
    assert attempt is not None
    del attempt
    clock.advance(5)
    again = timed.next_attempt(0)
    assert again is not None
    assert (again.lease.attempt, again.context) == (3, b"7")


def test_a_thread_waits_until_something_is_due(engine: Engine) -> None:
    """Goal: a worker sleeps until there is work, whenever it is scheduled. Method: what is put off
    before it waits, and while it waits, which is due by the real clock."""
    put_off(engine, 1)
    assert ended(engine.next_attempt(PATIENCE)) == b"1"
    found: list[Attempt | None] = []
    thread = in_thread(lambda: found.append(engine.next_attempt()))
    put_off(engine, 2)
    thread.join(PATIENCE)
    assert found[0] is not None and found[0].context == b"2"


def test_a_thread_is_woken_in_time(engine: Engine) -> None:
    """Goal: a worker is woken by what becomes due, and not by a look now and then.
    Method: eight attempts one after the other, each of which is due in a fiftieth of a second; a
    worker that looked once a second would take eight."""
    begun = time.monotonic()
    for number in range(8):
        put_off(engine, number)
        assert ended(engine.next_attempt(PATIENCE)) == str(number).encode()
    assert time.monotonic() - begun < 4


def test_a_wait_for_work_ends_with_its_time(engine: Engine, timed: Engine) -> None:
    """Goal: a worker that finds nothing is told so. Method: by the real clock, and by one of the
    test's own; a duration that is none is refused."""
    begun = time.monotonic()
    assert engine.next_attempt(0.1) is None
    # The engine's own clock may be behind by a tick, of at most 10 ms, when it begins to wait.
    assert time.monotonic() - begun >= 0.1 - 0.01
    assert engine.next_attempts(4, 0.01) == []
    with pytest.raises(InvalidInputError):
        engine.next_attempt(-1)
    with pytest.raises(TypeError):
        engine.next_attempt("soon")  # type: ignore[arg-type]  # what the types refuse


def test_a_jump_of_the_clock_wakes_workers(timed: Engine, clock: ManualClock) -> None:
    """Goal: tests move time, and blocked workers notice. Method: one for whom something becomes
    due, and one whose time is over."""
    put_off(timed, 1)
    found: list[Attempt | None] = []
    started = threading.Barrier(3)

    def work(timeout: float | None) -> None:
        started.wait()
        found.append(timed.next_attempt(timeout))

    threads = [in_thread(lambda: work(None)), in_thread(lambda: work(None))]
    started.wait()
    clock.advance(5)
    until(lambda: len(found) == 1)
    put_off(timed, 2)
    clock.advance(5)
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(ended(attempt) for attempt in found) == [b"1", b"2"]
    thread = in_thread(lambda: found.append(timed.next_attempt(3600)))
    while len(found) < 3:
        clock.advance(3600)
    thread.join(PATIENCE)
    assert found[2] is None


def test_threads_share_the_work(engine: Engine) -> None:
    """Goal: each attempt is handed out once. Method: 400 records, 8 workers, counted."""
    done: collections.Counter[bytes] = collections.Counter()
    lock = threading.Lock()

    def work() -> None:
        while True:
            attempt = engine.next_attempt(PATIENCE)
            assert attempt is not None
            if attempt.operation == "stop":
                attempt.lease.complete()
                return
            with lock:
                done[attempt.context] += 1
            attempt.lease.complete()

    threads = [in_thread(work) for _ in range(8)]
    for number in range(200):
        put_off(engine, number)
    until(lambda: len(done) == 200)
    for number in range(8):
        put_off(engine, 1_000 + number, "stop")
    for thread in threads:
        thread.join(PATIENCE)
    assert set(done.values()) == {1}


def test_close_sends_workers_back() -> None:
    """Goal: workers leave at once when their engine is closed. Method: three threads on each of
    eight engines; those that only looked once a second would take eight."""
    left: list[str] = []
    begun = time.monotonic()
    for _ in range(8):
        engine = Engine(private=True, capacity=64)
        started = threading.Barrier(4)

        def work(engine: Engine = engine, started: threading.Barrier = started) -> None:
            started.wait()
            try:
                engine.next_attempt()
            except ClosedError:
                left.append("closed")

        threads = [in_thread(work) for _ in range(3)]
        started.wait()
        # Nothing tells that a thread has begun to wait: so most of them have.
        threading.Event().wait(0.02)
        engine.close()
        for thread in threads:
            thread.join(PATIENCE)
    assert left == ["closed"] * 24
    assert time.monotonic() - begun < 4


INTERRUPTED = """
    import signal
    from oncegate import Engine
    engine = Engine(private=True, capacity=64)
    # Whoever starts a suite in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGUSR1, lambda number, frame: print("handled", flush=True))
    try:
        print("waits", flush=True)
        engine.next_attempt()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def test_ctrl_c_ends_a_worker() -> None:
    """Goal: a worker that waits for ever hears signals at once, and is interrupted.
    Method: SIGUSR1 to a program, so often that it waits by then, whose handler raises nothing;
    then SIGINT."""
    process = program(INTERRUPTED)
    assert said(process) == "waits"
    begun = time.monotonic()
    for _ in range(20):
        process.send_signal(signal.SIGUSR1)
        assert said(process) == "handled"
    process.send_signal(signal.SIGINT)
    assert said(process) == "interrupted"
    assert time.monotonic() - begun < 10
    assert process.wait(PATIENCE) == 0


def test_a_task_waits_until_something_is_due(engine: Engine) -> None:
    """Goal: a worker on a loop sleeps until there is work. Method: scheduled before and meanwhile,
    and a loop that goes on."""

    async def main() -> None:
        put_off(engine, 1)
        assert ended(await engine.next_attempt_async()) == b"1"
        task = asyncio.create_task(engine.next_attempt_async())
        await asyncio.sleep(0)
        put_off(engine, 2)
        assert ended(await asyncio.wait_for(task, PATIENCE)) == b"2"
        assert await engine.next_attempt_async(0.02) is None
        assert await engine.next_attempt_async(0) is None
        assert await engine.next_attempts_async(4, 0.02) == []
        assert await engine.next_attempts_async(0) == []

    asyncio.run(main())


def test_tasks_share_the_work(engine: Engine) -> None:
    """Goal: each attempt goes to exactly one of the tasks that wait. Method: 20 tasks, 100 of them
    put off by a thread."""

    async def work(done: list[bytes]) -> None:
        while len(done) < 100:
            attempt = await engine.next_attempt_async(0.2)
            if attempt is not None:
                done.append(attempt.context)
                attempt.lease.complete()

    async def main() -> list[bytes]:
        done: list[bytes] = []
        tasks = [asyncio.create_task(work(done)) for _ in range(20)]
        await asyncio.sleep(0)
        thread = in_thread(lambda: put_all_off(engine, 100))
        await asyncio.gather(*tasks)
        thread.join(PATIENCE)
        return done

    done = asyncio.run(main())
    assert sorted(done) == sorted(str(number).encode() for number in range(100))


def test_a_batch_on_a_loop(timed: Engine, clock: ManualClock) -> None:
    """Goal: a worker takes several at once. Method: five that become due while it waits."""

    async def main() -> list[Attempt]:
        for number in range(5):
            put_off(timed, number)
        task = asyncio.create_task(timed.next_attempts_async(3))
        await asyncio.sleep(0)
        clock.advance(5)
        return await asyncio.wait_for(task, PATIENCE)

    assert len(asyncio.run(main())) == 3
    assert len(timed.next_attempts(9, 0)) == 2


def test_cancelling_loses_no_attempt(timed: Engine, clock: ManualClock) -> None:
    """Goal: who leaves leaves the attempt. Method: tasks are cancelled in each state that they are
    in while an attempt becomes due: it is the second one of its record afterwards."""

    async def main(steps: int) -> None:
        put_off(timed, steps)
        task = asyncio.create_task(timed.next_attempt_async())
        await asyncio.sleep(0)
        clock.advance(5)
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        (left,) = await asyncio.gather(task, return_exceptions=True)
        attempt = left if isinstance(left, Attempt) else timed.next_attempt(0)
        assert attempt is not None
        assert (attempt.lease.attempt, attempt.context) == (2, str(steps).encode())
        attempt.lease.complete()

    for steps in range(12):
        asyncio.run(main(steps))


def test_a_cancelled_task_passes_its_turn_on(timed: Engine, clock: ManualClock) -> None:
    """Goal: what one was woken for is another's. Method: two wait, the first one is cancelled after
    it was woken."""

    async def main() -> None:
        put_off(timed, 1)
        first = asyncio.create_task(timed.next_attempt_async())
        second = asyncio.create_task(timed.next_attempt_async())
        await asyncio.sleep(0)
        clock.advance(5)
        first.cancel()
        attempts = await asyncio.wait_for(
            asyncio.gather(first, second, return_exceptions=True), PATIENCE
        )
        assert isinstance(attempts[1], Attempt)

    asyncio.run(main())


def test_close_sends_tasks_back(engine: Engine) -> None:
    """Goal: tasks that wait for work leave when their engine is closed. Method: three of them."""

    async def main() -> None:
        tasks = [asyncio.create_task(engine.next_attempt_async()) for _ in range(3)]
        await asyncio.sleep(0)
        engine.close()
        left = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE)
        assert [type(error) for error in left] == [ClosedError] * 3

    asyncio.run(main())


def test_threads_and_tasks_wait_at_once(engine: Engine) -> None:
    """Goal: a loop that leaves does not leave threads without anybody who looks.
    Method: a task waits and is cancelled, then something is due while a thread waits."""
    found: list[Attempt | None] = []

    async def main() -> None:
        task = asyncio.create_task(engine.next_attempt_async())
        await asyncio.sleep(0)
        thread = in_thread(lambda: found.append(engine.next_attempt(PATIENCE)))
        await asyncio.sleep(0)
        put_off(engine, 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.to_thread(thread.join, PATIENCE)

    asyncio.run(main())
    assert found[0] is not None and found[0].context == b"1"


def test_a_driver_looks_after_what_is_due(engine: Engine) -> None:
    """Goal: where nobody waits, lapses are seen to by a thread that was asked for.
    Method: what is due becomes ready without a call of ours."""
    engine.start_driver()
    engine.start_driver()
    put_off(engine, 1)
    until(lambda: engine.stats().retries.ready == 1)


def test_advance_looks_after_what_is_due(timed: Engine, clock: ManualClock) -> None:
    """Goal: a caller may look himself. Method: what it says before and after it is due."""
    put_off(timed, 1)
    due_in = timed.advance().due_in
    assert due_in is not None and 0 < due_in <= 5
    clock.advance(5)
    driven = timed.advance(limit=64)
    assert (driven.ready, driven.looked_at >= 1) == (1, True)
    assert timed.next_attempt(0) is not None


def test_a_look_is_bounded(timed: Engine, clock: ManualClock) -> None:
    """Goal: an event loop that looks is not held up. Method: five that are due, two at a time; it
    says that there is more, as long as there is."""
    put_all_off(timed, 5)
    clock.advance(6)
    first = timed.advance(limit=2)
    # Which it meets first is the table's, whose order a secret decides.
    assert first.looked_at <= 2 and first.more
    looks = [timed.advance() for _ in range(200)]
    assert looks[0].ready == 5 <= first.looked_at + sum(look.looked_at for look in looks)
    assert (looks[-1].looked_at, looks[-1].ready, looks[-1].more) == (0, 5, False)


@pytest.mark.alone
def test_waiting_for_work_costs_no_processor_time(engine: Engine) -> None:
    """Goal: nobody polls. Method: processor time of a second in which tasks and threads wait, one
    of which had work before."""

    async def main() -> float:
        tasks = [asyncio.create_task(engine.next_attempt_async()) for _ in range(50)]
        await asyncio.sleep(0)
        put_off(engine, 1)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result() is not None for task in tasks if task.done()] == [True]
        thread = in_thread(lambda: engine.next_attempt(1.2))
        await asyncio.sleep(0)
        begun = time.process_time()
        # sleep: what a second of waiting costs is measured.
        await asyncio.sleep(1)
        spent = time.process_time() - begun
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        thread.join(PATIENCE)
        return spent

    assert asyncio.run(main()) < 0.05
