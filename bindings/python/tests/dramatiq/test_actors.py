"""Dramatiq actors that run once, with real workers."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import dramatiq
import pytest
from dramatiq import Worker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.results import ResultFailure, Results
from dramatiq.results.backends import RedisBackend, StubBackend

from oncegate import Engine, ErrorPolicy, Scope, current_lease
from oncegate.dramatiq import Once, OnceMiddleware


@pytest.fixture
def redis_port(tmp_path: Any) -> Iterator[int]:
    """A Redis server of the test's own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    server = subprocess.Popen([*command, "--dir", str(tmp_path)], stdout=subprocess.DEVNULL)
    try:
        until(lambda: answers(port), "the server answers")
        yield port
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture(params=["stub", "redis"])
def broker(request: pytest.FixtureRequest) -> Iterator[dramatiq.Broker]:
    """A broker with the middleware, and a worker with four threads."""
    with Engine(capacity=1_000) as engine:
        made: dramatiq.Broker
        if request.param == "redis":
            port = request.getfixturevalue("redis_port")
            made = untyped(RedisBroker)(host="127.0.0.1", port=port, namespace=uuid.uuid4().hex)
            backend = RedisBackend(host="127.0.0.1", port=port)
            made.add_middleware(untyped(Results)(backend=backend))
        else:
            made = StubBroker()
            made.add_middleware(untyped(Results)(backend=StubBackend()))
        once = Once(requeue_delay=0.02)
        made.add_middleware(OnceMiddleware(engine, scope=Scope.SINGLE_TENANT, once=once))
        worker = Worker(made, worker_threads=4, worker_timeout=50)
        worker.start()
        try:
            yield made
        finally:
            worker.stop()
            made.close()


def untyped(made: Any) -> Any:
    """What has no types of its own, for the strict checker."""
    return made


def result(broker: dramatiq.Broker, message: Any) -> Any:
    """What the actor of a message returned."""
    return broker.get_results_backend().get_result(message, block=True, timeout=30_000)


def test_a_duplicate_gets_the_stored_result(broker: dramatiq.Broker) -> None:
    """Goal: messages with equal arguments run once, however they are given, and each has the
    result; another argument runs. Method: four messages to a worker."""
    effects: list[str] = []

    @dramatiq.actor(broker=broker, once=True, store_results=True)
    def charge(order: str, cents: int = 5) -> int:
        effects.append(order)
        return len(effects)

    sent = [charge.send("a"), charge.send("a", 5), charge.send(cents=5, order="a")]
    assert [result(broker, one) for one in sent] == [1, 1, 1]
    assert result(broker, charge.send("b")) == 2
    assert charge("a") == 3, "a call as a function is a call"


def test_a_duplicate_waits_without_a_thread_for_the_one_that_runs(
    broker: dramatiq.Broker,
) -> None:
    """Goal: messages whose duplicate runs block no thread of the worker, and get the result.
    Method: eight duplicates for four threads; another actor's message runs meanwhile and ends the
    wait."""
    started, released = threading.Event(), threading.Event()
    effects: list[str] = []

    @dramatiq.actor(broker=broker, once=True, store_results=True)
    def slow(order: str) -> str:
        effects.append(order)
        started.set()
        assert released.wait(30)
        return "done"

    @dramatiq.actor(broker=broker)
    def release() -> None:
        released.set()

    first = slow.send("a")
    assert started.wait(30)
    duplicates = [slow.send("a") for _ in range(8)]
    release.send()
    assert [result(broker, one) for one in (first, *duplicates)] == ["done"] * 9
    assert effects == ["a"]


def test_retries_are_attempts_of_one_record(broker: dramatiq.Broker) -> None:
    """Goal: Dramatiq's retries raise the attempt, and a failure for good is not run again. Method:
    an actor that fails twice, and one whose error is final."""
    attempts: list[int] = []

    @dramatiq.actor(broker=broker, once=True, store_results=True, min_backoff=1, max_backoff=2)
    def flaky(order: str) -> int:
        attempts.append(current_lease().attempt)
        if len(attempts) < 3:
            raise OSError("no route")
        return len(attempts)

    declined: list[str] = []

    @dramatiq.actor(
        broker=broker,
        once=Once(errors=ErrorPolicy(final=ValueError)),
        store_results=True,
        min_backoff=1,
        max_retries=2,
    )
    def hopeless(order: str) -> None:
        declined.append(order)
        raise ValueError("declined")

    assert result(broker, flaky.send("a")) == 3
    assert attempts == [1, 2, 3]
    for message in (hopeless.send("a"), hopeless.send("a")):
        with pytest.raises(ResultFailure):
            result(broker, message)
    assert declined == ["a"]


def until(condition: Callable[[], bool], what: str) -> None:
    """Returns when the condition holds; fails if it does not in time."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.005)  # sleep: a condition wakes nobody


def answers(port: int) -> bool:
    """Whether something listens."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
