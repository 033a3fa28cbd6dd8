"""A relay between clients and a server, which cuts connections when the test wants it."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Passed:
    """What came by: the key of a request, and its answer."""

    key: str | None
    status: int
    is_replay: bool


class Relay:
    """One that passes requests on and brings the answers back, after it has cut the connections of
    the first ones:

    ``"lose"``: the server has answered, and its answer gets lost.
    ``"hang up"``: the server still works, and the test says `cut`.
    """

    def __init__(self, server: str, *cuts: str) -> None:
        self.server = urlsplit(server)
        self.cuts = iter(cuts)
        self.cut = threading.Event()
        self.passed: queue.Queue[Passed] = queue.Queue()
        self.seen: list[Passed] = []
        self.requests = 0
        self.url = ""

    def next(self) -> Passed:
        """Waits for an answer of the server's, lost or not."""
        return self.passed.get(timeout=60)

    def until(self, status: int) -> None:
        """Waits for an answer with this status."""
        while self.next().status != status:
            pass


class Handler(BaseHTTPRequestHandler):
    """Passes a request on."""

    protocol_version = "HTTP/1.1"
    relay: Relay

    def do_POST(self) -> None:
        relay = self.relay
        relay.requests += 1
        cut = next(relay.cuts, None)
        body = self.rfile.read(int(self.headers["content-length"]))
        server = HTTPConnection(relay.server.hostname or "", relay.server.port, timeout=60)
        server.request("POST", self.path, body, dict(self.headers))
        if cut == "hang up":
            relay.cut.wait(60)
            self.hang_up()
        answer = server.getresponse()
        content = answer.read()
        is_replay = answer.getheader("idempotent-replayed") == "true"
        passed = Passed(self.headers["idempotency-key"], answer.status, is_replay)
        relay.seen.append(passed)
        relay.passed.put(passed)
        if cut == "lose":
            self.hang_up()
        if not self.close_connection:
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
        server.close()

    def hang_up(self) -> None:
        """The client reads an end where it expected an answer."""
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


@contextmanager
def relayed(server: str, *cuts: str) -> Iterator[Relay]:
    """A relay on a port of its own."""
    relay = Relay(server, *cuts)
    handler = type("Handler", (Handler,), {"relay": relay})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listener:
        listener.daemon_threads = True
        relay.url = f"http://127.0.0.1:{listener.server_address[1]}"
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield relay
        finally:
            listener.shutdown()
            thread.join()
