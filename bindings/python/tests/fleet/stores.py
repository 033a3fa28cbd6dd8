"""A Redis server of the tests' own, and engines with private tables that share records by it: each
of them is what a host is to the others.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oncegate import Admitted, Engine, Lease, Redis, Request, TierOptions

SECRET = b"s" * 32
CERTIFICATES = {
    "--tls-cert-file": "server.pem",
    "--tls-key-file": "server.key",
    "--tls-ca-cert-file": "root.pem",
}
PATIENCE = 30.0
"""Seconds that nothing takes which is going to happen."""


class Store:
    """A server on a free loopback port. What it acknowledged is on its disk."""

    def __init__(self, folder: Path, tls: Path | None = None) -> None:
        self._folder = folder
        self._tls = tls
        """Where the certificates are of a server that speaks TLS alone."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"{'rediss' if tls else 'redis'}://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, again if need be, on the same port."""
        command = ["redis-server", "--bind", "127.0.0.1"]
        if self._tls is None:
            command += ["--port", str(self.port)]
        else:
            command += ["--port", "0", "--tls-port", str(self.port)]
            for option, name in CERTIFICATES.items():
                command += [option, str(self._tls / name)]
        command += ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        command += ["--dir", str(self._folder)]
        with (self._folder / "redis.log").open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        until(self._answers, "the server answers")

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port)) as connection:
                if self._tls is not None:
                    return True
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def kill(self) -> None:
        """Kills it, where it runs; it has no time to say anything."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(timeout=PATIENCE)

    def pause(self) -> None:
        """Its connections are there, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    def unread(self) -> int:
        """Bytes that were sent to it and that it has not read, as Linux counts them."""
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        mine = [row for row in rows if row[1].endswith(f":{self.port:04X}") and row[3] != "0A"]
        return sum(int(row[4].partition(":")[2], 16) for row in mine)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


class Hosts:
    """Engines of one store, each with a table of its own."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._engines: list[Engine] = []

    def host(self, redis: str | Redis | None = None, **options: Any) -> Engine:
        """One more."""
        options.setdefault("tier_options", TierOptions(deadline=PATIENCE, quarantine=0))
        options = {"private": True, "capacity": 1_000, "secret": SECRET, **options}
        engine = Engine(redis=redis or self.store.url, **options)
        self._engines.append(engine)
        return engine

    def close(self) -> None:
        """Closes them."""
        for engine in self._engines:
            engine.close()


def redis_is_here() -> None:
    """Skips the test where there is no server to start, if that is allowed."""
    if shutil.which("redis-server") is None:
        reason = "there is no redis-server (scripts/setup.sh brings one)"
        if os.environ.get("ONCEGATE_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


def asked(key: str = "k", payload: bytes | None = None) -> Request:
    """A request that differs from the others in what is given."""
    return Request("charge", key, scope="acme", payload=payload)


def lease_of(admission: object) -> Lease:
    """The lease of an answer that has to be an admission."""
    assert isinstance(admission, Admitted), admission
    return admission.lease


def until(condition: Callable[[], bool], what: str) -> None:
    """Returns when the condition holds; fails if it does not in time."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"in vain for {PATIENCE} s: {what}"
        time.sleep(0.01)  # sleep: a server of another process wakes nobody
