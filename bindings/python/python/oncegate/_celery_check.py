"""Settings of Celery, the broker and the engine that do not fit each other."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from celery import signals
from celery.utils.log import get_logger

from ._once import seconds

if TYPE_CHECKING:
    from celery import Celery

    from .celery import OnceTask

logger = get_logger("oncegate.celery")

VISIBILITY_TIMEOUTS = {"redis": 3600.0, "rediss": 3600.0, "sentinel": 3600.0, "sqs": 1800.0}
"""The brokers that deliver a message again, which was not acknowledged in time, and their
defaults."""


class SettingsWarning(UserWarning):
    """Settings do not fit; the message says which, and what to do."""


def visibility_timeout(app: Celery) -> float | None:
    """After how long the broker delivers a message again; ``None``: it has no such time."""
    scheme = str(app.conf.broker_url or "").partition(":")[0].partition("+")[0]
    default = VISIBILITY_TIMEOUTS.get(scheme)
    options: dict[str, Any] = app.conf.broker_transport_options or {}
    given = options.get("visibility_timeout", default)
    return None if given is None else float(given)


def check_settings(app: Celery) -> list[SettingsWarning]:
    """What does not fit, of the tasks of an application that are :class:`OnceTask`.

    A worker logs it when it is ready. A test of yours may ask that there is nothing::

        assert check_settings(app) == []
    """
    from .celery import OnceTask

    timeout = visibility_timeout(app)
    found: dict[str, list[str]] = {}
    for name, task in sorted(app.tasks.items()):
        if isinstance(task, OnceTask):
            for text in (*_of_timeout(task, timeout), *_of_kills(task), *_of_beat(app, task)):
                found.setdefault(text, []).append(name)
    return [SettingsWarning(f"{', '.join(names)}: {text}") for text, names in found.items()]


def _of_timeout(task: OnceTask, timeout: float | None) -> list[str]:
    """Of what the broker delivers again."""
    if timeout is None:
        return []
    once = task.once_settings
    window, lease = seconds(once.dedup_window), seconds(once.lease_duration)
    texts: list[str] = []
    if window < timeout:
        texts.append(
            f"dedup_window ({window:g} s) is shorter than visibility_timeout ({timeout:g} s): a "
            "message that is delivered again after a crash may run again"
        )
    if once.on_in_progress == "ignore" and task.acks_late:
        texts.append(
            "on_in_progress='ignore' with acks_late: acknowledging a message that was delivered "
            "again acknowledges the one that runs, and it is lost if that worker dies"
        )
    if once.on_in_progress == "requeue" and lease > timeout:
        texts.append(
            f"lease_duration ({lease:g} s) is longer than visibility_timeout ({timeout:g} s): "
            "after a process hung, its message waits for the lease and not for the broker"
        )
    delay = task.default_retry_delay or 0
    if delay > timeout:
        texts.append(
            f"default_retry_delay ({delay:g} s) is longer than visibility_timeout ({timeout:g} s): "
            "each worker in turn gets the retry, and holds it until it is due"
        )
    return texts


def _of_kills(task: OnceTask) -> list[str]:
    """Of attempts that are killed."""
    if task.acks_late and not task.reject_on_worker_lost:
        lost = (
            "acks_late without reject_on_worker_lost: the message of a pool process that is "
            "killed is acknowledged, and no attempt follows"
        )
        return [lost]
    return []


def _of_beat(app: Celery, task: OnceTask) -> list[str]:
    """Of tasks that are meant to run again."""
    once = task.once_settings
    if once.key != "arguments":
        return []
    window = seconds(once.dedup_window)
    texts: list[str] = []
    schedules: dict[str, dict[str, Any]] = app.conf.beat_schedule or {}
    for label, entry in sorted(schedules.items()):
        every = _interval(entry.get("schedule"))
        if entry.get("task") == task.name and every is not None and every < window:
            texts.append(
                f"beat sends it every {every:g} s as {label!r}, and dedup_window is {window:g} s: "
                "with equal arguments it runs once in a window; set a shorter one, or "
                "key='task_id'"
            )
    return texts


def _interval(schedule: Any) -> float | None:
    """Seconds between two runs, where that is one number."""
    if isinstance(schedule, (int, float)):
        return float(schedule)
    if isinstance(schedule, timedelta):
        return schedule.total_seconds()
    every = getattr(schedule, "run_every", None)
    return every.total_seconds() if isinstance(every, timedelta) else None


def warn_of_settings(sender: Any, **_: object) -> None:
    """Logs what does not fit, when a worker is ready."""
    app = getattr(sender, "app", None)
    if app is not None and getattr(app, "oncegate", None) is not None:
        for warning in check_settings(app):
            logger.warning("%s", warning)


signals.worker_ready.connect(warn_of_settings, weak=False)
