"""Celery's best-known pain, without oncegate and with it: how often was each order charged?

It starts a Redis server and two workers of its own, and ends them. Run it: ``python demo.py``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent


class Charges(NamedTuple):
    """How often one order was charged, by the plain task and by the one with oncegate."""

    story: str
    plain: int
    once: int


class Workers:
    """Real workers, each a process with pool processes of its own."""

    def __init__(self, environment: dict[str, str], folder: Path, pool: str, app: str) -> None:
        self.environment = environment
        self.app = app
        self.folder = folder
        self.pool = pool
        self.running: list[subprocess.Popen[bytes]] = []
        self.started = 0

    def start(self) -> None:
        """One more worker."""
        self.started += 1
        log = self.folder / f"worker-{self.started}.log"
        command = [sys.executable, "-m", "celery", "-A", self.app, "worker", "--pool", self.pool]
        command += ["--concurrency", "1" if self.pool == "solo" else "2", "--loglevel", "INFO"]
        command += ["--hostname", f"worker-{self.started}@%h"]
        command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.running.append(process)

    def replace_dead(self) -> None:
        """A supervisor: starts a worker for each that was killed."""
        dead = [process for process in self.running if process.poll() is not None]
        for process in dead:
            end_group(process)
            self.running.remove(process)
            self.start()

    def end(self) -> None:
        """Ends them all, and their pool processes."""
        for process in self.running:
            end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A Redis server on a free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1"]
    command += ["--save", "", "--appendonly", "no", "--dir", str(folder)]
    with (folder / "redis.log").open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        until_it_answers(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(timeout=30)


def until_it_answers(port: int) -> None:
    """Returns when something listens on the port."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port)):
                return
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)  # sleep: a server that starts tells nobody


class Demonstration:
    """The stories, played on real workers."""

    def __init__(self, shop: Any, workers: Workers) -> None:
        self.shop = shop
        self.workers = workers

    def play(self, story: str) -> Charges:
        """Plays one story with both tasks."""
        counts: list[int] = []
        for kind in ("plain", "once"):
            order = f"{story}-{kind}"
            getattr(self, story)(kind, order)
            self.until_quiet(order)
            counts.append(self.shop.ledger.llen(f"charges:{order}"))
        return Charges(story, *counts)

    def long_task(self, kind: str, order: str) -> None:
        """The task is longer than the visibility timeout."""
        self.task("settle", kind).delay(order)

    def late_eta(self, kind: str, order: str) -> None:
        """The task is due after three visibility timeouts."""
        timeout = self.shop.VISIBILITY_TIMEOUT
        sent = self.task("remind", kind).apply_async([order], countdown=3 * timeout)
        received = f"received:{sent.id}"
        self.shop.until(lambda: self.shop.count(received) >= 2, "a second worker holds it")

    def killed_before_ack(self, kind: str, order: str) -> None:
        """The worker is killed after the work, before it can acknowledge the message."""
        self.shop.ledger.set(f"kill after:{order}", 1)
        self.task("pay", kind).delay(order)

    def killed_midway(self, kind: str, order: str) -> None:
        """The pool process is killed between the charge and the shipment."""
        self.task("order", kind).delay(order)
        shippers = f"shippers:{order}"
        self.shop.until(lambda: self.shop.ledger.llen(shippers) == 1, "a shipment begins")
        os.kill(int(self.shop.ledger.lindex(shippers, 0)), signal.SIGKILL)
        self.shop.until(lambda: self.shop.ledger.llen(shippers) == 2, "it begins anew")

    def task(self, name: str, kind: str) -> Any:
        """The task in one of its two forms."""
        return getattr(self.shop, f"{name}_{kind}")

    def until_quiet(self, order: str) -> None:
        """Returns when the order was charged and the broker has no message any more."""
        still = 0

        def quiet() -> bool:
            nonlocal still
            self.workers.replace_dead()
            ledger = self.shop.ledger
            waiting = ledger.llen("celery") + ledger.hlen("unacked")
            charged = ledger.llen(f"charges:{order}")
            # A message is nowhere for a moment, when it is taken from the queue.
            still = still + 1 if charged and not waiting else 0
            return still >= 10

        self.shop.until(quiet, "the broker is empty", seconds=60.0)


STORIES = ("long_task", "late_eta", "killed_before_ack", "killed_midway")


def demonstrate(folder: Path, pool: str = "prefork") -> Iterator[Charges]:
    """Plays all stories, or those that a pool without processes of its own can play."""
    with redis_server(folder) as broker:
        os.environ["SHOP_BROKER"] = broker
        os.environ["SHOP_TABLE"] = str(folder / "table")
        sys.path.insert(0, str(HERE))
        import shop

        environment = {**os.environ, "PYTHONPATH": str(HERE)}
        workers = Workers(environment, folder, pool, "shop")
        try:
            workers.start()
            workers.start()
            demonstration = Demonstration(shop, workers)
            stories = STORIES if pool == "prefork" else STORIES[:2]
            for story in stories:
                yield demonstration.play(story)
        finally:
            workers.end()


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'':20}{'plain':>10}{'oncegate':>10}   charges of one order")
        rows = []
        for row in demonstrate(Path(folder)):
            print(f"{row.story:20}{row.plain:10}{row.once:10}", flush=True)
            rows.append(row)
    return 0 if all(row.once == 1 for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
