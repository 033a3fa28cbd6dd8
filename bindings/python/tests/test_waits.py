"""Waits of threads and of event loops: who goes on, and who leaves."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from support import PATIENCE, admitted, asked, in_thread, lease_of, program, said, until

from oncegate import (
    Admission,
    Admitted,
    ClosedError,
    Engine,
    Failure,
    InProgress,
    ManualClock,
    Replayed,
    RetryPolicy,
    Scheduled,
    TooManyWaitersError,
    Unresolved,
    _core,
)


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(private=True, capacity=1_000, lease_duration=PATIENCE) as engine:
        yield engine


def waiters(engine: Engine) -> int:
    return engine.stats().waiters


def test_waiting_threads_get_the_outcome(engine: Engine) -> None:
    """Goal: duplicates that wait are answered by the run. Method: 20 threads, all of which wait
    before it completes."""
    lease = admitted(engine)
    answers: list[Admission] = []
    threads = [
        in_thread(lambda: answers.append(engine.begin(asked(), wait=PATIENCE))) for _ in range(20)
    ]
    until(lambda: waiters(engine) == 20)
    lease.complete(b"7")
    for thread in threads:
        thread.join(PATIENCE)
    assert [answer.body for answer in answers if isinstance(answer, Replayed)] == [b"7"] * 20
    assert waiters(engine) == 0


@pytest.mark.parametrize("end", ["fail", "abandon", "release"])
def test_one_waiting_thread_goes_on(engine: Engine, end: str) -> None:
    """Goal: of all who wait for an attempt that failed, exactly one is admitted each time.
    Method: 8 threads, each of which ends its attempt without success; no two leases overlap."""
    lease = admitted(engine)
    running: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def wait() -> None:
        own = lease_of(engine.begin(asked(), wait=PATIENCE))
        with lock:
            running.append(own.attempt)
            most.append(len(running))
        with lock:
            running.remove(own.attempt)
        getattr(own, end)()

    threads = [in_thread(wait) for _ in range(8)]
    until(lambda: waiters(engine) == 8)
    getattr(lease, end)()
    for thread in threads:
        thread.join(PATIENCE)
    assert most == [1] * 8
    assert engine.stats().hand_offs == 8


def test_a_wait_ends_with_its_time(engine: Engine) -> None:
    """Goal: who waits for longer than he said is told how it stands. Method: a tenth of a second;
    none at all; and a clock of the test's own."""
    lease = admitted(engine)
    begun = time.monotonic()
    assert isinstance(engine.begin(asked(), wait=0.1), InProgress)
    # The engine's own clock may be behind by a tick, of at most 10 ms, when it begins to wait.
    assert time.monotonic() - begun >= 0.1 - 0.01
    assert isinstance(engine.begin(asked(), wait=0), InProgress)
    lease.complete()


def test_a_wait_counts_by_the_engines_clock() -> None:
    """Goal: tests move time. Method: a wait of an hour ends when the clock is moved by one."""
    clock = ManualClock()
    with Engine(private=True, capacity=64, clock=clock, lease_duration=100_000) as engine:
        lease = admitted(engine)
        answers: list[Admission] = []
        thread = in_thread(lambda: answers.append(engine.begin(asked(), wait=3600)))
        until(lambda: waiters(engine) == 1)
        clock.advance(3601)
        thread.join(PATIENCE)
        assert isinstance(answers[0], InProgress)
        lease.complete()


def test_a_lapsed_lease_is_taken_over_by_a_waiter() -> None:
    """Goal: who waits goes on when the lease lapses. Method: the clock moves beyond it."""
    clock = ManualClock()
    with Engine(private=True, capacity=64, clock=clock) as engine:
        lease = admitted(engine)
        answers: list[Admission] = []
        thread = in_thread(lambda: answers.append(engine.begin(asked(), wait=3600)))
        until(lambda: waiters(engine) == 1)
        clock.advance(31)
        thread.join(PATIENCE)
        assert lease_of(answers[0]).attempt == 2
        del lease


def test_a_wait_lasts_until_an_attempt_is_due() -> None:
    """Goal: what is put off is waited for. Method: a delay of five seconds on a manual clock."""
    clock = ManualClock()
    with Engine(private=True, capacity=64, clock=clock) as engine:
        admitted(engine).fail(Failure.retryable(5))
        assert isinstance(engine.begin(asked(), wait=0), Scheduled)
        answers: list[Admission] = []
        thread = in_thread(lambda: answers.append(engine.begin(asked(), wait=60)))
        until(lambda: waiters(engine) == 1)
        clock.advance(5)
        thread.join(PATIENCE)
        assert isinstance(answers[0], Admitted)


def test_waiters_are_bounded() -> None:
    """Goal: who finds no place among those who wait is told so. Method: one place."""
    with Engine(private=True, capacity=64, max_waiters=1) as engine:
        lease = admitted(engine)
        thread = in_thread(lambda: engine.begin(asked(), wait=PATIENCE))
        until(lambda: waiters(engine) == 1)
        with pytest.raises(TooManyWaitersError):
            engine.begin(asked(), wait=PATIENCE)
        lease.complete()
        thread.join(PATIENCE)


def test_close_sends_threads_back(engine: Engine) -> None:
    """Goal: an engine closes while others wait. Method: four threads, all of which leave."""
    lease = admitted(engine)
    left: list[object] = []

    def wait() -> None:
        try:
            left.append(engine.begin(asked(), wait=PATIENCE))
        except ClosedError:
            left.append("closed")

    threads = [in_thread(wait) for _ in range(4)]
    until(lambda: waiters(engine) == 4)
    engine.close()
    for thread in threads:
        thread.join(PATIENCE)
    assert left == ["closed"] * 4
    lease.complete()


WAITING = """
    import signal, threading
    from oncegate import Engine, Request
    engine = Engine(private=True, capacity=64)
    request = Request("charge", "k", scope="acme")
    lease = engine.begin(request).lease
    # Whoever starts a suite in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    def tell():
        while engine.stats().waiters == 0:
            pass
        print("waits", flush=True)
"""
"""A program with a thread that tells when the main one has begun to wait."""

INTERRUPTED = """
    threading.Thread(target=tell).start()
    try:
        engine.begin(request, wait=600)
    except KeyboardInterrupt:
        print("interrupted", engine.stats().waiters, flush=True)
    lease.complete(b"7")
    print(type(engine.begin(request)).__name__, flush=True)
"""


def test_ctrl_c_ends_a_wait() -> None:
    """Goal: a blocked call is interrupted at once, and leaves nothing behind.
    Method: SIGINT to a program that waits for ten minutes, as a thread of its says."""
    process = program(WAITING + INTERRUPTED)
    assert said(process) == "waits"
    process.send_signal(signal.SIGINT)
    assert said(process) == "interrupted 0"
    assert said(process) == "Replayed"
    assert process.wait(PATIENCE) == 0


HANDLED = """
    def handle(number, frame):
        print("handled", flush=True)
        lease.complete(b"7")
    signal.signal(signal.SIGUSR1, handle)
    threading.Thread(target=tell).start()
    print(engine.begin(request, wait=600).body.decode(), flush=True)
"""


def test_a_handler_runs_during_a_wait() -> None:
    """Goal: a signal that raises nothing does not end the wait. Method: its handler completes."""
    process = program(WAITING + HANDLED)
    assert said(process) == "waits"
    process.send_signal(signal.SIGUSR1)
    assert said(process) == "handled"
    assert said(process) == "7"
    assert process.wait(PATIENCE) == 0


def test_waiting_tasks_get_the_outcome(engine: Engine) -> None:
    """Goal: tasks wait without blocking their loop. Method: 50 of them, and one that completes."""

    async def main() -> list[Admission]:
        lease = admitted(engine)
        tasks = [asyncio.create_task(engine.begin_async(asked(), wait=PATIENCE)) for _ in range(50)]
        while waiters(engine) < 50:
            await asyncio.sleep(0)
        lease.complete(b"7")
        return await asyncio.gather(*tasks)

    answers = asyncio.run(main())
    assert {type(answer) for answer in answers} == {Replayed}


def test_one_waiting_task_goes_on(engine: Engine) -> None:
    """Goal: exactly one of the tasks that wait is admitted. Method: each fails; attempts count."""

    async def wait(attempts: list[int]) -> None:
        lease = lease_of(await engine.begin_async(asked(), wait=PATIENCE))
        attempts.append(lease.attempt)
        await asyncio.sleep(0)
        lease.fail()

    async def main() -> list[int]:
        lease = admitted(engine)
        attempts: list[int] = []
        tasks = [asyncio.create_task(wait(attempts)) for _ in range(8)]
        while waiters(engine) < 8:
            await asyncio.sleep(0)
        lease.fail()
        await asyncio.gather(*tasks)
        return attempts

    assert asyncio.run(main()) == list(range(2, 10))


def test_a_cancelled_wait_affects_nobody(engine: Engine) -> None:
    """Goal: who leaves takes nothing with him. Method: of three tasks two are cancelled, one of
    them in the moment in which the attempt ends; the third goes on."""

    async def main() -> int:
        lease = admitted(engine)
        first, second, third = (
            asyncio.create_task(engine.begin_async(asked(), wait=PATIENCE)) for _ in range(3)
        )
        while waiters(engine) < 3:
            await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        lease.fail()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return lease_of(await third).attempt

    assert asyncio.run(main()) >= 2
    assert waiters(engine) == 0


def test_a_cancelled_wait_gives_its_attempt_back(engine: Engine) -> None:
    """Goal: an attempt that was admitted to somebody who has left is another's.
    Method: cancel after the loop has looked, before the task goes on."""

    async def main() -> Admission:
        lease = admitted(engine)
        task = asyncio.create_task(engine.begin_async(asked(), wait=PATIENCE))
        while waiters(engine) < 1:
            await asyncio.sleep(0)
        lease.fail()
        while engine.stats().live.running == 0:
            # The loop's own look at the descriptor takes the attempt.
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return engine.begin(asked())

    assert lease_of(asyncio.run(main())).attempt == 3


def test_a_task_waits_for_a_time(engine: Engine) -> None:
    """Goal: a time limit holds on a loop. Method: a twentieth of a second, and `wait_for`."""

    async def main() -> None:
        lease = admitted(engine)
        assert isinstance(await engine.begin_async(asked(), wait=0.05), InProgress)
        with pytest.raises((asyncio.TimeoutError, TimeoutError)):
            await asyncio.wait_for(engine.begin_async(asked(), wait=PATIENCE), 0.05)
        lease.complete()

    asyncio.run(main())
    assert waiters(engine) == 0


@pytest.mark.parametrize("end", ["lapse", "fail"])
def test_a_task_is_woken_by_time_alone(end: str) -> None:
    """Goal: a task goes on when nobody tells it that it may. Method: a lease that lapses, and an
    attempt that becomes due, by the real clock; the limit is far beyond that."""

    async def main() -> Admission:
        with Engine(private=True, capacity=64) as engine:
            lease = lease_of(engine.begin(asked(), lease_duration=0.05))
            if end == "fail":
                lease.fail(Failure.retryable(0.05))
            return await engine.begin_async(asked(), wait=10 * PATIENCE)

    assert lease_of(asyncio.run(asyncio.wait_for(main(), PATIENCE))).attempt == 2


def test_a_jump_of_the_clock_wakes_tasks() -> None:
    """Goal: tests move time, and tasks that wait notice each time. Method: a lease of an hour, half
    of which goes by, and then the other half."""
    clock = ManualClock()

    async def main() -> int:
        with Engine(private=True, capacity=64, clock=clock, lease_duration=3600) as engine:
            first = admitted(engine)
            task = asyncio.create_task(engine.begin_async(asked(), wait=10 * PATIENCE))
            while waiters(engine) == 0:
                await asyncio.sleep(0)
            clock.advance(1800)
            for _ in range(20):
                await asyncio.sleep(0)
            assert not task.done()
            clock.advance(1800)
            second = lease_of(await asyncio.wait_for(task, PATIENCE))
            assert not first.ended
            return second.attempt

    assert asyncio.run(main()) == 2


def test_an_engine_says_how_long_is_waited(engine: Engine) -> None:
    """Goal: `wait` of the engine holds where a call says nothing. Method: it is long; each kind of
    call waits, and gets what the attempt left."""
    with Engine(private=True, capacity=64, wait=PATIENCE) as engine:
        assert engine.default_wait == PATIENCE
        prepared = engine.prepare(asked())
        calls: list[Callable[[], Admission]] = [
            lambda: engine.begin(asked()),
            lambda: engine.begin(prepared),
            prepared.begin,
            lambda: asyncio.run(engine.begin_async(asked())),
        ]
        lease = admitted(engine)
        answers: list[Admission] = []

        def ask(call: Callable[[], Admission]) -> None:
            answers.append(call())

        threads = [in_thread(partial(ask, call)) for call in calls]
        until(lambda: waiters(engine) == 4)
        assert isinstance(engine.begin(asked(), wait=0), InProgress)
        lease.complete(b"7")
        for thread in threads:
            thread.join(PATIENCE)
        assert [type(answer) for answer in answers] == [Replayed] * 4


def test_options_hold_on_a_loop() -> None:
    """Goal: `begin_async` takes what `begin` takes. Method: each option by what it changes, at once
    and after a wait."""
    clock = ManualClock()

    async def main(engine: Engine) -> None:
        lease = lease_of(await engine.begin_async(asked("1"), lease_duration=5))
        assert lease.remaining == 5.0
        lease_of(await engine.begin_async(asked("2"), dedup_window=60)).complete()
        doubtful = lease_of(await engine.begin_async(asked("3"), on_lapse="unknown"))
        admitted(engine, "4").retry_later("503", "charge")
        task = asyncio.create_task(engine.begin_async(asked("1"), wait=PATIENCE, lease_duration=7))
        while waiters(engine) == 0:
            await asyncio.sleep(0)
        lease.fail()
        assert lease_of(await asyncio.wait_for(task, PATIENCE)).remaining == 7.0
        clock.advance(61)
        assert isinstance(await engine.begin_async(asked("2")), Admitted)
        assert isinstance(await engine.begin_async(asked("3")), Unresolved)
        assert isinstance(await engine.begin_async(asked("4")), Scheduled)
        assert lease_of(await engine.begin_async(asked("4"), run_due=True)).attempt == 2
        assert not doubtful.ended

    policy = RetryPolicy(backoff="constant", initial=5)
    with Engine(private=True, capacity=1_000, clock=clock, retry_policy=policy) as engine:
        asyncio.run(main(engine))


def test_a_wait_that_is_over_has_left(engine: Engine) -> None:
    """Goal: who was answered, or has left, waits no more, whatever holds the object. Method: two of
    a loop's waits, one of which is cancelled; then both again."""
    waits = _core.Waits(engine)
    lease = admitted(engine)
    stays, leaves = waits.ask(1, asked()), waits.ask(2, asked())
    assert stays.poll() is leaves.poll() is None
    assert waiters(engine) == 2
    leaves.cancel()
    assert waiters(engine) == 1
    lease.complete(b"7")
    assert waits.ready() == [1]
    assert leaves.poll() is None
    assert isinstance(stays.poll(), Replayed)
    assert stays.poll() is None and stays.looks_again_in() is None


def test_close_sends_tasks_back(engine: Engine) -> None:
    """Goal: an engine closes while tasks wait. Method: three tasks, all of which leave."""

    async def main() -> list[Any]:
        lease = admitted(engine)
        tasks = [asyncio.create_task(engine.begin_async(asked(), wait=PATIENCE)) for _ in range(3)]
        while waiters(engine) < 3:
            await asyncio.sleep(0)
        engine.close()
        left = await asyncio.gather(*tasks, return_exceptions=True)
        lease.complete()
        return left

    left = asyncio.run(asyncio.wait_for(main(), PATIENCE))
    assert [type(error) for error in left] == [ClosedError] * 3


def test_two_loops_wait_at_once(engine: Engine) -> None:
    """Goal: each loop has waits of its own. Method: two threads with a loop each, one attempt."""
    lease = admitted(engine)
    answers: list[Admission] = []

    def loop() -> None:
        answers.append(asyncio.run(engine.begin_async(asked(), wait=PATIENCE)))

    threads = [in_thread(loop) for _ in range(2)]
    until(lambda: waiters(engine) == 2)
    lease.complete(b"7")
    for thread in threads:
        thread.join(PATIENCE)
    assert [type(answer) for answer in answers] == [Replayed] * 2


@pytest.mark.alone
def test_waiting_costs_no_processor_time(engine: Engine) -> None:
    """Goal: nobody polls. Method: the processor time of a second in which 100 tasks wait, after
    their loop was woken for another one."""

    async def main() -> float:
        lease = admitted(engine)
        tasks = [
            asyncio.create_task(engine.begin_async(asked(), wait=PATIENCE)) for _ in range(100)
        ]
        other = admitted(engine, "other")
        woken = asyncio.create_task(engine.begin_async(asked("other"), wait=PATIENCE))
        while waiters(engine) < 101:
            await asyncio.sleep(0)
        other.complete()
        await woken
        begun = time.process_time()
        # sleep: what a second of waiting costs is measured.
        await asyncio.sleep(1)
        spent = time.process_time() - begun
        lease.complete()
        await asyncio.gather(*tasks)
        return spent

    assert asyncio.run(main()) < 0.05


@pytest.mark.alone
def test_a_woken_thread_waits_on() -> None:
    """Goal: a thread that was woken for nothing does not look without end. Method: the processor
    time of a second after a clock has jumped, but not far enough."""
    clock = ManualClock()
    with Engine(private=True, capacity=64, clock=clock, lease_duration=100_000) as engine:
        lease = admitted(engine)
        thread = in_thread(lambda: engine.begin(asked(), wait=3600))
        until(lambda: waiters(engine) == 1)
        clock.advance(1)
        begun = time.process_time()
        # sleep: what a second of waiting costs is measured.
        time.sleep(1)
        spent = time.process_time() - begun
        lease.complete()
        thread.join(PATIENCE)
        assert spent < 0.05
