"""Retries of tasks, with a real worker in this process."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from celery import signals
from conftest import Shop, result, until

from oncegate import ScheduledError
from oncegate.celery import Once, OnceTask


class Overlaps:
    """Notices whether two attempts run at a time."""

    def __init__(self) -> None:
        self.running = 0
        self.seen = 0
        self.lock = threading.Lock()

    def __enter__(self) -> None:
        with self.lock:
            self.running += 1
            self.seen = max(self.seen, self.running)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.running -= 1


def test_retries_keep_the_key_raise_the_attempt_and_never_overlap(shop: Shop) -> None:
    """Goal: ``self.retry`` runs the same record again, attempt by attempt, never two at a time, and
    duplicates sent meanwhile get the last result. Method: the body goes on after ``retry`` until
    its message would long have been delivered; five duplicates are sent by the first attempt."""
    overlaps, attempts = Overlaps(), []
    sent: list[Any] = []

    @shop.task(bind=True, default_retry_delay=0, max_retries=5)
    def charge(self: OnceTask, order: str) -> int:
        with overlaps:
            attempts.append((self.lease.attempt, self.request.retries))
            if not sent:
                sent.extend(charge.delay(order) for _ in range(5))
            if len(attempts) < 4:
                try:
                    self.retry()
                finally:
                    threading.Event().wait(0.05)
            return self.lease.attempt

    first = charge.delay("a")
    until(lambda: len(attempts) == 4 and len(sent) == 5, "four attempts ran")
    assert [result(one) for one in sent] == [4] * 5
    assert first.id
    assert [attempt for attempt, _ in attempts] == [1, 2, 3, 4]
    assert overlaps.seen == 1


def test_a_retry_is_never_ignored(shop: Shop) -> None:
    """Goal: with ``on_in_progress="ignore"`` the message of a retry is not taken for a duplicate of
    the attempt that asked for it. Method: the body goes on after ``retry`` for as long as a message
    would take to be delivered."""

    @shop.task(bind=True, default_retry_delay=0, once=Once(on_in_progress="ignore"))
    def charge(self: OnceTask, order: str) -> int:
        if self.lease.attempt == 1:
            try:
                self.retry()
            finally:
                threading.Event().wait(2.0)
        return self.lease.attempt

    assert result(charge.delay("a")) == 2


def test_an_automatic_retry_is_the_next_attempt(shop: Shop) -> None:
    """Goal: ``autoretry_for`` goes through the same record. Method: two failures, then a result."""

    @shop.task(bind=True, autoretry_for=(OSError,), retry_backoff=False, default_retry_delay=0)
    def charge(self: OnceTask, order: str) -> list[int]:
        if shop.effect(order) < 3:
            raise OSError("no route")
        return [self.lease.attempt, self.request.retries]

    assert result(charge.delay("a")) == [3, 2]
    assert result(charge.delay("a")) == [3, 2]


def test_a_duplicate_of_what_is_put_off_waits_for_its_time(shop: Shop, connected: Any) -> None:
    """Goal: while a task waits for its retry, its duplicate does not run it early. Method: a retry
    in an hour; its duplicate is delivered three times and the body does not run; applied, it says
    when the attempt is due."""
    delivered: list[str] = []

    def count(task_id: str, **_: object) -> None:
        delivered.append(task_id)

    @shop.task(bind=True)
    def charge(self: OnceTask, order: str) -> int:
        shop.effect(order)
        raise self.retry(countdown=3600)

    connected(signals.task_prerun, count)
    first = charge.delay("a")
    until(lambda: first.state == "RETRY", "it is put off")
    charge.apply_async(["a"], task_id=shop.id("second"))
    until(lambda: delivered.count(shop.id("second")) >= 3, "its duplicate looked three times")
    with pytest.raises(ScheduledError) as refused:
        charge.apply(["a"], throw=True)
    assert refused.value.retry_after == pytest.approx(3600, abs=60)
    assert shop.effects == ["a"]


def test_a_body_may_go_on_after_its_retry(shop: Shop) -> None:
    """Goal: with ``throw=False`` the body goes on, the retry is sent when it is over, and the
    record waits for it. Method: what the body of the first attempt sees, and the result of the
    second."""
    told: list[tuple[int, str]] = []

    @shop.task(bind=True, default_retry_delay=0)
    def charge(self: OnceTask, order: str) -> str:
        told.append((self.lease.attempt, "begins"))
        if self.lease.attempt == 1:
            self.retry(throw=False)
            told.append((1, "goes on"))
            return "put off"
        return "charged"

    charge.apply_async(["a"], task_id=shop.id("first"))
    until(lambda: len(told) == 3, "a second attempt ran")
    assert result(charge.delay("a")) == "charged"
    assert told == [(1, "begins"), (1, "goes on"), (2, "begins")]


def test_when_retries_are_used_up_a_new_message_runs(shop: Shop) -> None:
    """Goal: the error after the last retry is the task's, and a message sent later runs as the
    next attempt. Method: one retry allowed, two failures, then a success."""

    @shop.task(bind=True, max_retries=1, default_retry_delay=0)
    def charge(self: OnceTask, order: str) -> int:
        if shop.effect(order) < 3:
            try:
                raise ValueError("declined")
            except ValueError as error:
                raise self.retry(exc=error) from error
        return self.lease.attempt

    with pytest.raises(ValueError, match="declined"):
        result(charge.delay("a"))
    assert result(charge.delay("a")) == 3
