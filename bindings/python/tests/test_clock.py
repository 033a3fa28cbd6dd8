"""Clocks: the engine's time in tests, and in earnest."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from support import admitted, asked

from oncegate import Admitted, Engine, InProgress, InvalidInputError, ManualClock


def test_a_manual_clock_moves_when_it_is_told_to() -> None:
    """Goal: tests own the time. Method: it starts at zero, moves by steps, and not by itself."""
    clock = ManualClock()
    assert clock.now() == 0.0
    clock.advance(1.5)
    clock.advance(timedelta(seconds=2))
    assert clock.now() == 3.5
    with pytest.raises(InvalidInputError) as refused:
        clock.advance(-1)
    assert refused.value.field == "step"
    assert clock.now() == 3.5


def test_engines_share_a_clock() -> None:
    """Goal: one clock moves all that use it. Method: two engines, one lapse in each."""
    clock = ManualClock()
    engines = [Engine(private=True, capacity=64, clock=clock) for _ in range(2)]
    leases = [admitted(engine) for engine in engines]
    clock.advance(29)
    assert all(isinstance(engine.begin(asked()), InProgress) for engine in engines)
    clock.advance(2)
    assert all(isinstance(engine.begin(asked()), Admitted) for engine in engines)
    del leases


@pytest.mark.parametrize("precise", [False, True])
def test_real_clocks_count_leases(precise: bool) -> None:
    """Goal: leases last by the system's clock. Method: what remains goes down, and a renewal
    brings it up again, by the coarse clock and by the precise one."""
    with Engine(private=True, capacity=64, precise_clock=precise) as engine:
        lease = admitted(engine)
        # The kernel's coarse clock moves in steps of some milliseconds.
        assert 29 < lease.remaining < 30.01
        before = lease.remaining
        begun = time.monotonic()
        while time.monotonic() - begun < 0.02:
            pass
        assert lease.remaining < before
        assert 59 < lease.renew(60) < 60.01
        assert 59 < lease.remaining < 60.01
        assert engine.renew(lease.token, 5) == 5.0
        assert 29 < engine.renew(lease.token) < 30.01
        # Between two steps of the coarse clock there are many looks.
        seen = [lease.remaining for _ in range(200)]
        assert (len(set(seen)) == 200) == precise
        lease.complete()
