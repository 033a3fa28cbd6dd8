"""Steps: parts of an attempt whose results stay in the record."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support import admitted, asked

from oncegate import (
    Engine,
    FencedError,
    FullError,
    InvalidInputError,
    ManualClock,
    NotFoundError,
    Replayed,
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(clock: ManualClock) -> Iterator[Engine]:
    with Engine(private=True, capacity=1_000, steps_limit=1_024, clock=clock) as engine:
        yield engine


def test_later_attempts_skip_what_is_finished(engine: Engine) -> None:
    """Goal: a part runs once over all attempts. Method: two parts, of which the second one fails
    in the first attempt."""
    runs = []
    for attempt in (1, 2):
        lease = admitted(engine)
        assert lease.attempt == attempt
        for name in ("charge", "mail"):
            if lease.finished_step(name) is None and (name, attempt) != ("mail", 1):
                runs.append(name)
                lease.finish_step(name, f"{name}-7".encode())
        if attempt == 1:
            lease.fail()
    assert runs == ["charge", "mail"]
    assert lease.finished_step("charge") == b"charge-7"
    lease.complete(b"done")
    assert isinstance(engine.begin(asked()), Replayed)


def test_steps_go_to_workers(engine: Engine, clock: ManualClock) -> None:
    """Goal: what the engine retries has its steps. Method: a caller finishes one."""
    lease = admitted(engine)
    lease.finish_step("charge", b"7")
    lease.retry_later("503", "charge")
    clock.advance(3_600)
    attempt = engine.next_attempt(0)
    assert attempt is not None
    assert attempt.lease.finished_step("charge") == b"7"
    assert attempt.lease.finished_step("mail") is None


def test_a_finished_step_stays_as_it_was(engine: Engine) -> None:
    """Goal: the first result counts. Method: finish it twice; an empty result is one."""
    lease = admitted(engine)
    lease.finish_step("charge", b"first")
    lease.finish_step("charge", b"second")
    lease.finish_step("mail")
    assert (lease.finished_step("charge"), lease.finished_step("mail")) == (b"first", b"")


def test_steps_are_undone_backwards(engine: Engine) -> None:
    """Goal: a record that fails for good is compensated. Method: three steps, the last one first;
    what is undone is finished no more."""
    lease = admitted(engine)
    for name in ("reserve", "charge", "ship"):
        lease.finish_step(name, name.encode())
    undone = []
    while (last := lease.last_step()) is not None:
        name, result = last
        assert result == name.encode()
        undone.append(name)
        lease.undone_step(name)
    assert undone == ["ship", "charge", "reserve"]
    assert lease.finished_step("ship") is None
    with pytest.raises(NotFoundError) as missing:
        lease.undone_step("ship")
    assert isinstance(missing.value, LookupError)


def test_steps_are_bounded(engine: Engine) -> None:
    """Goal: what does not fit is refused, and the lease lasts. Method: names, sizes, numbers."""
    lease = admitted(engine)
    for name in ("", "x" * 256):
        with pytest.raises(InvalidInputError) as refused:
            lease.finish_step(name)
        assert refused.value.field == "step"
    with pytest.raises(FullError) as full:
        lease.finish_step("large", b"x" * 2_000)
    assert full.value.field == "steps_limit"
    for number in range(64):
        lease.finish_step(str(number))
    with pytest.raises(InvalidInputError):
        lease.finish_step("one more")
    assert lease.complete() == "stored"


def test_a_lost_lease_finishes_no_step(engine: Engine, clock: ManualClock) -> None:
    """Goal: who lost his lease notes nothing. Method: after a lapse, and another attempt."""
    lease = admitted(engine)
    clock.advance(31)
    other = admitted(engine)
    with pytest.raises(FencedError):
        lease.finish_step("charge", b"7")
    with pytest.raises(FencedError):
        lease.finished_step("charge")
    assert other.last_step() is None
