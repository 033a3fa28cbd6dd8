"""Duplicates of tasks, with a real worker in this process."""

from __future__ import annotations

import sys
import threading
from types import FrameType
from typing import Any

import pytest
from celery import signals
from celery.exceptions import Ignore, Reject
from conftest import Shop, result, until

from oncegate import (
    Engine,
    ErrorPolicy,
    FencedError,
    InvalidInputError,
    Judgement,
    MismatchedError,
    OutcomeGoneError,
    RunFailedError,
    UnresolvedError,
)
from oncegate._celery_run import Run
from oncegate.celery import Once, OnceTask, configure


def test_a_duplicate_gets_the_stored_result(shop: Shop) -> None:
    """Goal: the same task with equal arguments runs once, however the arguments are given, and each
    message gets the result; another argument runs. Method: five messages to a real worker."""

    @shop.task()
    def charge(order: str, amount: int = 5) -> dict[str, Any]:
        return {"order": order, "run": shop.effect(order), "amount": amount}

    sent = [charge.delay("a"), charge.delay("a", 5), charge.delay(amount=5, order="a")]
    results = [result(one) for one in sent]
    other = [result(charge.delay("b")), result(charge.delay("a", 6))]
    assert results == [{"order": "a", "run": 1, "amount": 5}] * 3
    assert [one["run"] for one in other] == [1, 2]


def test_a_key_function_decides_and_compares_the_rest(shop: Shop) -> None:
    """Goal: with a key function two messages of one key are one task, and other arguments under it
    are refused unless the task says that they do not matter. Method: two tasks, three messages."""

    @shop.task(once=Once(key=lambda order, amount: order))
    def charge(order: str, amount: int) -> int:
        return shop.effect("charge")

    @shop.task(once=Once(key=lambda order, note: order, compare_arguments=False))
    def mail(order: str, note: str) -> int:
        return shop.effect("mail")

    assert result(charge.delay("a", 1)) == 1
    with pytest.raises(MismatchedError):
        result(charge.delay("a", 2))
    assert result(mail.delay("a", "x")) == result(mail.delay("a", "y")) == 1
    assert shop.effects == ["charge", "mail"]


def test_by_task_id_each_message_is_a_task(shop: Shop) -> None:
    """Goal: with ``key="task_id"`` equal arguments run again, and one task id does not. Method: two
    messages, and one more with the id of the first."""

    @shop.task(once=Once(key="task_id"))
    def digest() -> int:
        return shop.effect("digest")

    first = digest.delay()
    assert result(first) == 1
    assert result(digest.delay()) == 2
    assert result(digest.apply_async(task_id=first.id)) == 1
    assert shop.effects == ["digest"] * 2


def test_scopes_keep_tenants_apart(shop: Shop) -> None:
    """Goal: the same arguments in two scopes are two tasks. Method: a scope of an argument that the
    key leaves out."""

    @shop.task(
        once=Once(key=lambda tenant, order: order, scope=lambda tenant, order: tenant),
    )
    def charge(tenant: str, order: str) -> str:
        shop.effect(tenant)
        return tenant

    assert result(charge.delay("acme", "1")) == "acme"
    assert result(charge.delay("umbrella", "1")) == "umbrella"
    assert shop.effects == ["acme", "umbrella"]


def test_a_duplicate_waits_for_the_one_that_runs(shop: Shop, connected: Any) -> None:
    """Goal: a message whose duplicate runs takes no slot, is put back, and gets the result, also
    where the task takes longer than its lease. Method: a lease of 100 ms; the body goes on when its
    duplicate was put back twenty times, for at least 20 ms each."""
    delivered: list[str] = []

    def count(task_id: str, **_: object) -> None:
        delivered.append(task_id)

    @shop.task(once=Once(lease_duration=0.1))
    def slow(order: str) -> int:
        until(lambda: delivered.count(shop.id("second")) >= 20, "the duplicate was put back")
        return shop.effect(order)

    connected(signals.task_prerun, count)
    first = slow.apply_async(["a"], task_id=shop.id("first"))
    until(lambda: shop.id("first") in delivered, "it runs")
    second = slow.apply_async(["a"], task_id=shop.id("second"))
    assert result(first) == result(second) == 1
    assert shop.effects == ["a"]


def test_a_duplicate_may_be_ignored(shop: Shop, connected: Any) -> None:
    """Goal: with ``on_in_progress="ignore"`` a message whose duplicate runs is acknowledged, and is
    not delivered again. Method: the body goes on when the other message is done with."""
    ended = threading.Event()
    started = threading.Event()

    def over(sender: Any, state: str, **_: object) -> None:
        if shop.tasks_are(sender) and state == "IGNORED":
            ended.set()

    @shop.task(once=Once(on_in_progress="ignore"))
    def slow(order: str) -> int:
        started.set()
        assert ended.wait(30)
        return shop.effect(order)

    connected(signals.task_postrun, over)
    first = slow.delay("a")
    assert started.wait(30)
    second = slow.delay("a")
    assert result(first) == 1
    assert second.state == "PENDING"
    assert shop.effects == ["a"]


@pytest.mark.parametrize("verdict", ["retryable", "final", "unknown"])
def test_what_an_error_means(shop: Shop, verdict: Judgement) -> None:
    """Goal: after an exception a duplicate runs again, gets the failure, or is refused, as the task
    says. Method: a task that fails the first time, asked twice."""

    @shop.task(once=Once(errors=ErrorPolicy(otherwise=verdict)))
    def fail_once(order: str) -> str:
        if shop.effect(order) == 1:
            raise ValueError("no such card")
        return "charged"

    with pytest.raises(ValueError, match="no such card"):
        result(fail_once.delay("a"))
    again = fail_once.delay("a")
    if verdict == "retryable":
        assert result(again) == "charged"
    elif verdict == "final":
        with pytest.raises(RunFailedError, match=r"ValueError: no such card"):
            result(again)
    else:
        with pytest.raises(UnresolvedError):
            result(again)
    assert len(shop.effects) == (2 if verdict == "retryable" else 1)


def test_a_body_may_ignore_or_reject_its_message(shop: Shop, connected: Any) -> None:
    """Goal: a task that raises ``Ignore`` has run, and its duplicate is ignored too; one that
    raises ``Reject`` has not, and its duplicate runs. Method: both, twice, until the broker is
    done."""
    ends: list[str] = []

    def over(sender: Any, state: str, **_: object) -> None:
        if shop.tasks_are(sender):
            ends.append(state)

    @shop.task()
    def ignoring(order: str) -> None:
        shop.effect("ignored")
        raise Ignore

    @shop.task()
    def rejecting(order: str) -> None:
        shop.effect("rejected")
        raise Reject("not now", requeue=False)

    connected(signals.task_postrun, over)
    for number, task in enumerate((ignoring, ignoring, rejecting, rejecting), start=1):
        task.delay("a")
        until(lambda: len(ends) == number, "the message is done")  # noqa: B023  # called at once
    assert ends == ["IGNORED", "IGNORED", "REJECTED", "REJECTED"]
    assert shop.effects == ["ignored", "rejected", "rejected"]


def test_a_result_that_is_too_large_is_told(shop: Shop) -> None:
    """Goal: a task whose result does not fit into the table has run all the same: its duplicate is
    told so and does not run. Method: a result beyond the engine's limit."""

    @shop.task()
    def report(order: str) -> str:
        shop.effect(order)
        return "x" * 100_000

    assert len(result(report.delay("a"))) == 100_000
    with pytest.raises(OutcomeGoneError):
        result(report.delay("a"))
    assert shop.effects == ["a"]


def test_eager_tasks_run_once_too(shop: Shop) -> None:
    """Goal: ``apply`` answers duplicates and follows retries, without a worker. Method: a task that
    retries once, applied twice."""

    @shop.task(bind=True, default_retry_delay=600)
    def charge(self: OnceTask, order: str) -> list[int]:
        if shop.effect(order) == 1:
            raise self.retry()
        return [self.lease.attempt, self.request.retries]

    assert charge.apply(["a"]).get() == [2, 1]
    assert charge.apply(["a"]).get() == [2, 1]
    assert shop.effects == ["a", "a"]


def test_a_call_as_a_function_is_a_call(shop: Shop) -> None:
    """Goal: calling a task runs its body and touches no record, also from within a task. Method:
    two direct calls, and a task that calls itself."""

    @shop.task(bind=True)
    def charge(self: OnceTask, order: str, again: bool = False) -> int:
        number = shop.effect(order)
        return charge(order) if again else number

    assert [charge("a"), charge("a")] == [1, 2]
    with pytest.raises(LookupError):
        _ = charge.lease
    assert charge.apply(["b", True]).get() == 2


def test_what_is_no_exception_resolves_the_record(shop: Shop) -> None:
    """Goal: a task that is interrupted leaves no lease behind: the next message runs at once, as
    the next attempt. Method: the first run raises ``KeyboardInterrupt`` and ``SystemExit``."""
    causes: list[BaseException] = [KeyboardInterrupt(), SystemExit(1)]

    @shop.task(bind=True)
    def charge(self: OnceTask, order: str) -> int:
        if causes:
            raise causes.pop()
        return self.lease.attempt

    for cause in (SystemExit, KeyboardInterrupt):
        with pytest.raises(cause):
            charge.apply(["a"])
    assert charge.apply(["a"]).get() == 3


def test_a_time_limit_after_the_body_does_not_undo_it(shop: Shop) -> None:
    """Goal: a time limit that strikes between the body and the note of its result leaves the result
    noted, so that a duplicate does not run. Method: a trace function raises where a signal handler
    could, at the call that notes the result."""

    class Struck(BaseException):
        """What the handler of a time limit raises."""

    def strike(frame: FrameType, event: str, _: object) -> None:
        if frame.f_code is Run.finish.__code__:
            sys.settrace(None)
            raise Struck

    @shop.task()
    def charge(order: str) -> int:
        sys.settrace(strike)
        return shop.effect(order)

    with pytest.raises(Struck):
        charge.apply(["a"])
    assert charge.apply(["a"]).get() == 1
    assert shop.effects == ["a"]


def test_a_holder_beyond_its_lease_is_told(shop: Shop) -> None:
    """Goal: a run whose lease went to another attempt does not overwrite its result. Method: a body
    that gives its lease up, and lets another attempt finish, before it returns."""

    @shop.task(bind=True)
    def charge(self: OnceTask, order: str) -> int:
        number = shop.effect(order)
        if number == 1:
            stale = self.lease.token
            shop.engine.take_up(stale).abandon()
            assert charge.apply([order]).get() == 2
        return number

    with pytest.raises(FencedError):
        charge.apply(["a"], throw=True)
    assert charge.apply(["a"]).get() == 2


def test_an_application_without_an_engine_says_so(shop: Shop) -> None:
    """Goal: a task of an application that was not configured fails with what to do. Method: one."""
    from celery import Celery

    app = Celery("bare", broker="memory://", set_as_current=False)

    @app.task(base=OnceTask)
    def charge() -> None: ...

    with pytest.raises(InvalidInputError, match="configure"):
        charge.apply(throw=True)
    configure(app, lambda: Engine(private=True), scope="acme")
    assert charge.apply().get() is None
