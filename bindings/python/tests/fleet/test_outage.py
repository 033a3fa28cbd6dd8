"""What hosts do while their store is gone, is back, or says nothing."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from stores import PATIENCE, SECRET, Hosts, Store, asked, lease_of, until

from oncegate import (
    Admission,
    Engine,
    FencedError,
    Lease,
    ManualClock,
    Replayed,
    Request,
    TierOptions,
    TierUnavailableError,
)


def admitted_again(engine: Engine, request: Request) -> Admission:
    """The answer of an engine whose store is coming back."""
    answers: list[Admission] = []

    def answered() -> bool:
        try:
            answers.append(engine.begin(request))
        except TierUnavailableError as error:
            assert error.retriable
            return False
        return True

    until(answered, "the store answers again")
    return answers[0]


def test_without_an_answer_nothing_runs(store: Store, hosts: Hosts) -> None:
    """Goal: while the store is gone nothing new is run, what is known here is answered, and when
    it is back all goes on. Method: a server that is killed, and started again with its disk."""
    engine = hosts.host()
    lease_of(engine.begin(asked("old"))).complete(b"1")
    store.kill()
    with pytest.raises(TierUnavailableError) as gone:
        engine.begin(asked("new"))
    assert gone.value.name == "TierUnavailable" and gone.value.field == "tier"
    assert gone.value.retry_after is not None and isinstance(gone.value, ConnectionError)
    assert isinstance(engine.begin(asked("old")), Replayed)
    stats = engine.tier_stats()
    assert stats is not None and stats.refused >= 1
    store.start()
    lease_of(admitted_again(engine, asked("new"))).complete(b"2")
    other = hosts.host()
    for key in ("old", "new"):
        assert isinstance(other.begin(asked(key)), Replayed), key


def test_an_end_is_told_later(store: Store, hosts: Hosts) -> None:
    """Goal: an attempt that ends while the store is gone has ended here, and elsewhere when it is
    back. Method: killed before the end, started after it; the end is waited for."""
    engine = hosts.host()
    lease = lease_of(engine.begin(asked()))
    store.kill()
    assert lease.complete(b"7") == "stored_here"
    assert isinstance(engine.begin(asked()), Replayed)
    with pytest.raises(TierUnavailableError):
        engine.flush_tier(0.01)
    store.start()
    engine.close()
    engine.flush_tier(PATIENCE)
    replayed = hosts.host().begin(asked())
    assert isinstance(replayed, Replayed) and replayed.body == b"7"


def test_a_host_goes_on_alone(store: Store, hosts: Hosts) -> None:
    """Goal: with `local_only` a host runs what the store cannot be asked about, and the lease says
    so; what two hosts ran is counted, and the store's answer holds. Method: one request on two
    hosts, of which one is cut off."""
    alone = hosts.host(tier_options=TierOptions(on_outage="local_only", quarantine=0))
    store.kill()
    lease = lease_of(alone.begin(asked()))
    assert lease.local_only
    store.start()
    other = hosts.host()
    granted = lease_of(other.begin(asked()))
    assert not granted.local_only
    granted.complete(b"granted")

    def contradicted() -> bool:
        told = alone.tier_stats()
        assert told is not None and told.local_only == 1
        return told.conflicts == 1

    # Where the store is asked at once it says so; else it is told soon.
    with contextlib.suppress(FencedError):
        lease.complete(b"alone")
    until(contradicted, "the conflict is counted")
    assert isinstance(other.begin(asked()), Replayed)


def _flush(engine: Engine, lease: Lease) -> None:
    lease.release()
    engine.flush_tier(PATIENCE)


CALLS: dict[str, Callable[[Engine, Lease], object]] = {
    "begin": lambda engine, _: lease_of(engine.begin(asked("new"))),
    "prepared": lambda engine, _: lease_of(engine.prepare(asked("new")).begin()),
    "batch": lambda engine, _: lease_of(engine.begin_batch([asked("new")])[0]),
    "complete": lambda engine, lease: lease.complete(b"7") == "stored" or 1 / 0,
    "fail": lambda _, lease: lease.fail(),
    "abandon": lambda _, lease: lease.abandon(),
    "renew": lambda _, lease: lease.renew(),
    "complete-by-token": lambda engine, lease: (
        engine.complete(lease.into_token(), b"7") == "stored" or 1 / 0
    ),
    "fail-by-token": lambda engine, lease: engine.fail(lease.into_token()),
    "abandon-by-token": lambda engine, lease: engine.abandon(lease.into_token()),
    "renew-by-token": lambda engine, lease: engine.renew(lease.token),
    "flush": _flush,
}


@pytest.fixture
def no_switch() -> Iterator[None]:
    """No thread loses the GIL that does not let go of it."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1_000)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.usefixtures("no_switch")
def test_no_call_holds_the_gil_while_it_asks(store: Store, hosts: Hosts, call: str) -> None:
    """Goal: while a call asks the store, other threads run. Method: the store is stopped, and the
    thread that lets it go on is let in by nothing but the call itself: were the GIL held, the
    call would come to its deadline and fail."""
    engine = hosts.host(tier_options=TierOptions(deadline=8, quarantine=0))
    lease = lease_of(engine.begin(asked()))
    gate = threading.Lock()
    gate.acquire()

    def resume() -> None:
        with gate:
            store.resume()

    thread = threading.Thread(target=resume)
    thread.start()
    store.pause()
    try:
        gate.release()
        CALLS[call](engine, lease)
    finally:
        store.resume()
        thread.join(PATIENCE)
    told = engine.tier_stats()
    assert told is not None and (told.unknown, told.refused) == (0, 0)
    assert told.delivered_late == (1 if call == "flush" else 0)


@pytest.mark.usefixtures("no_switch")
def test_an_engine_that_goes_does_not_hold_the_gil(store: Store, hosts: Hosts) -> None:
    """Goal: while an engine that nobody has any more tells the store the rest, other threads run,
    and the rest is told. Method: as above, where nothing but the engine's end lets the thread in
    that lets the server go on; then another host is admitted to what had ended."""
    engine = Engine(
        redis=store.url,
        private=True,
        capacity=1_000,
        secret=SECRET,
        tier_options=TierOptions(deadline=8, quarantine=0),
    )
    lease = lease_of(engine.begin(asked()))
    gate = threading.Lock()
    gate.acquire()
    let_in: list[bool] = []

    def resume() -> None:
        with gate:
            let_in.append(True)
            store.resume()

    thread = threading.Thread(target=resume)
    thread.start()
    store.pause()
    try:
        lease.fail_soon()
        gate.release()
        del lease, engine
        assert let_in, "while the store was told"
    finally:
        store.resume()
        thread.join(PATIENCE)
    again = lease_of(hosts.host().begin(asked()))
    assert again.attempt == 2
    again.complete()


def test_a_kept_lease_outlives_a_short_outage(store: Store, hosts: Hosts) -> None:
    """Goal: a renewal that the store does not answer loses no lease that lasts still, and one that
    has lapsed meanwhile is told to its holder. Method: renewals fail while the store is stopped,
    within the lease and beyond it, by a clock that is moved."""
    clock = ManualClock()
    options = TierOptions(deadline=1, quarantine=0)
    engine = hosts.host(tier_options=options, clock=clock, lease_duration=30)

    def unknown() -> int:
        told = engine.tier_stats()
        assert told is not None
        return told.unknown

    lease = lease_of(engine.begin(asked()))
    lease.keep()
    store.pause()
    clock.advance(11)
    # The look at the store that goes with it fails, too.
    until(lambda: unknown() >= 1, "a renewal fails")
    store.resume()
    assert not lease.lost
    clock.advance(10)
    until(lambda: lease.remaining > 20, "it is renewed all the same")
    store.kill()
    clock.advance(31)
    until(lambda: lease.lost, "it has lapsed")
