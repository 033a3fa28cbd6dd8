"""Processes: tables that workers inherit or open, and what belongs to a parent."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support import PATIENCE, admitted, asked, in_thread, lease_of, program, said, until

from oncegate import (
    Admitted,
    Engine,
    Failure,
    ForkedError,
    InProgress,
    Lease,
    LeaseToken,
    Replayed,
    RetryPolicy,
    Scheduled,
    _core,
)

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # Later interpreters warn of a fork beside threads, which is what is tested here.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(capacity=1_000) as engine:
        yield engine


def in_child(work: Callable[[], object]) -> str:
    """What `work` gives, or raises, in a forked child, as text."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            text = repr(work())
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(writing, text.encode())
        # Nothing of the parent's runs here, as in a worker that is killed.
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    assert status == 0, text
    return text


def test_a_child_shares_the_table(engine: Engine) -> None:
    """Goal: prefork servers need no path. Method: what one process finished, ran or put off, the
    other one meets."""
    admitted(engine, "done").complete(b"7")
    running = admitted(engine, "running")
    assert in_child(lambda: engine.begin(asked("done"))) == "Replayed(200, <1 bytes>)"
    assert in_child(lambda: type(engine.begin(asked("running"))).__name__) == "'InProgress'"
    assert in_child(lambda: admitted(engine, "child").complete(b"8")) == "'stored'"
    replay = engine.begin(asked("child"))
    assert isinstance(replay, Replayed) and replay.body == b"8"
    running.complete()


def test_a_private_table_is_not_shared() -> None:
    """Goal: a table of one process alone says so in its child. Method: a call there."""
    with Engine(private=True, capacity=64) as engine:
        lease = admitted(engine)
        assert in_child(lambda: engine.begin(asked())).startswith("ForkedError")
        assert lease.complete() == "stored"


def test_a_child_ends_no_lease_of_its_parent(engine: Engine) -> None:
    """Goal: a lease is its process's, however its child ends. Method: the child frees it, tries to
    end it, and exits in the ordinary way; its token is for whoever was given it."""
    lease = admitted(engine)

    def child() -> str:
        names = []
        for call in (lease.complete, lease.fail, lease.release, lease.renew, lease.into_token):
            with pytest.raises(ForkedError):
                call()
            names.append(call.__name__)
        return " ".join(names)

    assert in_child(child) == "'complete fail release renew into_token'"
    if (ordinary := os.fork()) == 0:
        del lease
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(ordinary, 0)
    assert isinstance(engine.begin(asked()), InProgress)
    token = bytes(lease.into_token())
    assert in_child(lambda: engine.complete(LeaseToken(token), b"7")) == "'stored'"
    assert isinstance(engine.begin(asked()), Replayed)


def test_a_dead_childs_lease_is_taken_over(engine: Engine) -> None:
    """Goal: who dies does not stop his request. Method: a child is killed while it runs; a waiter
    in the parent goes on at once."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        lease = admitted(engine)
        os.write(writing, str(lease.attempt).encode())
        signal.pause()
    assert os.read(reading, 1) == b"1"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert lease_of(engine.begin(asked(), wait=PATIENCE)).attempt == 2
    assert engine.stats().recovered == 1


def test_waits_are_not_inherited(engine: Engine) -> None:
    """Goal: a child of a server with an event loop is none of its loop. Method: a fork while tasks
    wait for a request and for work; the child uses the engine, with a loop of its own."""

    async def child() -> str:
        answer = await engine.begin_async(asked(), wait=0.01)
        attempt = await engine.next_attempt_async(0.01)
        return f"{type(answer).__name__} {attempt}"

    async def main() -> str:
        lease = admitted(engine)
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(engine.begin_async(asked(), wait=PATIENCE)),
            asyncio.create_task(engine.next_attempt_async()),
        ]
        while engine.stats().waiters == 0:
            await asyncio.sleep(0)
        told = await asyncio.to_thread(in_child, lambda: asyncio.run(child()))
        lease.complete(b"7")
        assert isinstance(await tasks[0], Replayed)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return told

    assert asyncio.run(main()) == "'InProgress None'"


def test_a_child_waits_in_nothing_of_its_parents(engine: Engine) -> None:
    """Goal: whatever waits is its process's, and says so in a child. Method: each call of each
    thing that an event loop waits by; the parent's goes on as if there had been no child."""
    lease = admitted(engine)
    waits = _core.Waits(engine)
    wait, place, due = waits.ask(1, asked()), waits.attempt(2), _core.Due(engine)
    assert wait.poll() is None and place.poll() is None
    calls: list[Callable[[], object]] = [
        waits.ready,
        lambda: waits.ask(3, asked()),
        lambda: waits.attempt(4),
        wait.poll,
        wait.looks_again_in,
        wait.cancel,
        place.poll,
        place.cancel,
        due.fileno,
        due.advance,
        due.close,
    ]

    def child() -> tuple[int, set[tuple[str, int]]]:
        told = []
        for call in calls:
            with pytest.raises(ForkedError) as refused:
                call()
            told.append((refused.value.name, refused.value.code))
        return len(told), set(told)

    assert in_child(child) == "(11, {('Forked', 10)})"
    lease.complete(b"7")
    assert isinstance(wait.poll(), Replayed)
    place.cancel()
    due.close()


def test_a_kept_lease_is_kept_in_the_parent(engine: Engine) -> None:
    """Goal: the thread that renews leases is its process's; a child has one of its own.
    Method: both keep a lease for a second, and see it renewed more than once."""

    def renewed(lease: Lease) -> bool:
        left = [lease.remaining]

        def rises() -> bool:
            left.append(lease.remaining)
            return left[-1] > left[-2]

        until(rises)
        return True

    def child() -> bool:
        own = lease_of(engine.begin(asked("child")))
        own.renew(1)
        own.keep(1)
        return renewed(own) and renewed(own) and not own.lost

    lease = lease_of(engine.begin(asked("parent")))
    lease.renew(1)
    lease.keep(1)
    assert renewed(lease)
    assert in_child(child) == "True"
    assert renewed(lease) and renewed(lease) and not lease.lost
    assert lease.complete() == "stored"


def test_a_child_retries_what_its_parent_put_off() -> None:
    """Goal: workers of any process get what is due. Method: put off in the parent, run in the
    child, which is asked about its own doubts, too."""
    policy = RetryPolicy(backoff="constant", initial=0)
    with Engine(capacity=10_000, retry_policy=policy) as engine:
        engine.reconcile(lambda doubt: None)
        assert isinstance(admitted(engine).retry_later("503", "charge", b"7"), Scheduled)

        def child() -> bytes:
            attempt = engine.next_attempt(PATIENCE)
            assert attempt is not None
            attempt.lease.complete(b"done")
            assert engine.reconcile(lambda doubt: None).asked == 0
            admitted(engine, "doubt").fail(Failure.unknown())
            assert engine.reconcile(lambda doubt: None).asked == 1
            return attempt.context

        assert in_child(child) == "b'7'"
        assert isinstance(engine.begin(asked()), Replayed)


def test_a_child_drives_itself() -> None:
    """Goal: a thread that looks after what is due is its process's. Method: the child of one that
    started it starts its own; its parent dies, and what it puts off becomes ready all the same."""
    policy = RetryPolicy(backoff="constant", initial=0.02)
    with Engine(capacity=1_000, retry_policy=policy) as engine:
        reading, writing = os.pipe()
        first = os.fork()
        if first == 0:
            try:
                engine.start_driver()
                parent = os.getpid()
                if os.fork() == 0:
                    engine.start_driver()
                    until(lambda: os.getppid() != parent)
                    admitted(engine).retry_later("503", "charge")
                    until(lambda: engine.stats().retries.ready == 1)
                    os.write(writing, b"ready")
            finally:
                os._exit(0)
        os.close(writing)
        os.waitpid(first, 0)
        with os.fdopen(reading, "rb") as pipe:
            assert pipe.read() == b"ready"


def test_a_fork_beside_busy_threads(engine: Engine) -> None:
    """Goal: a fork in the midst of calls leaves no lock behind in the child. Method: four threads
    begin, keep, wait and put off without end, while 20 children do the same and exit."""
    stop: list[bool] = []

    def busy(name: str) -> None:
        number = 0
        while not stop:
            number += 1
            lease = admitted(engine, f"{name}{number % 40}-{number}")
            lease.keep()
            engine.next_attempt(0)
            engine.begin(asked(f"{name}{number % 40}-{number}"), wait=0.0001)
            lease.complete(b"7")

    threads = [in_thread(partial(busy, name)) for name in "abcd"]

    def child() -> str:
        for number in range(10):
            lease = admitted(engine, f"child{os.getpid()}-{number}")
            lease.keep()
            engine.next_attempt(0)
            lease.complete(b"")
        engine.next_attempt(0.001)
        return "done"

    try:
        told = {in_child(child) for _ in range(20)}
    finally:
        stop.append(True)
        for thread in threads:
            thread.join(PATIENCE)
    assert told == {"'done'"}


def pool_work(path: str, key: str) -> str:
    """What a worker of a pool does, with an engine of its own."""
    with Engine(path=path, capacity=1_000) as engine:
        answer = engine.begin(asked(key), wait=PATIENCE)
        if isinstance(answer, Admitted):
            answer.lease.complete(str(os.getpid()).encode())
            return "ran"
        assert isinstance(answer, Replayed)
        return "replayed"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_every_kind_share_a_file(tmp_path: Path, method: str) -> None:
    """Goal: unrelated processes share a table by its path, however they were started.
    Method: three processes of a pool ask for four keys each, many times."""
    path = str(tmp_path / "table")
    context = multiprocessing.get_context(method)
    with context.Pool(3) as pool:
        calls = [(path, str(number % 4)) for number in range(24)]
        told = pool.starmap(pool_work, calls, chunksize=1)
    assert (told.count("ran"), told.count("replayed")) == (4, 20)


def ask_inherited(engine: Engine, answers: Any) -> None:
    """What a forked worker does with an engine that it got as an argument."""
    answers.put(type(engine.begin(asked())).__name__)


def test_a_forked_worker_gets_the_engine_itself(engine: Engine) -> None:
    """Goal: `multiprocessing` by fork hands an engine on; by spawn it says what to do.
    Method: one worker by each."""
    admitted(engine).complete(b"7")
    context: Any = multiprocessing.get_context("fork")
    answers = context.Queue()
    worker = context.Process(target=ask_inherited, args=(engine, answers))
    worker.start()
    assert answers.get(timeout=PATIENCE) == "Replayed"
    worker.join(PATIENCE)
    context = multiprocessing.get_context("spawn")
    worker = context.Process(target=ask_inherited, args=(engine, None))
    with pytest.raises(TypeError, match="path"):
        worker.start()


WORKER = """
    import sys
    from oncegate import Engine, Request
    with Engine(path=sys.argv[1], capacity=1_000) as engine:
        lease = engine.begin(Request("charge", "k", scope="acme")).lease
        print(lease.attempt, flush=True)
        sys.stdin.read()
"""


def test_a_killed_program_is_followed(tmp_path: Path) -> None:
    """Goal: of programs that share a file, one that is killed is followed by another.
    Method: SIGKILL to one that runs the request, and a wait in this process."""
    path = tmp_path / "table"
    process = program(WORKER, str(path))
    try:
        assert said(process) == "1"
        with Engine(path=path, capacity=1_000) as engine:
            assert isinstance(engine.begin(asked()), InProgress)
            thread = in_thread(lambda: until(lambda: process.poll() is not None))
            process.kill()
            thread.join(PATIENCE)
            assert lease_of(engine.begin(asked(), wait=PATIENCE)).attempt == 2
    finally:
        process.kill()
        process.wait(PATIENCE)
