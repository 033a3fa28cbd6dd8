"""Tasks that workers of several hosts run: each worker has a table of its own."""

from __future__ import annotations

import os

import redis
from celery import Celery

from oncegate import Engine, Scope
from oncegate.celery import Once, OnceTask, configure

STORE = os.environ["STORE"]

app = Celery("works", broker=STORE, backend=STORE)
app.conf.update(worker_prefetch_multiplier=4, broker_connection_retry_on_startup=True)


def opened() -> Engine:
    """This process's table, or, made at import, that of a worker and its pool."""
    return Engine(redis=STORE, secret=b"s" * 32, capacity=1_000)


configure(
    app,
    opened if os.environ["OPENS"] == "late" else opened(),
    scope=Scope.SINGLE_TENANT,
    once=Once(requeue_delay=0.05),
)
ledger = redis.Redis.from_url(STORE, decode_responses=True)


@app.task(base=OnceTask, once=Once(key=lambda order: order))
def charge(order: str) -> int:
    """The side effect; gives the process that had it."""
    ledger.rpush(f"charges:{order}", os.getpid())
    return os.getpid()
