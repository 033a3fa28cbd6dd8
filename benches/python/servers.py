"""Servers that the measurements start, and end."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

import redis


class RedisServer:
    """A Redis of our own: on a Unix socket and on a free loopback port, without a disk."""

    def __init__(self, folder: str) -> None:
        self.socket = f"{folder}/redis.sock"
        self.port = free_port()
        program = shutil.which("redis-server")
        if program is None:
            raise FileNotFoundError("redis-server: it is a peer; `scripts/setup.sh bench` gets it")
        command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", folder]
        command += ["--unixsocket", self.socket, "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        reached("redis-server", self._process, lambda: self.client().ping())

    def client(self, *, tcp: bool = False, text: bool = False) -> redis.Redis:
        """A client of it."""
        if tcp:
            return redis.Redis(host="127.0.0.1", port=self.port, decode_responses=text)
        return redis.Redis(unix_socket_path=self.socket, decode_responses=text)

    def close(self) -> None:
        """Ends it."""
        ended(self._process)


@contextmanager
def redis_server(folder: str) -> Iterator[RedisServer]:
    """One that ends with the block."""
    server = RedisServer(folder)
    try:
        yield server
    finally:
        server.close()


def free_port() -> int:
    """A loopback port that nobody has."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def ended(process: subprocess.Popen[Any]) -> None:
    """Ends a server, one way or the other."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def reached(name: str, process: subprocess.Popen[Any], ask: Callable[[], object]) -> None:
    """Waits until a server answers."""
    give_up = monotonic() + 30
    while True:
        try:
            ask()
            return
        except (OSError, redis.ConnectionError):
            if process.poll() is not None or monotonic() > give_up:
                raise RuntimeError(f"{name} does not answer") from None
        sleep(0.05)  # sleep: a server that starts wakes nobody
