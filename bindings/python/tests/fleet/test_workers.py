"""Celery workers of several hosts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stores import PATIENCE, Store

HERE = Path(__file__).parent
ORDERS = [f"order-{number}" for number in range(8)]


@contextlib.contextmanager
def worker(queue: str, pool: str, environment: dict[str, str], folder: Path) -> Iterator[None]:
    """A host: a worker that takes what is in its queue."""
    command = [sys.executable, "-m", "celery", "-A", "works", "worker", "--pool", pool]
    command += ["--concurrency", "1" if pool == "solo" else "2", "--queues", queue]
    command += ["--hostname", f"{queue}@%h", "--loglevel", "INFO"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    with (folder / f"{queue}.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=HERE, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
    finally:
        # Its pool, too.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


@pytest.mark.parametrize(("pool", "opens"), [("solo", "late"), ("prefork", "early")])
def test_a_task_sent_to_two_hosts_runs_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: str, opens: str
) -> None:
    """Goal: a task that is sent twice runs once, whichever hosts its messages come to, and both
    messages have its result. Method: each order once for each of two workers; with a table for
    each process, and with one that a pool inherits."""
    environment = {**os.environ, "STORE": store.url, "OPENS": opens}
    monkeypatch.setenv("STORE", store.url)
    monkeypatch.setenv("OPENS", "late")
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.delitem(sys.modules, "works", raising=False)
    import works

    charge: Any = works.charge
    with (
        worker("one", pool, environment, tmp_path),
        worker("two", pool, environment, tmp_path),
    ):
        sent = [
            [charge.apply_async((order,), queue=queue) for queue in ("one", "two")]
            for order in ORDERS
        ]
        results = [[each.get(timeout=90) for each in pair] for pair in sent]
    processes = set()
    for order, (one, two) in zip(ORDERS, results):
        assert one == two
        assert works.ledger.lrange(f"charges:{order}", 0, -1) == [str(one)], order
        processes.add(one)
    works.app.close()
    monkeypatch.delitem(sys.modules, "works", raising=False)
    assert processes
