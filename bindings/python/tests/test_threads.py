"""Threads: many at once, and many calls; nothing leaks."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import gc
import random
import resource
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from support import PATIENCE, admitted, asked, in_thread, lease_of

from oncegate import Admitted, Engine, Failure, FencedError, Lease, Outcome, Replayed, Succeeded


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(private=True, capacity=20_000) as engine:
        yield engine


def test_a_storm_runs_each_request_once(engine: Engine) -> None:
    """Goal: under load each request has one effect. Method: 8 threads ask for 300 requests in
    orders of their own, some attempts fail; the effects are counted."""
    effects: collections.Counter[str] = collections.Counter()
    answers: collections.Counter[str] = collections.Counter()
    lock = threading.Lock()
    start = threading.Barrier(8)

    def client(seed: int) -> None:
        order = random.Random(seed)  # noqa: S311  # an order, and no secret
        keys = [str(number) for number in range(300)]
        order.shuffle(keys)
        start.wait()
        for key in keys:
            while True:
                answer = engine.begin(asked(key), wait=PATIENCE)
                if isinstance(answer, Replayed):
                    break
                lease = lease_of(answer)
                if order.random() < 0.2:
                    lease.fail()
                    continue
                with lock:
                    effects[key] += 1
                lease.complete(key.encode())
                break
            with lock:
                answers[key] += 1

    threads = [in_thread(partial(client, seed)) for seed in range(8)]
    for thread in threads:
        thread.join(PATIENCE)
    assert set(effects.values()) == {1} and len(effects) == 300
    assert set(answers.values()) == {8}


def end(lease: Lease, start: threading.Barrier, done: list[str]) -> None:
    start.wait()
    try:
        done.append(lease.complete(b""))
    except FencedError:
        done.append("fenced")


def test_one_of_many_ends_a_lease(engine: Engine) -> None:
    """Goal: of several threads that end one lease, one does. Method: 8 threads, 50 leases."""
    for number in range(50):
        lease = admitted(engine, str(number))
        start = threading.Barrier(8)
        done: list[str] = []

        threads = [in_thread(partial(end, lease, start, done)) for _ in range(8)]
        for thread in threads:
            thread.join(PATIENCE)
        assert sorted(done) == ["fenced"] * 7 + ["stored"]


def once(engine: Engine, number: int) -> None:
    """A request from its begin to its replay."""
    key = str(number % 1_000)
    answer = engine.begin(asked(key, b"payload"))
    if isinstance(answer, Admitted):
        answer.lease.complete(Outcome(200, b"x" * 40, {"a": "b"}))


def failed(engine: Engine, number: int) -> None:
    """Attempts that fail, and leases that are freed."""
    lease = admitted(engine, str(number))
    if number % 2:
        lease.fail(Failure.retryable())


def refused(engine: Engine, _number: int) -> None:
    """A call that raises."""
    lease = admitted(engine, "fenced")
    lease.abandon()
    with contextlib.suppress(FencedError):
        lease.complete()


def retried(engine: Engine, number: int) -> None:
    """An attempt that is put off, with a step, and is found again."""
    lease = admitted(engine, f"r{number}")
    lease.finish_step("step", b"7")
    lease.headers("service")
    lease.retry_later("503", "charge", b"context")
    engine.dead_letters(limit=1)
    engine.begin(asked(f"r{number}"), run_due=True)
    engine.advance(4)
    attempt = engine.next_attempt(0)
    if attempt is not None:
        attempt.lease.complete()


def reconciled(engine: Engine, number: int) -> None:
    """A record in doubt, and a hook that knows."""
    admitted(engine, f"d{number}").fail(Failure.unknown())
    engine.reconcile(lambda doubt: Succeeded(b""), limit=4)


@pytest.mark.alone
@pytest.mark.parametrize(
    ("work", "calls"),
    [(once, 20_000), (failed, 20_000), (refused, 10_000), (retried, 150), (reconciled, 5_000)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_calls_leak_no_objects(
    engine: Engine, work: Callable[[Engine, int], None], calls: int
) -> None:
    """Goal: no reference is left behind. Method: Python's memory after a round of calls, and after
    five more of them."""
    for number in range(calls // 10):
        work(engine, number)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(calls // 10, calls):
            work(engine, number)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 64_000


@pytest.mark.alone
def test_memory_has_a_ceiling() -> None:
    """Goal: an engine takes what it took when it was opened. Method: the peak of the process after
    a hundred thousand requests, and after as many more."""
    with Engine(private=True, capacity=5_000, prefault=True) as engine:

        def peak_after(first: int) -> int:
            for number in range(first, first + 100_000):
                answer = engine.begin(asked(str(number)))
                assert isinstance(answer, Admitted)
                if number % 3:
                    answer.lease.complete(b"x" * 100)
                else:
                    answer.lease.fail(Failure.terminal(b"x" * 100))
            kilo = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return kilo * 1024 if sys.platform == "linux" else kilo

        first = peak_after(0)
        assert peak_after(100_000) - first < 8 << 20


@pytest.mark.alone
def test_waits_leak_no_objects(engine: Engine) -> None:
    """Goal: tasks that wait leave nothing behind, however they end. Method: rounds of waits that
    are answered, cancelled, and timed out."""

    async def rounds(first: int, last: int) -> None:
        for number in range(first, last):
            key = str(number)
            lease = admitted(engine, key)
            tasks = [
                asyncio.create_task(engine.begin_async(asked(key), wait=PATIENCE)) for _ in range(4)
            ]
            works = [asyncio.create_task(engine.next_attempt_async()) for _ in range(4)]
            await asyncio.sleep(0)
            tasks[0].cancel()
            for work in works:
                work.cancel()
            if number % 2:
                lease.complete(b"7")
            else:
                for task in tasks:
                    task.cancel()
                lease.complete(b"")
            await asyncio.gather(*tasks, *works, return_exceptions=True)

    async def main() -> int:
        await rounds(0, 50)
        gc.collect()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            await rounds(50, 550)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        return after - before

    assert asyncio.run(main()) < 64_000
