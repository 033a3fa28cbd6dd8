"""Worker processes with each kind of pool, a real Redis broker, and what kills tasks."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import demo
import pytest
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from celery.exceptions import TaskRevokedError
from conftest import until

HERE = Path(__file__).parent


class Workshop:
    """Workers of the application ``workshop``, and the application itself, to send to them."""

    def __init__(self, module: Any, workers: demo.Workers) -> None:
        self.module = module
        self.workers = workers

    def charges(self, order: str) -> int:
        """How often an order was charged."""
        return int(self.module.ledger.llen(f"charges:{order}"))

    def until_quiet(self) -> None:
        """Returns when the broker has no message any more."""
        still = 0

        def quiet() -> bool:
            nonlocal still
            ledger = self.module.ledger
            still = still + 1 if ledger.llen("celery") + ledger.hlen("unacked") == 0 else 0
            return still >= 20

        until(quiet, "the broker is empty")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with demo.redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


def working(broker: str, folder: Path, pool: str, table: bool, count: int) -> Iterator[Workshop]:
    """Workers that are ended with the test."""
    ours = {"WORKSHOP_BROKER": broker, "WORKSHOP_TABLE": str(folder / "table") if table else ""}
    os.environ.update(ours)
    sys.path.insert(0, str(HERE))
    module = importlib.import_module("workshop")
    module.ledger.flushall()
    workers = demo.Workers({**os.environ, "PYTHONPATH": str(HERE)}, folder, pool, "workshop")
    try:
        for _ in range(count):
            workers.start()
        yield Workshop(module, workers)
    finally:
        workers.end()
        # Results of Celery talk to the server when they are collected: while it is there.
        gc.collect()


@pytest.fixture
def workshop(broker: str, tmp_path: Path) -> Iterator[Workshop]:
    """Two workers with two pool processes each, which share a table."""
    yield from working(broker, tmp_path, "prefork", table=True, count=2)


@pytest.fixture(params=["prefork", "threads", "solo"])
def pool(request: pytest.FixtureRequest, broker: str, tmp_path: Path) -> Iterator[Workshop]:
    """One worker whose pool inherits its table."""
    yield from working(broker, tmp_path, request.param, table=False, count=1)


def charged_by_many(workshop: Workshop, processes: int) -> None:
    """Sends an order ten times; it is done when its messages have been in so many processes."""
    for _ in range(3):
        order = uuid.uuid4().hex
        sent = [workshop.module.charge.delay(processes, order) for _ in range(10)]
        assert [one.get(timeout=60) for one in sent] == [1] * 10
        assert workshop.charges(order) == 1


def test_each_kind_of_pool_runs_duplicates_once(pool: Workshop) -> None:
    """Goal: a table that is opened before the pool is started is one table for the whole pool, of
    processes or threads. Method: orders sent ten times, which every process of the pool meets."""
    charged_by_many(pool, 2 if pool.workers.pool == "prefork" else 1)


def test_workers_share_a_table_by_its_path(workshop: Workshop) -> None:
    """Goal: pool processes of two workers run an order once. Method: orders sent ten times, which
    three of the four processes meet."""
    charged_by_many(workshop, 3)


def test_what_follows_a_task_is_sent_once(workshop: Workshop) -> None:
    """Goal: a message that was delivered twice sends its callback once. Method: a task longer than
    the visibility timeout, with a link to a task that is not protected."""
    order = uuid.uuid4().hex
    follow = workshop.module.note.s(order)
    sent = workshop.module.charge_slowly.apply_async([order], link=follow)
    assert sent.get(timeout=60) == 1
    workshop.until_quiet()
    assert workshop.charges(order) == 1
    assert workshop.module.ledger.llen(f"notes:{order}") == 1


def test_what_failed_is_not_run_again_by_its_second_delivery(workshop: Workshop) -> None:
    """Goal: a message that was delivered again while its task ran does not run when the task has
    failed; a new message does. Method: a task that fails after its second delivery, and one more
    message."""
    order = uuid.uuid4().hex
    with pytest.raises(ValueError, match="declined"):
        workshop.module.decline_slowly.delay(order).get(timeout=60)
    workshop.until_quiet()
    assert workshop.charges(order) == 1
    with pytest.raises(ValueError, match="declined"):
        workshop.module.decline_slowly.delay(order).get(timeout=60)
    assert workshop.charges(order) == 2


@pytest.mark.parametrize("kill", ["soft limit", "hard limit", "revoke"])
def test_a_task_that_is_killed_leaves_no_lease(workshop: Workshop, kill: str) -> None:
    """Goal: after a soft time limit, a hard one, or a revocation that kills the process, a new
    message runs as the next attempt, and does not wait for a lease of 30 s. Method: a task that
    hangs the first time; the second message has ten seconds."""
    order = uuid.uuid4().hex
    hang = workshop.module.hang
    if kill == "soft limit":
        with pytest.raises(SoftTimeLimitExceeded):
            hang.apply_async([order], soft_time_limit=1).get(timeout=60)
    elif kill == "hard limit":
        with pytest.raises(TimeLimitExceeded):
            hang.apply_async([order], time_limit=1).get(timeout=60)
    else:
        sent = hang.delay(order)
        until(lambda: workshop.charges(order) == 1, "it hangs")
        sent.revoke(terminate=True, signal="SIGKILL")
        with pytest.raises(TaskRevokedError):
            sent.get(timeout=60)
    assert hang.delay(order).get(timeout=10) == 2
    assert workshop.charges(order) == 2
