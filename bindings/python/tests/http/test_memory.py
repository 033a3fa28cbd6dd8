"""Memory: what a million requests leave behind is what the first ones left."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from oncegate import Engine, Request, idempotent
from oncegate.asgi import IdempotencyMiddleware
from oncegate.http import Settings

REQUESTS = 1_000_000
# What the allocators of Python and C may keep in hand.
CEILING_KB = 8 * 1024


def resident_kb() -> int:
    """The memory of this process that is in use."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


class Watch:
    """The memory at a tenth of all requests, when the table is full, and its growth since."""

    def __init__(self, requests: int) -> None:
        self.tenth = requests // 10
        self.first = 0
        self.most = 0

    def look(self, at: int) -> None:
        if at and at % self.tenth == 0:
            now = resident_kb()
            self.first = self.first or now
            self.most = max(self.most, now - self.first)


@pytest.mark.alone
@pytest.mark.timeout(900)
def test_a_million_calls_leave_nothing_behind() -> None:
    """Goal: neither requests, leases, outcomes nor answers are kept by anybody but the table.
    Method: a million calls, of which a third are duplicates, a few fail, and a few leases are
    dropped; the memory in use at each tenth."""
    # What waits for its next attempt keeps its room until its window is over.
    with Engine(capacity=10_000, prefault=True, dedup_window=0.1) as engine:

        @idempotent(engine, scope="acme")
        def charge(order: int) -> dict[str, int]:
            if order % 100 == 0:
                raise ConnectionError
            return {"order": order}

        watch = Watch(REQUESTS)
        for at in range(REQUESTS):
            watch.look(at)
            order = at - at % 3
            if at % 50 == 0:
                engine.begin(Request("dropped", str(at), scope="acme"))
                continue
            try:
                assert charge(order) == {"order": order}
            except ConnectionError:
                assert order % 100 == 0
    assert watch.first
    assert watch.most < CEILING_KB, f"grew by {watch.most} KiB"


@pytest.mark.alone
@pytest.mark.timeout(900)
def test_a_million_http_requests_leave_nothing_behind() -> None:
    """Goal: the same for the middleware. Method: a million requests to an application in this
    process, a third of them duplicates; each is answered as it should be."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": b"receipt"})

    async def storm() -> int:
        watch = Watch(REQUESTS)
        with Engine(capacity=10_000, prefault=True) as engine:
            once = IdempotencyMiddleware(app, Settings(engine, single_tenant=True))
            request = {"type": "http.request", "body": b"{}", "more_body": False}
            sent: list[Any] = []

            async def receive() -> Any:
                return request

            async def send(message: Any) -> None:
                sent.append(message)

            for at in range(REQUESTS):
                key = str(at - at % 3).encode()
                scope = {
                    "type": "http",
                    "method": "POST",
                    "path": "/charges",
                    "raw_path": b"/charges",
                    "query_string": b"",
                    "headers": [(b"idempotency-key", key), (b"content-type", b"text/plain")],
                }
                sent.clear()
                await once(scope, receive, send)
                assert sent[0]["status"] == 201
                watch.look(at)
        assert watch.first
        return watch.most

    grown = asyncio.run(storm())
    assert grown < CEILING_KB, f"grew by {grown} KiB"
