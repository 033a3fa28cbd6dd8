"""Adaptive backoff: delays are drawn out under load."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support import admitted

from oncegate import (
    AdaptiveBackoff,
    AdaptiveStats,
    Engine,
    InputStats,
    InvalidInputError,
    ManualClock,
    RetryPolicy,
    Scheduled,
    Stretch,
)


def delay(engine: Engine, key: str) -> float:
    """How long a failed attempt is put off."""
    later = admitted(engine, key).retry_later("503", "charge")
    assert isinstance(later, Scheduled)
    return later.due_in


def engine_with(adaptive: AdaptiveBackoff | None, clock: ManualClock) -> Engine:
    policy = RetryPolicy(backoff="constant", initial=10)
    return Engine(
        private=True, capacity=10_000, retry_policy=policy, adaptive_backoff=adaptive, clock=clock
    )


def adaptive_of(engine: Engine) -> AdaptiveStats:
    adaptive = engine.stats().retries.adaptive
    assert adaptive is not None
    return adaptive


def test_load_draws_delays_out() -> None:
    """Goal: a process that has too much to do retries later, and recovers. Method: a full load for
    some steps, and then none; what was measured stands in the statistics."""
    clock = ManualClock()
    with engine_with(AdaptiveBackoff(interval=1, increase=0.5, max_base=4), clock) as engine:
        assert delay(engine, "before") == 10
        delays = []
        for step in range(3):
            clock.advance(1)
            engine.set_load(1)
            delays.append(delay(engine, f"loaded {step}"))
        assert delays == [20, 40, 40]
        seen = adaptive_of(engine)
        assert (seen.factor, seen.decreases, seen.increases) == (8, 3, 0)
        assert seen.stretch.base == 4
        assert {type(seen.stretch), type(seen.load)} == {Stretch, InputStats}
        assert (seen.load.value, seen.load.target, seen.load.pressed) == (1, 0.8, True)
        for step in range(2):
            clock.advance(1)
            engine.set_load(0)
            delays.append(delay(engine, f"idle {step}"))
        assert delays[3:] == [16, 10]
        assert adaptive_of(engine).increases == 2


def test_without_it_nothing_changes() -> None:
    """Goal: it is off by default. Method: no statistics, and a load that nobody hears of."""
    clock = ManualClock()
    with engine_with(None, clock) as engine:
        assert engine.stats().retries.adaptive is None
        assert engine.stats().as_dict()["retries"]["adaptive"] is None
        with pytest.raises(InvalidInputError) as refused:
            engine.set_load(1)
        assert refused.value.field == "adaptive_backoff"
        clock.advance(1)
        assert delay(engine, "k") == 10


def test_targets_are_those_that_were_set() -> None:
    """Goal: each target is its input's. Method: four numbers, read in the statistics as a dict that
    JSON has."""
    adaptive = AdaptiveBackoff(
        lag_target=0.25, ready_target=21, in_flight_target=22, load_target=0.5
    )
    with engine_with(adaptive, ManualClock()) as engine:
        told = json.loads(json.dumps(engine.stats().as_dict()["retries"]["adaptive"]))
        names = ("lag_seconds", "ready", "in_flight", "load")
        assert [told[name]["target"] for name in names] == [0.25, 21, 22, 0.5]
        assert told["load"]["value"] is None
        assert told["stretch"] == {"base": 1, "ceiling": 1, "width": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"load_target": 1.5},
        {"interval": 0},
        {"quiet": 100_000},
        {"decrease": 1},
        {"increase": 0},
        {"max_factor": 0.5},
        {"max_base": 0.5},
        {"max_ceiling": 0.5},
        {"max_width": 0.5},
    ],
)
def test_options_are_checked(wrong: dict[str, Any]) -> None:
    """Goal: an option out of its range is refused when it is made, by its name.
    Method: each of them; so each is the engine's option of that name."""
    with pytest.raises(InvalidInputError) as refused:
        AdaptiveBackoff(**wrong)
    (name,) = wrong
    assert refused.value.field == f"adaptive.{name}"


@pytest.mark.parametrize("load", [-0.1, 1.1, float("nan")])
def test_a_load_is_a_share(load: float) -> None:
    """Goal: a load is from 0 to 1. Method: others."""
    with engine_with(AdaptiveBackoff(), ManualClock()) as engine, pytest.raises(InvalidInputError):
        engine.set_load(load)
