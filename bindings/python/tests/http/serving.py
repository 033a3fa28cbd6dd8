"""Real servers for the tests, on sockets that the tests have opened: who connects before a server
is there waits in the socket's queue.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

HERE = Path(__file__).parent

UVICORN = ("uvicorn", "served:app", "--fd", "{fd}", "--lifespan", "off", "--log-level", "warning")
GUNICORN = ("gunicorn", "--bind", "fd://{fd}", "--threads", "8", "--log-level", "warning")
SERVERS: dict[str, tuple[tuple[str, ...], bool]] = {
    "uvicorn": (UVICORN, False),
    "uvicorn-4": ((*UVICORN, "--workers", "4"), True),
    "gunicorn-flask": ((*GUNICORN, "-w", "2", "served:flask_app"), True),
    "gunicorn-flask-preload": ((*GUNICORN, "-w", "2", "--preload", "served:flask_app"), False),
    "gunicorn-django": ((*GUNICORN, "-w", "2", "served:make_django_app()"), True),
    # It ends a worker that works for so long, in seconds.
    "gunicorn-time-out": ((*GUNICORN[:3], "--timeout", "5", "-w", "2", "served:flask_app"), True),
}
"""Those of `served`, and whether their processes need a file to meet in: they inherit no memory."""


@dataclass
class Server:
    """One that runs."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]

    def effects(self) -> list[str]:
        """The keys that were charged, in their order."""
        path = self.folder / "ledger"
        return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []

    def workers(self) -> set[int]:
        """The processes that have charged."""
        return {int(line.split()[1]) for line in (self.folder / "ledger").read_text().splitlines()}


class Gate:
    """Where handlers wait until the test lets them go on."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "gate")
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(self.path)
        self._socket.listen(64)
        self._socket.settimeout(60)

    def arrival(self) -> socket.socket:
        """Waits for a handler. Closing what it gives lets the handler go on."""
        connection, _ = self._socket.accept()
        return connection

    def arrivals(self) -> int:
        """How many handlers wait that nobody has asked for."""
        self._socket.setblocking(False)
        number = 0
        try:
            while True:
                self._socket.accept()
                number += 1
        except BlockingIOError:
            return number
        finally:
            self._socket.settimeout(60)

    def close(self) -> None:
        self._socket.close()


def pid_of(connection: socket.socket) -> int:
    """The process at the other end of a connection to a gate."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], sys.byteorder)


def kill(process: int) -> None:
    """As the kernel does when memory runs out."""
    os.kill(process, signal.SIGKILL)


@contextmanager
def serve(folder: Path, *command: str, **environment: str) -> Iterator[Server]:
    """Runs a server; `{fd}` in the command is the number of its socket."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(256)
        listener.set_inheritable(True)
        number = listener.fileno()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *(part.format(fd=number) for part in command)],
                cwd=HERE,
                env={**os.environ, "LEDGER": str(folder / "ledger"), **environment},
                pass_fds=[number],
                stdout=log,
                stderr=log,
            )
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        yield Server(url, folder, process)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError((folder / "log").read_text()) from None


def started(folder: Path, name: str, **environment: str) -> AbstractContextManager[Server]:
    """Runs one of the servers above."""
    command, needs_file = SERVERS[name]
    if needs_file:
        environment["TABLE"] = str(folder / "table")
    return serve(folder, *command, **environment)


def headers(key: str, gate: Gate | None = None) -> dict[str, str]:
    """Those of a request."""
    more = {} if gate is None else {"x-gate": gate.path}
    return {"idempotency-key": key, "x-account": "acme", **more}


def client(server: Server) -> httpx.AsyncClient:
    """One that opens as many connections as it needs, and waits for slow machines."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits)
