"""The application of the tests that need worker processes; it keeps its ledger in Redis."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import redis
from celery import Celery, signals

from oncegate import Engine, Scope
from oncegate.celery import OnceTask, configure

BROKER = os.environ["WORKSHOP_BROKER"]
TABLE = os.environ["WORKSHOP_TABLE"]
"""The path of the table, or nothing: then the pool's processes inherit one."""

app = Celery("workshop", broker=BROKER, backend=BROKER)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=4,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": 1,
        "unacked_restore_interval": 0.2,
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": 1,
    },
)


def opened() -> Engine:
    """The table that all workers share."""
    return Engine(path=TABLE, capacity=10_000)


configure(app, opened if TABLE else Engine(capacity=10_000), scope=Scope.SINGLE_TENANT)
ledger = redis.Redis.from_url(BROKER, decode_responses=True)


def until(condition: Callable[[], bool]) -> None:
    """Returns when the condition holds."""
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)  # sleep: Redis tells nobody; it is asked again


def delivered_twice(order: str) -> bool:
    """Whether the broker has delivered the order's message again."""
    return int(ledger.get(f"delivered:{order}") or 0) >= 2


@app.task(base=OnceTask)
def charge(processes: int, order: str) -> int:
    """Charges, and returns when messages of the order were in so many processes."""
    number = ledger.rpush(f"charges:{order}", os.getpid())
    until(lambda: ledger.scard(f"processes:{order}") >= processes)
    return number


@app.task(base=OnceTask)
def charge_slowly(order: str) -> int:
    number = ledger.rpush(f"charges:{order}", os.getpid())
    until(lambda: delivered_twice(order))
    return number


@app.task(base=OnceTask)
def decline_slowly(order: str) -> None:
    ledger.rpush(f"charges:{order}", os.getpid())
    until(lambda: delivered_twice(order))
    raise ValueError("declined")


@app.task
def note(number: int, order: str) -> None:
    """What follows a charge, and is not protected itself."""
    ledger.rpush(f"notes:{order}", number)


@app.task(base=OnceTask, bind=True)
def hang(self: OnceTask, order: str) -> int:
    """Hangs the first time, until it is interrupted or killed."""
    if ledger.rpush(f"charges:{order}", os.getpid()) == 1:
        until(lambda: False)
    return self.lease.attempt


@signals.task_prerun.connect
def delivered(sender: Any, args: Any, **_: object) -> None:
    """A process of a worker got a message."""
    if sender.app is app:
        ledger.incr(f"delivered:{args[-1]}")
        ledger.sadd(f"processes:{args[-1]}", os.getpid())
