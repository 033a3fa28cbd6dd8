"""Events: what the engine notices by itself."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest
from support import admitted, asked

from oncegate import Engine, FillEvent, InvalidInputError, ManualClock, StuckEvent

CAPACITY = 64
WINDOW = 60


def filled(engine: Engine, clock: ManualClock, records: int) -> None:
    """So many records at once, none of which is there afterwards."""
    for number in range(records):
        admitted(engine, f"secret-key-{number}").complete(b"secret-body")
    clock.advance(WINDOW + 1)
    engine.sweep()


def test_fill_levels_are_told_once() -> None:
    """Goal: whoever asks hears that the table fills up, once for each time. Method: two levels, one
    of which is reached, and reached again after the table was empty."""
    clock = ManualClock()
    with Engine(
        private=True, capacity=CAPACITY, dedup_window=WINDOW, clock=clock, fill_levels=[0.25, 0.9]
    ) as engine:
        assert (len(engine.events()), engine.events().lost) == (0, 0)
        for _ in range(2):
            filled(engine, clock, 20)
            taken = engine.events()
            (event,) = taken
            assert taken.events == (event,) and taken.lost == 0
            assert isinstance(event, FillEvent)
            assert (event.level, event.fill, event.name) == (0.25, 0.25, "fill")
            assert str(event) == "fill: 25.0 % of the capacity is live"
            assert len(engine.events()) == 0


def test_the_newest_are_kept_and_the_others_counted() -> None:
    """Goal: a ring that nobody reads takes no more room, and says what is lost. Method: 16 levels,
    reached 20 times, are 320 events, of which 256 are kept; they are read in two goes."""
    clock, levels = ManualClock(), [(number + 2) / 100 for number in range(16)]
    with Engine(
        private=True, capacity=CAPACITY, dedup_window=WINDOW, clock=clock, fill_levels=levels
    ) as engine:
        for _ in range(20):
            filled(engine, clock, 12)
        first = engine.events(10)
        assert (len(first), first.lost) == (10, 64)
        rest = engine.events()
        assert (len(rest), rest.lost) == (246, 0)
        told = [event.level for event in [*first, *rest] if isinstance(event, FillEvent)]
        assert told == levels * 16
        assert "secret" not in repr(first) + repr(rest)


def test_levels_are_checked() -> None:
    """Goal: a level that is none is refused. Method: zero, and more levels than there may be."""
    for levels in ([0.0], [0.5] * 17):
        with pytest.raises(InvalidInputError) as refused:
            Engine(private=True, capacity=CAPACITY, fill_levels=levels)
        assert refused.value.field == "on_fill"


def test_a_stuck_transition_is_told(tmp_path: Path) -> None:
    """Goal: a record that stands in the middle of a transition is told, once. Method: in the file,
    an attempt is decided to be due again, and not ended: the kind of its deadline, two bits of the
    slot's word 5 (core/src/table/slot.rs); then whoever looks after what is due looks on."""
    clock, path = ManualClock(), tmp_path / "table"
    with Engine(path=path, capacity=CAPACITY, lease_duration=3_600, clock=clock) as engine:
        lease = admitted(engine)
        fingerprint = engine.prepare(asked()).fingerprint
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as table:
            slot = table.find(fingerprint[:24])
            assert slot >= 0 and slot % 64 == 0
            table[slot + 42] |= 3 << 4
        events: list[FillEvent | StuckEvent] = []
        for _ in range(8):
            clock.advance(20)
            engine.advance()
            events += engine.events()
        (event,) = events
        assert isinstance(event, StuckEvent)
        assert (event.name, event.transition) == ("state_machine_deadlock_detected", "end")
        assert event.stands >= 10 and event.process > 0
        assert engine.stats().retries.stuck == 1
        assert str(event) == (
            f"state_machine_deadlock_detected: slot {event.slot}: end of process {event.process} "
            f"stands for {event.stands:.0f} s"
        )
        del lease


def test_a_forked_child_has_its_own() -> None:
    """Goal: a child hears of what it notices, and its parent of what that does. Method: a child of
    a parent with an event; each fills its own share of one table."""
    with Engine(capacity=CAPACITY, fill_levels=[0.25, 0.5]) as engine:
        for number in range(16):
            admitted(engine, f"parent-{number}").complete()
        child = os.fork()
        if child == 0:
            before = len(engine.events())
            for number in range(20):
                admitted(engine, f"child-{number}").complete()
            os._exit(10 * before + len(engine.events()))
        _, status = os.waitpid(child, 0)
        # The child has passed both levels, by what its own thread saw of them.
        assert os.waitstatus_to_exitcode(status) in (1, 2)
        assert [event.level for event in engine.events() if isinstance(event, FillEvent)] == [0.25]
