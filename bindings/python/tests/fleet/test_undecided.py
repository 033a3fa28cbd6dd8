"""Ends that nobody decides: a lease that was lost on its own host while the store was gone. Nothing
is lost then, and the store says what counts once it can be told.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, signals
from celery.contrib.testing.worker import start_worker
from celery.exceptions import Ignore, Reject, Retry
from stores import PATIENCE, Hosts, Store, asked, lease_of, until

from oncegate import (
    Engine,
    Lease,
    ManualClock,
    Redis,
    RetryPolicy,
    Scope,
    TierOptions,
    TierUnavailableError,
)
from oncegate.celery import Once, OnceTask, configure
from oncegate.webhooks import Delivery, Receiver, Reply


class Losing:
    """A host that loses a lease while it asks the store how the attempt ends, by a clock of its
    own: the store says nothing, the lease lapses, and a duplicate on the same host takes it over,
    and gets no answer either.
    """

    def __init__(self, store: Store, hosts: Hosts) -> None:
        self.store = store
        self.clock = ManualClock()
        options = TierOptions(deadline=1, quarantine=0)
        redis = Redis(store.url, connections=1)
        self.engine: Engine = hosts.host(
            redis, clock=self.clock, lease_duration=30, tier_options=options
        )
        # Joined: from here on nothing is sent to the store but what is asked.
        lease_of(self.engine.begin(asked("joined"))).complete()
        self.refused: list[object] = []
        self._duplicate: threading.Thread | None = None

    def next_end(self, begin: Callable[[], object], ends: Callable[[], bool] | None = None) -> None:
        """The store says nothing from now on, and what is asked of it next, or next once it
        ``ends``, is undecided: ``begin`` is the duplicate."""

        def take_over() -> None:
            until(ends or (lambda: self.store.unread() > before), "the store is asked")
            self.clock.advance(31)
            self.refused.append(begin())

        self.store.pause()
        before = self.store.unread()
        self._duplicate = threading.Thread(target=take_over)
        self._duplicate.start()

    def back(self) -> None:
        """The store goes on."""
        assert self._duplicate is not None
        self._duplicate.join(PATIENCE)
        assert len(self.refused) == 1, "the duplicate has ended"
        self.store.resume()

    def waits(self, condition: Callable[[], bool], what: str) -> None:
        """Returns when the condition holds. The clock goes on meanwhile: by it the store is spared
        for a while after it said nothing."""

        def holds() -> bool:
            self.clock.advance(0.05)
            return condition()

        until(holds, what)


@pytest.fixture
def losing(store: Store, hosts: Hosts) -> Losing:
    return Losing(store, hosts)


# ------------------------------------------------------------------------------------------ Celery


class Shop:
    """A worker on that host, and a task whose first run ends undecided."""

    def __init__(self, losing: Losing, app: Celery, worker: Any) -> None:
        self.losing = losing
        self.app = app
        self.worker = worker
        self.runs: list[int] = []
        self.thread = 0
        """The one that the body's first run is in."""
        self.states: list[str] = []
        """How messages ended there, by Celery."""

    def task(self, ends: Callable[[Any], str], on_in_progress: Any) -> Any:
        """A task that ends so, undecided, and when it runs again returns."""

        def charge(task: Any, order: str) -> str:
            self.runs.append(task.lease.attempt)
            if len(self.runs) == 1:
                self.thread = threading.get_ident()
                self.losing.next_end(lambda: made.apply((order,)).result)
                return ends(task)
            return f"of run {len(self.runs)}"

        made = self.made(charge, Once(key=lambda order: order, on_in_progress=on_in_progress))
        return made

    def made(self, function: Callable[..., str], once: Once) -> Any:
        """A task of the app, which the worker knows."""
        named: Any = self.app.task(base=OnceTask, bind=True, shared=False, name="charge", once=once)
        made = named(function)
        self.worker.consumer.update_strategies()
        return made

    def over(self, sender: Any, state: str, **_: object) -> None:
        """Celery has done with a message."""
        if sender.app is not self.app or sender.request.is_eager:
            return
        if threading.get_ident() == self.thread:
            self.states.append(state)

    def state(self) -> str:
        """How the body's first run ended, by Celery."""
        until(lambda: bool(self.states), "the run is over")
        return self.states[0]


@pytest.fixture
def shop(losing: Losing) -> Iterator[Shop]:
    app = Celery("undecided", broker="memory://", set_as_current=False)
    app.conf.update(
        result_backend="cache+memory://",
        broker_transport_options={"polling_interval": 0.01},
        broker_connection_retry_on_startup=True,
    )
    configure(app, losing.engine, scope=Scope.SINGLE_TENANT, once=Once(requeue_delay=0.02))
    with start_worker(app, pool="threads", concurrency=4, perform_ping_check=False) as worker:
        shop = Shop(losing, app, worker)
        signals.task_postrun.connect(shop.over)
        yield shop
        signals.task_postrun.disconnect(shop.over)


def retry(task: Any) -> str:
    raise task.retry(countdown=0)


def retry_later(task: Any) -> str:
    task.retry(countdown=0, throw=False)
    return "of run 1"


def give_back(task: Any) -> str:
    return "of run 1"


@pytest.mark.parametrize("on_in_progress", ["requeue", "ignore"])
@pytest.mark.parametrize(
    ("ends", "result", "runs"),
    [(retry, "of run 2", 2), (retry_later, "of run 1", 2), (give_back, "of run 1", 1)],
)
def test_a_task_whose_end_is_undecided_is_not_lost(
    shop: Shop, ends: Callable[[Any], str], result: str, runs: int, on_in_progress: str
) -> None:
    """Goal: a task that ended while nobody could say whether that counts is neither lost nor run
    again for nothing: a retry is sent all the same, and what has returned has its result.
    Method: the server says nothing to the end, and its lease is lost to a duplicate meanwhile; the
    result, and how often the body ran, when the server is back."""
    charge = shop.task(ends, on_in_progress)
    sent = charge.delay("1")
    shop.state()
    shop.losing.back()
    assert isinstance(shop.losing.refused[0], TierUnavailableError)

    def over() -> bool:
        return sent.ready() and (sent.failed() or len(shop.runs) == runs)

    shop.losing.waits(over, "it has a result, and its retry has run")
    assert (sent.get(), len(shop.runs)) == (result, runs)


@pytest.mark.parametrize(
    ("raised", "state"),
    [(Ignore("replaced"), "IGNORED"), (Reject("no"), "REJECTED"), (Retry("by hand"), "RETRY")],
)
def test_what_a_task_says_of_itself_stands(shop: Shop, raised: Exception, state: str) -> None:
    """Goal: what a body says of its own end is what Celery hears, although nobody can say whether
    that end counts. Method: as above, with what is raised by hand; the state that Celery tells of
    the run."""

    def ends(task: Any) -> str:
        raise raised

    shop.task(ends, "requeue").delay("1")
    assert shop.state() == state
    shop.losing.back()


def test_a_message_that_was_put_back_has_not_failed(shop: Shop) -> None:
    """Goal: a message that was sent again since the store gave no answer is done with, although
    nobody can say whether giving up its delivery counts. Method: the server says nothing from
    between the delivery's record and the task's on, and the message that was put back takes the
    delivery over while it is given up; the state that Celery tells of the first one, and the
    result."""
    deliveries: list[Lease] = []

    def key(order: str) -> str:
        if not shop.thread:
            shop.thread = threading.get_ident()
            delivery = made.request.oncegate_run.delivery
            deliveries.append(delivery)
            shop.losing.store.pause()
        return order

    def charge(task: Any, order: str) -> str:
        shop.runs.append(task.lease.attempt)
        return f"of run {len(shop.runs)}"

    def published(sender: object, **_: object) -> None:
        if threading.get_ident() == shop.thread:
            signals.after_task_publish.disconnect(published)
            shop.losing.next_end(lambda: None, lambda: deliveries[0].ended)

    made = shop.made(charge, Once(key=key))
    signals.after_task_publish.connect(published)
    sent = made.delay("1")
    assert shop.state() == "IGNORED"
    shop.losing.back()
    shop.losing.waits(sent.ready, "the message that was put back has a result")
    assert sent.get() == "of run 1"


# ---------------------------------------------------------------------------------------- webhooks


def signed(_: Any, body: bytes) -> Delivery:
    return Delivery("d1", "paid", body)


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize("fails", [False, True])
def test_a_delivery_whose_end_is_undecided(losing: Losing, kind: str, fails: bool) -> None:
    """Goal: where nobody can decide about a handler's end, a delivery that was handled is done, and
    one whose handler failed is asked for again, and handled then. Method: a handler that loses its
    lease to a second delivery while the server says nothing; deliveries when it is back."""
    receiver = Receiver(losing.engine, signed)
    attempts: list[str] = []

    def handle(_: Delivery) -> None:
        attempts.append("a run")
        if len(attempts) > 1:
            return
        losing.next_end(lambda: receiver.receive({}, b"{}", handle))
        if fails:
            raise KeyError("a bug")

    async def handle_async(delivery: Delivery) -> None:
        handle(delivery)

    def deliver() -> Reply:
        if kind == "plain":
            return receiver.receive({}, b"{}", handle)
        return asyncio.run(receiver.receive_async({}, b"{}", handle_async))

    first = deliver()
    losing.back()
    assert losing.refused == [Reply(503, (("retry-after", "1"),))]
    if not fails:
        assert first == Reply(204)
        return
    assert (first.status, [name for name, _ in first.headers]) == (503, ["retry-after"])
    replies: list[Reply] = []

    def done() -> bool:
        replies.append(deliver())
        return replies[-1] == Reply(204)

    losing.waits(done, "a delivery is handled")
    assert {reply.status for reply in replies} <= {204, 409, 503}
    assert len(attempts) == 2


# --------------------------------------------------------------------------------- calls that retry


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_the_works_own_error_is_raised(losing: Losing, kind: str) -> None:
    """Goal: a call whose work failed raises what the work raised, although nobody can say whether
    that end counts, and does not try again. Method: work that loses its lease before it fails."""
    policy = RetryPolicy(backoff="constant", initial=0.01, jitter="none", max_attempts=3)
    runs: list[int] = []

    def work() -> None:
        runs.append(1)
        losing.next_end(duplicate)
        raise KeyError("a bug")

    def duplicate() -> None:
        with pytest.raises(TierUnavailableError):
            losing.engine.begin(asked())

    async def work_async() -> None:
        work()

    with pytest.raises(KeyError, match="a bug"):
        if kind == "plain":
            losing.engine.run_with_retries(asked(), work, policy=policy)
        else:
            made = losing.engine.run_with_retries_async(asked(), work_async, policy=policy)
            asyncio.run(made)
    losing.back()
    assert len(runs) == 1
