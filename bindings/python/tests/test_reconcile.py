"""Reconciling: records that nobody knows the effect of."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import admitted, asked, in_thread, untyped

from oncegate import (
    Admitted,
    Doubt,
    Engine,
    Failed,
    Failure,
    InvalidInputError,
    ManualClock,
    NotFoundError,
    Outcome,
    Replayed,
    RetryPolicy,
    Succeeded,
    Unresolved,
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(clock: ManualClock) -> Iterator[Engine]:
    at_once = RetryPolicy(backoff="constant", initial=0)
    with Engine(private=True, capacity=10_000, retry_policy=at_once, clock=clock) as engine:
        yield engine


def in_doubt(engine: Engine, key: str = "k") -> bytes:
    """A record of which nobody knows; what the hook knows it by."""
    admitted(engine, key).retry_later("503", "charge", key.encode())
    attempt = engine.next_attempt(0)
    assert attempt is not None
    attempt.lease.fail(Failure.unknown())
    return key.encode()


def test_a_hook_resolves_what_is_in_doubt(engine: Engine) -> None:
    """Goal: each answer is done. Method: four records with four answers, by what duplicates get."""
    answers = {
        in_doubt(engine, "yes"): Succeeded(Outcome(201, b"made")),
        in_doubt(engine, "no"): Failed(b"not made"),
        in_doubt(engine, "again"): "run_again",
        in_doubt(engine, "later"): None,
    }
    asked_about: list[Doubt] = []

    def hook(doubt: Doubt) -> Any:
        asked_about.append(doubt)
        return answers[doubt.context]

    done = engine.reconcile(hook)
    assert (done.asked, done.resolved, done.raised) == (4, 3, 0)
    assert {doubt.context for doubt in asked_about} == set(answers)
    assert {(doubt.operation, doubt.attempt) for doubt in asked_about} == {("charge", 2)}
    made, not_made = engine.begin(asked("yes")), engine.begin(asked("no"))
    assert isinstance(made, Replayed) and (made.status, made.body) == (201, b"made")
    assert isinstance(not_made, Replayed) and not_made.body == b"not made"
    live = engine.stats().live
    assert (live.succeeded, live.failed, live.unknown) == (1, 1, 1)
    assert isinstance(engine.begin(asked("again"), run_due=True), Admitted)
    assert isinstance(engine.begin(asked("later")), Unresolved)


def test_what_is_unknown_comes_again(engine: Engine, clock: ManualClock) -> None:
    """Goal: a record in doubt is not forgotten, and not asked about all the time.
    Method: two answers that decide nothing; it comes again after one second, and after two."""
    in_doubt(engine)
    asked_at: list[float] = []

    def hook(_doubt: Doubt) -> str:
        asked_at.append(round(clock.now()))
        return "still_unknown"

    for _ in range(8):
        engine.reconcile(untyped(hook))
        clock.advance(1)
    assert asked_at == [0, 1, 3, 7]


def test_a_record_that_was_never_retried_brings_its_token(engine: Engine) -> None:
    """Goal: the hook knows which attempt is in doubt. Method: a caller's first attempt, by its
    fencing token, which what it wrote elsewhere carries."""
    lease = admitted(engine)
    lease.fail(Failure.unknown())
    seen: list[Doubt] = []

    def hook(doubt: Doubt) -> Succeeded:
        seen.append(doubt)
        return Succeeded(b"")

    assert engine.reconcile(hook).resolved == 1
    (doubt,) = seen
    assert (doubt.operation, doubt.context, doubt.attempt) == ("", b"", 1)
    assert doubt.fencing_token == lease.fencing_token


def test_an_exception_is_reported_and_decides_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: a hook that fails for one record does not stop the others. Method: one of three raises,
    and one answers what is no answer."""
    for key in ("bad", "strange", "good"):
        in_doubt(engine, key)
    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)

    def hook(doubt: Doubt) -> Any:
        if doubt.context == b"bad":
            raise ConnectionError("no answer")
        return 42 if doubt.context == b"strange" else Succeeded(b"")

    done = engine.reconcile(hook)
    assert (done.asked, done.resolved, done.raised) == (3, 1, 2)
    # In the order of the table, which a secret decides.
    kinds = {type(error.exc_value) for error in reported}
    assert (len(reported), kinds) == (2, {ConnectionError, TypeError})
    assert {error.object for error in reported} == {hook}
    assert isinstance(engine.begin(asked("bad")), Unresolved)
    assert isinstance(engine.begin(asked("strange")), Unresolved)
    assert isinstance(engine.begin(asked("good")), Replayed)


def test_an_interrupt_is_raised(engine: Engine, clock: ManualClock) -> None:
    """Goal: what ends a program is not swallowed. Method: a hook that is interrupted; the record is
    asked about again."""
    in_doubt(engine)

    def interrupted(_doubt: Doubt) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.reconcile(interrupted)
    clock.advance(10)
    assert engine.reconcile(lambda doubt: Succeeded(b"")).resolved == 1


def test_what_was_in_doubt_before_is_found(engine: Engine) -> None:
    """Goal: a hook that comes late hears of all. Method: 100 records before the first call, in
    several calls with a limit."""
    for number in range(100):
        in_doubt(engine, str(number))
    resolved = []
    for _ in range(5):
        done = engine.reconcile(lambda doubt: Succeeded(b""), limit=30)
        assert done.asked == done.resolved
        resolved.append(done.resolved)
    assert max(resolved) == 30 and sum(resolved) == 100


def test_questions_are_bounded(engine: Engine, clock: ManualClock) -> None:
    """Goal: what others ask meanwhile takes no more memory, and a call no more questions, than is
    said. Method: 1,100 records in doubt, at which others look again and again before the hook is
    there: 1,024 questions are kept, of which one call asks 30."""
    engine.reconcile(lambda doubt: None)
    for number in range(1_100):
        admitted(engine, str(number)).fail(Failure.unknown())
    for _ in range(4):
        clock.advance(60)
        engine.sweep()
        engine.advance(5_000)
    assert engine.reconcile(lambda doubt: Succeeded(b""), limit=30).asked == 30
    rest = [engine.reconcile(lambda doubt: Succeeded(b""), limit=5_000).asked for _ in "12"]
    assert (rest, engine.stats().live.unknown) == ([994, 0], 76)
    clock.advance(60)
    engine.sweep()
    assert engine.reconcile(lambda doubt: Succeeded(b""), limit=5_000).asked == 76


def test_a_question_is_asked_once(engine: Engine, clock: ManualClock) -> None:
    """Goal: a hook is not asked twice about what it has not answered yet. Method: others look again
    and again before the hook is there."""
    engine.reconcile(lambda doubt: None)
    in_doubt(engine)
    for _ in range(5):
        clock.advance(60)
        engine.sweep()
        engine.advance()
    done = engine.reconcile(lambda doubt: None)
    assert (done.asked, done.resolved) == (1, 0)


def test_what_was_answered_since_is_not_asked(engine: Engine) -> None:
    """Goal: a question that somebody has answered is none any more. Method: the hook, asked about
    one of two records, resolves the other one."""
    other = {in_doubt(engine, "one"): "two", in_doubt(engine, "two"): "one"}

    def hook(doubt: Doubt) -> Succeeded:
        engine.resolve(asked(other[doubt.context]), Failed(b""))
        return Succeeded(b"")

    done = engine.reconcile(hook)
    assert (done.asked, done.resolved, done.raised) == (1, 1, 0)
    live = engine.stats().live
    assert (live.succeeded, live.failed, live.unknown) == (1, 1, 0)


def test_other_threads_look_without_the_hook(engine: Engine) -> None:
    """Goal: workers and drivers never run Python's hook; what they were asked is kept for it.
    Method: a driver and calls of `advance` first, in another thread."""
    engine.reconcile(lambda doubt: None)
    engine.start_driver()
    in_doubt(engine)
    in_thread(engine.advance).join()
    assert engine.reconcile(lambda doubt: Succeeded(b"")).resolved == 1


def test_the_hook_is_not_kept(engine: Engine) -> None:
    """Goal: an engine holds nothing of Python's, so that no cycle is closed through it.
    Method: a hook dies after its call."""

    class Hook:
        def __call__(self, doubt: Doubt) -> None:
            return None

    hook = Hook()
    engine.reconcile(hook)
    seen = weakref.ref(hook)
    del hook
    gc.collect()
    assert seen() is None


@pytest.mark.parametrize(
    ("answer", "kind", "state"),
    [
        (Succeeded(b"7"), Replayed, "succeeded"),
        (Failed(b"7"), Replayed, "failed"),
        ("run_again", Admitted, "running"),
    ],
)
def test_a_caller_resolves_a_request(engine: Engine, answer: Any, kind: type, state: str) -> None:
    """Goal: whoever knows says so. Method: each answer; a second one finds nothing in doubt."""
    in_doubt(engine)
    engine.resolve(asked(), answer)
    found = engine.begin(asked(), run_due=True)
    assert isinstance(found, kind)
    assert engine.stats().live.as_dict()[state] == 1
    with pytest.raises(NotFoundError):
        engine.resolve(asked(), answer)


def test_answers_are_checked(engine: Engine) -> None:
    """Goal: what is no answer decides nothing. Method: a call that says nothing, and a number."""
    in_doubt(engine)
    resolve: Callable[..., None] = untyped(engine.resolve)
    with pytest.raises(InvalidInputError):
        resolve(asked(), "still_unknown")
    with pytest.raises(TypeError):
        resolve(asked(), 42)
    assert isinstance(engine.begin(asked()), Unresolved)
