"""Leases: how they end, last, and are given up."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support import admitted, asked, lease_of, until

from oncegate import (
    Admitted,
    Engine,
    Failure,
    FencedError,
    InProgress,
    InvalidInputError,
    Lease,
    LeaseToken,
    ManualClock,
    Replayed,
    Unresolved,
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(clock: ManualClock) -> Iterator[Engine]:
    with Engine(private=True, capacity=1_000, clock=clock) as engine:
        yield engine


def test_tokens_grow_with_each_attempt(engine: Engine) -> None:
    """Goal: a store below can tell an attempt from those before. Method: five attempts."""
    tokens = []
    for number in range(1, 6):
        lease = admitted(engine)
        assert lease.attempt == number
        tokens.append(lease.fencing_token)
        lease.fail()
    assert tokens == sorted(set(tokens))


def test_an_ended_lease_ends_no_more(engine: Engine) -> None:
    """Goal: each lease ends once. Method: each end after each other one."""
    for number, end in enumerate(("complete", "fail", "abandon")):
        lease = admitted(engine, f"k{number}")
        getattr(lease, end)()
        assert lease.ended
        for again in ("complete", "fail", "abandon", "renew"):
            with pytest.raises(FencedError) as fenced:
                getattr(lease, again)()
            assert not fenced.value.retriable
        lease.release()


def test_a_lapsed_lease_is_fenced(engine: Engine, clock: ManualClock) -> None:
    """Goal: who lost his lease changes nothing. Method: it lapses, another attempt completes, and
    the first one tries to."""
    slow = admitted(engine)
    clock.advance(31)
    quick = admitted(engine)
    assert quick.fencing_token > slow.fencing_token
    with pytest.raises(FencedError):
        slow.complete(b"slow")
    quick.complete(b"quick")
    replay = engine.begin(asked())
    assert isinstance(replay, Replayed) and replay.body == b"quick"


def test_a_lease_is_renewed(engine: Engine, clock: ManualClock) -> None:
    """Goal: it lasts from the renewal on. Method: by the default, and by a given time."""
    lease = admitted(engine)
    clock.advance(20)
    assert lease.renew() == lease.remaining == 30.0
    assert lease.renew(90) == 90.0
    clock.advance(80)
    assert isinstance(engine.begin(asked()), InProgress)
    with pytest.raises(InvalidInputError):
        lease.renew(0)
    assert lease.complete(b"") == "stored"


def test_a_kept_lease_lasts(engine: Engine, clock: ManualClock) -> None:
    """Goal: a kept lease outlasts its time, whatever its holder does. Method: the clock goes on by
    ten leases, in steps that a thread keeps up with."""
    lease = lease_of(engine.begin(asked(), lease_duration=3))
    lease.keep(3)
    lease.keep(3)
    for _ in range(30):
        clock.advance(1)
        until(lambda: lease.remaining > 1)
    assert not lease.lost
    assert isinstance(engine.begin(asked()), InProgress)
    lease.complete(b"7")


def kept_beside(engine: Engine) -> Lease:
    """Another lease of three seconds, which is kept: once it was renewed, so were those that were
    kept before it."""
    lease = lease_of(engine.begin(asked("beside"), lease_duration=3))
    lease.keep(3)
    return lease


def test_an_ended_lease_is_not_kept(engine: Engine, clock: ManualClock) -> None:
    """Goal: nobody renews what has ended, and what has ended was not lost. Method: one that is kept
    and ends, one that ends before it is kept; another one, kept after them, is renewed thrice."""
    lease, ended = admitted(engine), admitted(engine, "ended")
    lease.keep(3)
    ended.complete()
    ended.keep(3)
    beside = kept_beside(engine)
    lease.complete(b"7")
    for _ in range(3):
        clock.advance(1)
        until(lambda: beside.remaining > 2.5)
    assert not lease.lost and not ended.lost
    assert engine.stats().fenced == 0
    beside.complete()


def keepers() -> int:
    """How many threads there are that renew leases."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        # It may have ended since.
        with contextlib.suppress(FileNotFoundError):
            names.append(task.joinpath("comm").read_text())
    return names.count("oncegate-keeper\n")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system shows no threads")
def test_a_thread_without_leases_ends(engine: Engine, clock: ManualClock) -> None:
    """Goal: an engine that keeps no lease has no thread, and the next one is kept all the same.
    Method: a lease ends; when the thread has, another one is kept, and renewed."""

    def keep(key: str) -> None:
        lease = admitted(engine, key)
        lease.keep(60)
        clock.advance(29)
        until(lambda: lease.remaining == 60)
        lease.complete()

    keep("first")
    until(lambda: keepers() == 0)
    keep("second")


def until_it_lasts(lease: Lease, seconds: float) -> None:
    until(lambda: lease.remaining == seconds)


def test_a_lease_is_kept_as_long_as_was_said(engine: Engine, clock: ManualClock) -> None:
    """Goal: a renewal is for the time that the holder said, and comes before the lease lapses that
    he has. Method: a lease of three seconds that is kept for ten, for a minute, and by default."""
    for key, given, lasts in (("1", 10, 10.0), ("2", 60, 60.0), ("3", None, 30.0)):
        lease = lease_of(engine.begin(asked(key), lease_duration=3))
        lease.keep(given)
        clock.advance(1)
        until_it_lasts(lease, lasts)
        clock.advance(lasts / 3)
        until_it_lasts(lease, lasts)
        assert not lease.lost
        lease.complete()


def test_a_lease_is_kept_for_a_time(engine: Engine, clock: ManualClock) -> None:
    """Goal: an attempt that hangs ends some time. Method: beyond `at_most` it is not renewed, while
    another one is; and it lapses."""
    lease = lease_of(engine.begin(asked(), lease_duration=3))
    lease.keep(3, at_most=5)
    beside = kept_beside(engine)
    for second in range(1, 8):
        clock.advance(1)
        until(lambda: beside.remaining > 2.5)
        # It was renewed at the fourth second for the last time.
        assert lease.remaining == min(3, 7 - second)
    assert isinstance(engine.begin(asked()), Admitted)
    assert not lease.lost
    beside.complete()


def test_a_lease_outlives_its_engines_object(clock: ManualClock) -> None:
    """Goal: an engine is there as long as anything of it is. Method: the object is freed while a
    lease of its is kept; the lease is renewed, and ends."""
    engine = Engine(private=True, capacity=64, clock=clock)
    lease = admitted(engine)
    seen = weakref.ref(engine)
    lease.keep(3)
    del engine
    gc.collect()
    assert seen() is None
    for _ in range(40):
        clock.advance(1)
        until(lambda: lease.remaining > 1)
    assert lease.complete(b"7") == "stored"


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system shows no maps")
def test_a_freed_engine_gives_its_memory_back(tmp_path: Path) -> None:
    """Goal: nothing of the package's holds an engine that nobody has. Method: one with a kept
    lease, a driver, a hook and waits is freed, closed or not; its file is mapped no more."""

    def is_free(inode: str) -> bool:
        lines = Path("/proc/self/maps").read_text().splitlines()
        return all(line.split()[4] != inode for line in lines)

    async def nothing(engine: Engine) -> None:
        assert await engine.next_attempt_async(0.001) is None
        assert isinstance(await engine.begin_async(asked(), wait=0.001), InProgress)

    for name in ("open", "closed"):
        engine = Engine(path=tmp_path / name, capacity=1_000)
        inode = str((tmp_path / name).stat().st_ino)
        assert not is_free(inode)
        engine.start_driver()
        engine.reconcile(lambda doubt: None)
        lease = admitted(engine)
        lease.keep()
        asyncio.run(nothing(engine))
        if name == "closed":
            engine.close()
        del lease, engine
        gc.collect()
        # The thread that renewed the lease may have the engine still, for a moment.
        until(partial(is_free, inode))


def test_a_kept_lease_that_is_lost_says_so(engine: Engine, clock: ManualClock) -> None:
    """Goal: a holder learns that another attempt may run. Method: a jump over the whole lease, and
    another attempt before the thread has renewed it."""
    lease = lease_of(engine.begin(asked(), lease_duration=3))
    lease.keep(3)
    engine.abandon(lease.token)
    clock.advance(1.5)
    until(lambda: lease.lost)
    with pytest.raises(FencedError):
        lease.complete(b"")


@pytest.mark.parametrize(
    ("policy", "answer"),
    [
        ("retry", Admitted),
        ("unknown", Unresolved),
        ("failed", Replayed),
        ("keep_lease", InProgress),
    ],
)
def test_a_freed_lease_is_what_the_policy_says(policy: Any, answer: type) -> None:
    """Goal: a lease that nobody ends does not stop its record. Method: each policy, by freeing it
    and by `release`."""
    with Engine(private=True, capacity=1_000, on_drop=policy) as engine:
        lease = admitted(engine, "freed")
        seen = weakref.ref(lease)
        del lease
        gc.collect()
        assert seen() is None
        assert isinstance(engine.begin(asked("freed")), answer)

        lease = admitted(engine, "released")
        lease.release()
        lease.release()
        assert lease.ended
        assert isinstance(engine.begin(asked("released")), answer)


def test_a_lease_in_a_cycle_is_freed(engine: Engine) -> None:
    """Goal: the collector resolves what a frame or a cycle holds. Method: a cycle with a lease."""
    cycle: list[object] = [admitted(engine)]
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert isinstance(engine.begin(asked()), Admitted)


def test_a_token_ends_the_attempt(engine: Engine) -> None:
    """Goal: a lease crosses as bytes, and its object lets go. Method: complete by the token, then
    free the object."""
    lease = admitted(engine)
    data = bytes(lease.into_token())
    assert lease.ended
    del lease
    token = LeaseToken(data)
    assert isinstance(engine.begin(asked()), InProgress)
    assert engine.renew(token, 60) == 60.0
    assert engine.complete(token, b"7") == "stored"
    with pytest.raises(FencedError):
        engine.abandon(token)
    with pytest.raises(InvalidInputError):
        LeaseToken(b"short")


def test_a_token_is_taken_up(engine: Engine) -> None:
    """Goal: a token becomes a lease again. Method: take it up, and end it; then it is no more."""
    admitted(engine).fail()
    token = admitted(engine).into_token()
    lease = engine.take_up(token)
    assert (lease.attempt, lease.fencing_token) == (token.attempt, token.fencing_token)
    assert token.attempt == 2
    lease.fail(Failure.unknown())
    with pytest.raises(FencedError):
        engine.take_up(token)
    assert token == LeaseToken(bytes(token)) and hash(token) == hash(LeaseToken(bytes(token)))


def test_a_refused_failure_leaves_the_lease(engine: Engine) -> None:
    """Goal: an argument that is refused ends nothing. Method: a delay of a thousand years."""
    lease = admitted(engine)
    with pytest.raises(InvalidInputError):
        lease.fail(Failure.retryable(1e12))
    assert not lease.ended
    assert lease.complete(b"") == "stored"
