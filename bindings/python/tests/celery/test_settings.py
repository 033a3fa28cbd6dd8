"""Settings that do not fit each other."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery, signals
from celery.schedules import crontab, schedule

from oncegate import Engine, Scope
from oncegate.celery import Once, OnceTask, SettingsWarning, check_settings, configure


def shop(broker: str = "redis://127.0.0.1:1/0", **settings: Any) -> Celery:
    """An application with Redis for its broker, which nobody connects to."""
    app = Celery("shop", broker=broker, set_as_current=False)
    app.conf.update(**settings)
    configure(app, lambda: Engine(private=True), scope=Scope.SINGLE_TENANT)
    return app


def nothing() -> None:
    """A task's body."""


def declared(app: Celery, once: Once | None = None, **options: Any) -> list[str]:
    """What is found of an application with one task."""
    task: Any = app.task
    task(base=OnceTask, shared=False, name="charge", once=once, **options)(nothing)
    return [str(warning) for warning in check_settings(app)]


def test_ordinary_settings_fit() -> None:
    """Goal: the defaults of Celery and of this package raise no warning, with late acknowledgement
    too where killed processes are told. Method: both."""
    assert declared(shop()) == []
    assert declared(shop(), acks_late=True, reject_on_worker_lost=True) == []
    assert declared(shop("amqp://"), Once(dedup_window=1, lease_duration=60)) == []


@pytest.mark.parametrize(
    ("once", "options", "found"),
    [
        (Once(dedup_window=60), {}, r"dedup_window \(60 s\) is shorter .* \(3600 s\)"),
        (Once(lease_duration=timedelta(hours=2)), {}, r"lease_duration \(7200 s\) is longer"),
        (
            Once(on_in_progress="ignore"),
            {"acks_late": True, "reject_on_worker_lost": True},
            "it is lost if that worker dies",
        ),
        (None, {"default_retry_delay": 7200}, r"default_retry_delay \(7200 s\) is longer"),
        (None, {"acks_late": True}, "acks_late without reject_on_worker_lost"),
    ],
)
def test_what_does_not_fit_is_told(once: Once | None, options: dict[str, Any], found: str) -> None:
    """Goal: each pair of settings that lets a task run twice, wait or be lost has its warning, with
    both numbers. Method: one task with each, on a Redis broker."""
    texts = declared(shop(), once, **options)
    assert len(texts) == 1
    assert re.search(found, texts[0])
    assert texts[0].startswith("charge: ")


def test_the_broker_tells_its_timeout() -> None:
    """Goal: the visibility timeout is the configured one, or the broker's default; RabbitMQ has
    none. Method: a window between them."""
    once = Once(dedup_window=2_000)
    assert len(declared(shop(), once)) == 1
    assert declared(shop(broker_transport_options={"visibility_timeout": 1_000}), once) == []
    assert declared(shop("sqs://"), once) == []
    assert declared(shop("amqp://"), once) == []


@pytest.mark.parametrize("every", [60.0, timedelta(minutes=1), schedule(60.0)])
def test_a_schedule_within_the_window_is_told(every: object) -> None:
    """Goal: a task that beat sends more often than its window lets it run is told; one by task id
    is not, and neither is one whose interval is no number. Method: the same schedule in three
    ways."""
    entry = {"minutely": {"task": "charge", "schedule": every}}
    assert "runs once in a window" in declared(shop(beat_schedule=entry))[0]
    assert declared(shop(beat_schedule=entry), Once(key="task_id")) == []
    daily = {"daily": {"task": "charge", "schedule": crontab(hour=4)}}
    assert declared(shop(beat_schedule=daily)) == []


def test_a_worker_logs_what_does_not_fit(caplog: pytest.LogCaptureFixture) -> None:
    """Goal: nobody has to call the check. Method: the signal that a worker sends when it is ready;
    tasks with the same fault share a line."""
    app = shop()
    for name in ("one", "two"):
        app.task(base=OnceTask, shared=False, name=name, acks_late=True)(nothing)

    class Ready:
        """What Celery sends the signal for: an object that knows the application."""

        def __init__(self) -> None:
            self.app = app

    ready = Ready()
    logging.getLogger("oncegate.celery").propagate = True
    with caplog.at_level(logging.WARNING):
        signals.worker_ready.send(sender=ready)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["one, two"]
    assert isinstance(check_settings(app)[0], SettingsWarning)
