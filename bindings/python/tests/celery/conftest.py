"""A worker for the tests: in this process, with a broker in memory."""

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
    """An engine of a test's own, its tasks, and what they did."""

    def __init__(self, app: Celery, worker: Any) -> None:
        self.app = app
        self.worker = worker
        self.name = uuid.uuid4().hex
        self.engine = Engine(capacity=1_000)
        configure(app, self.engine, scope=Scope.SINGLE_TENANT, once=Once(requeue_delay=0.02))
        self.effects: list[Any] = []
        self.lock = threading.Lock()

    def id(self, name: str) -> str:
        """A task id of this test's own."""
        return f"{self.name}-{name}"

    def effect(self, what: Any) -> int:
        """A side effect; the number of those that are the same, with this one."""
        with self.lock:
            self.effects.append(what)
            return self.effects.count(what)

    def task(self, **options: Any) -> Callable[[Callable[..., Any]], Any]:
        """A decorator for a task of this test alone."""

        def decorate(function: Callable[..., Any]) -> Any:
            name = f"{self.name}.{function.__name__}"
            task: Any = self.app.task
            made = task(base=OnceTask, shared=False, name=name, **options)(function)
            # The worker is there already, and learns of its tasks when it starts.
            self.worker.consumer.update_strategies()
            return made

        return decorate

    def tasks_are(self, sender: Any) -> bool:
        """Whether a signal is about a task of this test."""
        return str(sender.name).startswith(self.name)


@pytest.fixture(scope="session")
def worker() -> Iterator[Any]:
    """A worker with four threads."""
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.update(
        result_backend="cache+memory://",
        broker_transport_options={"polling_interval": 0.01},
        broker_connection_retry_on_startup=True,
        worker_prefetch_multiplier=16,
    )
    with start_worker(app, pool="threads", concurrency=4, perform_ping_check=False) as worker:
        yield worker


@pytest.fixture
def shop(worker: Any) -> Iterator[Shop]:
    shop = Shop(worker.app, worker)
    yield shop
    # What a test leaves in the queue fails with the engine that is closed, and is gone.
    shop.engine.close()


@pytest.fixture
def connected() -> Iterator[Callable[[Any, Callable[..., None]], None]]:
    """Connects a receiver to a signal of Celery until the test is over."""
    with contextlib.ExitStack() as stack:

        def connect(signal: Any, receiver: Callable[..., None]) -> None:
            signal.connect(receiver, weak=False)
            stack.callback(signal.disconnect, receiver)

        yield connect


def result(sent: Any) -> Any:
    """What a task returned."""
    return sent.get(timeout=30, interval=0.01)


def until(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Returns when the condition holds; fails if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"in vain for {seconds} s: {what}"
        time.sleep(0.005)  # sleep: a condition wakes nobody
