"""Workers for the tests: in this process, with a broker in memory."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker
from oncegate import Engine, Scope
from oncegate.celery import Once, OnceTask, configure

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "celery"))


class Shop:
    """An application with an engine, and what its tasks did."""

    def __init__(self) -> None:
        # Each has a broker of its own: Celery's is one for each process and queue.
        self.app = Celery(f"shop-{uuid.uuid4().hex}", broker="memory://", set_as_current=False)
        self.app.conf.update(
            result_backend="cache+memory://",
            task_default_queue=f"queue-{uuid.uuid4().hex}",
            task_store_eager_result=True,
            broker_transport_options={"polling_interval": 0.01},
            broker_connection_retry_on_startup=True,
        )
        self.engine = Engine(capacity=1_000)
        configure(
            self.app,
            self.engine,
            scope=Scope.SINGLE_TENANT,
            once=Once(requeue_delay=0.02),
        )
        self.effects: list[Any] = []
        self.lock = threading.Lock()

    def effect(self, what: Any) -> int:
        """A side effect; the number of those that are the same, with this one."""
        with self.lock:
            self.effects.append(what)
            return self.effects.count(what)

    def task(self, **options: Any) -> Callable[[Callable[..., Any]], Any]:
        """A decorator for a task of this application alone."""
        return self.app.task(base=OnceTask, shared=False, **options)

    @contextlib.contextmanager
    def working(self, pool: str = "threads", concurrency: int = 4) -> Iterator[None]:
        """With a worker."""
        with start_worker(
            self.app,
            pool=pool,
            concurrency=concurrency,
            perform_ping_check=False,
            shutdown_timeout=60,
        ):
            yield


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.engine.close()


def until(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Returns when the condition holds; fails if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"in vain for {seconds} s: {what}"
        time.sleep(0.005)
