"""Dead letters: looking, redriving and discarding."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import pytest
from support import admitted, asked

from oncegate import (
    AttemptError,
    Buried,
    DeadLetter,
    Engine,
    InvalidInputError,
    LetterPage,
    ManualClock,
    NotFoundError,
    Replayed,
    RetryPolicy,
)

ONCE = RetryPolicy(backoff="constant", initial=5, max_attempts=2)
START = 1_577_836_800.0
"""When a manual clock begins: the year 2020."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(clock: ManualClock) -> Iterator[Engine]:
    with Engine(private=True, capacity=20_000, retry_policy=ONCE, clock=clock) as engine:
        yield engine


def bury(engine: Engine, key: str, operation: str = "charge", error: str = "declined") -> None:
    lease = admitted(engine, key)
    buried = lease.retry_later(AttemptError(error, terminal=True), operation, key.encode())
    assert isinstance(buried, Buried) and buried.kept


def contexts(page: LetterPage) -> list[bytes]:
    return sorted(letter.context for letter in page)


def test_a_letter_tells_its_story(engine: Engine, clock: ManualClock) -> None:
    """Goal: whoever looks after failures sees what happened. Method: two attempts, with a step, by
    all that a letter tells."""
    lease = admitted(engine)
    lease.finish_step("reserve", b"7")
    lease.retry_later("timeout", "charge", b"context")
    clock.advance(5)
    attempt = engine.next_attempt(0)
    assert attempt is not None
    token = attempt.lease.fencing_token
    clock.advance(2)
    attempt.lease.retry_later("503", "charge", b"context")

    page = engine.dead_letters()
    assert (len(page), page.next) == (1, None)
    (letter,) = page.letters
    assert letter.operation == "charge"
    assert (letter.context, letter.reason, letter.attempts) == (b"context", "attempts", 2)
    assert (letter.steps, letter.left_out) == (("reserve",), 0)
    assert letter.buried == pytest.approx(START + 7, abs=0.01)
    first, last = letter.history
    assert (first.attempt, first.end, first.error_class, first.began) == (
        1, "failed", "timeout", None,
    )  # fmt: skip
    assert (last.attempt, last.error_class, last.fencing_token) == (2, "503", token)
    assert last.began == pytest.approx(START + 5, abs=0.01)
    assert last.ended == pytest.approx(START + 7, abs=0.01)
    assert first.process == last.process
    shown = engine.dead_letter(letter.id)
    assert shown.history[1].error_class == "503"


def test_a_redriven_letter_runs_again(engine: Engine) -> None:
    """Goal: what failed for good may run again, with what it has. Method: by its name, and by the
    letter; a worker gets it at once."""
    bury(engine, "1")
    bury(engine, "2")
    first, second = engine.dead_letters()
    engine.redrive(first)
    engine.redrive(second.id)
    attempts = engine.next_attempts(10, 0)
    assert sorted(attempt.context for attempt in attempts) == [b"1", b"2"]
    assert {attempt.lease.attempt for attempt in attempts} == {2}
    for call in (engine.redrive, engine.discard, engine.dead_letter):
        with pytest.raises(NotFoundError):
            call(first)


def test_a_discarded_letter_stays_failed(engine: Engine) -> None:
    """Goal: what is given up does not run, and answers duplicates. Method: discard, then ask."""
    bury(engine, "1")
    (letter,) = engine.dead_letters()
    engine.discard(letter)
    assert len(engine.dead_letters()) == 0
    replay = engine.begin(asked("1"))
    assert isinstance(replay, Replayed) and replay.status == 500


def test_pages_tell_each_letter_once(engine: Engine) -> None:
    """Goal: all letters are seen, a page at a time. Method: 25 letters in pages of ten."""
    for number in range(25):
        bury(engine, str(number))
    seen: list[bytes] = []
    sizes = []
    after: DeadLetter | str | None = None
    for _ in range(5):
        page = engine.dead_letters(after=after, limit=10)
        sizes.append(len(page))
        seen.extend(letter.context for letter in page)
        if page.next is None:
            break
        after = page.next
    assert sizes == [10, 10, 5]
    assert len(set(seen)) == 25


def test_filters_choose_letters(engine: Engine, clock: ManualClock) -> None:
    """Goal: some letters are looked at, redriven or discarded, and not the others.
    Method: each filter against letters that differ in one thing each."""
    bury(engine, "1")
    bury(engine, "2", operation="mail")
    bury(engine, "3", error="stolen")
    clock.advance(60)
    bury(engine, "4")
    later = datetime.datetime.fromtimestamp(START + 30, datetime.timezone.utc)
    cases: list[tuple[dict[str, Any], list[bytes]]] = [
        ({}, [b"1", b"2", b"3", b"4"]),
        ({"operation": "mail"}, [b"2"]),
        ({"error_class": "stolen"}, [b"3"]),
        ({"reason": "final_error"}, [b"1", b"2", b"3", b"4"]),
        ({"reason": "lapsed"}, []),
        ({"since": later}, [b"4"]),
        ({"until": START + 30}, [b"1", b"2", b"3"]),
        ({"operation": "charge", "until": later}, [b"1", b"3"]),
    ]
    for options, expected in cases:
        assert contexts(engine.dead_letters(**options)) == expected, options
    assert engine.redrive_all(operation="mail") == 1
    assert engine.redrive_all(operation="charge", until=later, limit=1) == 1
    assert engine.stats().retries.redriven == 2
    bury(engine, "5")
    assert engine.discard_all(since=later, limit=1) == 1
    assert engine.discard_all(until=START + 30) == 1
    assert engine.discard_all() == 1
    assert len(engine.dead_letters()) == 0


@pytest.mark.parametrize("wrong", ["", "17", "x-y", "-1-2", "01-1", "17-3-4"])
def test_names_of_letters_are_checked(engine: Engine, wrong: str) -> None:
    """Goal: what names no letter is refused. Method: names that are none, and one of nobody."""
    for call in (engine.redrive, engine.discard, engine.dead_letter):
        with pytest.raises(InvalidInputError) as refused:
            call(wrong)
        assert refused.value.field == "letter"
    with pytest.raises(NotFoundError):
        engine.redrive("17-3")


@pytest.mark.parametrize(("policy", "kept"), [("drop_oldest", True), ("reject", False)])
def test_letters_are_bounded(clock: ManualClock, policy: Any, kept: bool) -> None:
    """Goal: there are as many as there may be. Method: one more; it or the oldest is not kept."""
    with Engine(
        private=True,
        capacity=20_000,
        clock=clock,
        max_dead_letters=4,
        on_letters_full=policy,
    ) as engine:
        for number in range(4):
            bury(engine, str(number))
            clock.advance(1)
        error = AttemptError("declined", terminal=True)
        buried = admitted(engine, "more").retry_later(error, "charge", b"more")
        assert isinstance(buried, Buried) and buried.kept is kept
        assert (b"more" in contexts(engine.dead_letters())) is kept
        assert engine.stats().retries.letters_lost == 1


def test_filters_are_checked(engine: Engine) -> None:
    """Goal: a filter that cannot be is refused by its name. Method: each option, out of range."""
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"reason": "sad"}, "reason"),
        ({"since": -1}, "since"),
        ({"until": float("nan")}, "until"),
    ]
    for options, field in wrong:
        with pytest.raises(InvalidInputError) as refused:
            engine.dead_letters(**options)
        assert refused.value.field == field
