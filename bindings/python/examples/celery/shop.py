"""A shop's tasks, each without oncegate and with it, and what the demonstration observes of them.

Every side effect is one entry of a list in Redis, the shop's ledger, so that it can be counted.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any, Callable

import redis
from celery import Celery, signals

from oncegate import Engine, Scope
from oncegate.celery import OnceTask, configure

BROKER = os.environ.get("SHOP_BROKER", "redis://127.0.0.1:6379/0")
VISIBILITY_TIMEOUT = 1
"""Seconds after which the broker hands a message to somebody else, which no acknowledgement has
come for. An hour is Celery's default, and tasks are longer than an hour elsewhere."""

app = Celery("shop", broker=BROKER, backend=BROKER)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": VISIBILITY_TIMEOUT,
        # How often a worker looks for such messages: every 100 s unless it is told.
        "unacked_restore_interval": 0.2,
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": 1,
    },
)
configure(
    app,
    # A function: each process of a worker opens the table when it runs its first task.
    lambda: Engine(path=os.environ["SHOP_TABLE"], capacity=10_000),
    scope=Scope.SINGLE_TENANT,
)
ledger = redis.Redis.from_url(BROKER, decode_responses=True)


def charge(order: str) -> None:
    """The side effect that must happen once."""
    ledger.rpush(f"charges:{order}", os.getpid())


def until(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Returns when the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"in vain for {seconds} s: {what}")
        time.sleep(0.02)  # sleep: other processes wake nobody here


def count(name: str) -> int:
    """A number that the shop keeps in Redis."""
    return int(ledger.get(name) or 0)


# ------------------------------------------------------------------ a task longer than the timeout


def settle(order: str) -> str:
    """Charges, and goes on working until the broker has delivered the order a second time."""
    charge(order)
    until(lambda: count(f"delivered:{order}") >= 2, "a second delivery")
    return f"settled {order}"


@app.task
def settle_plain(order: str) -> str:
    return settle(order)


@app.task(base=OnceTask)
def settle_once(order: str) -> str:
    return settle(order)


# ------------------------------------------------------------------ an ETA beyond the timeout


@app.task
def remind_plain(order: str) -> None:
    charge(order)


@app.task(base=OnceTask)
def remind_once(order: str) -> None:
    charge(order)


# ------------------------------------------------------------------ killed after the work


@app.task
def pay_plain(order: str) -> None:
    charge(order)


@app.task(base=OnceTask)
def pay_once(order: str) -> None:
    charge(order)


# ------------------------------------------------------------------ killed between two parts


def ship(order: str) -> None:
    """What comes after the charge. The first time it never ends: the process is killed here."""
    if ledger.rpush(f"shippers:{order}", os.getpid()) == 1:
        until(lambda: False, "being killed")


@app.task
def order_plain(order: str) -> None:
    charge(order)
    ship(order)


@app.task(base=OnceTask, bind=True)
def order_once(self: OnceTask, order: str) -> None:
    # What is finished stands in the record: the next attempt does not charge again.
    if self.lease.finished_step("charge") is None:
        charge(order)
        self.lease.finish_step("charge")
    ship(order)


# ------------------------------------------------------------------ what is observed


@signals.task_received.connect
def received(request: Any, **_: object) -> None:
    """A worker got a message; it may hold it until its ETA."""
    ledger.incr(f"received:{request.id}")


@signals.task_prerun.connect
def delivered(args: Any, **_: object) -> None:
    """A process of a worker got a task, whether its body runs or not."""
    ledger.incr(f"delivered:{args[0]}")


@signals.task_postrun.connect
def killed(args: Any, **_: object) -> None:
    """Kills the whole worker after the work, before the acknowledgement, where that is asked."""
    if ledger.getdel(f"kill after:{args[0]}"):
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
