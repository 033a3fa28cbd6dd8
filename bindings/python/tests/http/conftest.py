"""What the tests of the middlewares share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from oncegate import Engine, ManualClock
from oncegate.asgi import IdempotencyMiddleware
from oncegate.http import Settings


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(clock: ManualClock) -> Iterator[Engine]:
    """One whose time stands still until it is moved."""
    with Engine(private=True, capacity=1_000, lease_duration=30, clock=clock) as engine:
        yield engine


class Handler:
    """An app that answers 201 with the number of its run, or what it is told to answer."""

    def __init__(self) -> None:
        self.runs = 0
        self.bodies: list[bytes] = []
        self.status = 201
        self.headers: list[tuple[bytes, bytes]] = [(b"content-type", b"text/plain")]
        self.work: Callable[[Any, Any, Any], Awaitable[None]] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.runs += 1
        if self.work is not None:
            await self.work(scope, receive, send)
            return
        message = await receive()
        self.bodies.append(message["body"])
        await self.answer(send, b"run %d" % self.runs)

    async def answer(self, send: Any, *pieces: bytes) -> None:
        await self.start(send)
        for number, piece in enumerate(pieces, 1):
            more = number < len(pieces)
            await send({"type": "http.response.body", "body": piece, "more_body": more})

    async def start(self, send: Any, **more: Any) -> None:
        headers = list(self.headers)
        message = {"type": "http.response.start", "status": self.status, "headers": headers}
        await send({**message, **more})


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def protected(engine: Engine, handler: Handler) -> Callable[..., IdempotencyMiddleware]:
    """Makes the middleware around the handler."""

    def make(**options: Any) -> IdempotencyMiddleware:
        if "scope" not in options:
            options["single_tenant"] = True
        return IdempotencyMiddleware(handler, Settings(engine, **options))

    return make


def run(work: Any) -> Any:
    """Runs a coroutine to its end, within a time that no test needs."""

    async def limited() -> Any:
        return await asyncio.wait_for(work, 60)

    return asyncio.run(limited())
