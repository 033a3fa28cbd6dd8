"""Applications: one that charges, bare and behind each middleware. uvicorn loads them by name."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import warnings
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import idemkit
from fastapi import FastAPI
from fastapi_idempotency import IdempotencyMiddleware as FastapiIdempotency
from idempotency_header_middleware import IdempotencyHeaderMiddleware
from idempotency_header_middleware.backends import MemoryBackend, RedisBackend
from redis import asyncio as redis_asyncio

import oncegate
from oncegate.asgi import IdempotencyMiddleware
from oncegate.http import Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

REDIS = "ONCEGATE_BENCH_REDIS"
"""The variable that names the socket of the Redis server."""
KEY = b"idempotency-key"
RESULT = {"charge": "ch_3PqT9x2eZvKYlo2C1aBcDeFgHijk", "state": "succeeded"}


def bare() -> App:
    """FastAPI with one handler, as its documentation shows it."""
    app = FastAPI()

    @app.post("/charge")
    async def charge(order: dict[str, Any]) -> dict[str, str]:
        return RESULT

    made: App = app
    return made


async def plain(scope: Scope, receive: Receive, send: Send) -> None:
    """The same without a framework: what a middleware adds is all there is."""
    if scope["type"] != "http":
        return
    await receive()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"64")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"x" * 64})


class PassedOn:
    """A middleware that does nothing."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on."""
        await self.app(scope, receive, send)


class ByHand:
    """A dict under a lock, a digest of the body, and the messages of the response."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._of: dict[bytes, tuple[bytes, list[Message] | None]] = {}
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs a request with a key once."""
        key = dict(scope["headers"]).get(KEY) if scope["type"] == "http" else None
        if key is None:
            await self.app(scope, receive, send)
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        digest = hashlib.sha256(body).digest()
        with self._lock:
            found = self._of.get(key)
            if found is None:
                self._of[key] = (digest, None)
        if found is None:
            await self._run(key, digest, body, scope, send)
        elif found[0] != digest or found[1] is None:
            await _refuse(send, 409 if found[1] is None else 422)
        else:
            for message in found[1]:
                await send(message)

    async def _run(self, key: bytes, digest: bytes, body: bytes, scope: Scope, send: Send) -> None:
        messages: list[Message] = []

        async def received() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def sent(message: Message) -> None:
            messages.append(message)
            await send(message)

        await self.app(scope, received, sent)
        with self._lock:
            self._of[key] = (digest, messages)


async def _refuse(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def _ours(app: App) -> App:
    engine = oncegate.Engine()
    return IdempotencyMiddleware(app, Settings(engine, scope=lambda head: "acme"))


def _ours_unkept(app: App) -> App:
    engine = oncegate.Engine()
    settings = Settings(engine, scope=lambda head: "acme", keep_lease=False)
    return IdempotencyMiddleware(app, settings)


def _header_redis(app: App) -> App:
    client = redis_asyncio.Redis(unix_socket_path=os.environ[REDIS])
    return IdempotencyHeaderMiddleware(app=app, backend=RedisBackend(client))


def _idemkit_redis(app: App) -> App:
    backend = idemkit.RedisBackend.from_url(f"unix://{os.environ[REDIS]}")
    return idemkit.IdempotencyMiddleware(app, backend=backend)


MIDDLEWARES: dict[str, Callable[[App], App]] = {
    "bare": lambda app: app,
    "passed-on": PassedOn,
    "by-hand": ByHand,
    "oncegate": _ours,
    "oncegate-unkept": _ours_unkept,
    "header-memory": lambda app: IdempotencyHeaderMiddleware(app=app, backend=MemoryBackend()),
    "header-redis": _header_redis,
    "fastapi-idempotency": FastapiIdempotency,
    "idemkit": lambda app: idemkit.IdempotencyMiddleware(app, backend=idemkit.InMemoryBackend()),
    "idemkit-redis": _idemkit_redis,
}
NAMES = {
    "bare": "the application alone",
    "passed-on": "a middleware that does nothing",
    "by-hand": "a dict under a lock, by hand",
    "oncegate": "oncegate",
    "oncegate-unkept": "oncegate, `keep_lease=False`",
    "header-memory": "asgi-idempotency-header, memory",
    "header-redis": "asgi-idempotency-header, Redis",
    "fastapi-idempotency": "fastapi-idempotency, memory",
    "idemkit": "idemkit, memory",
    "idemkit-redis": "idemkit, Redis",
}


def quiet() -> None:
    """Peers warn of what they are; here that is known."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)


def served() -> App:
    """The factory for uvicorn: a variable says which middleware."""
    quiet()
    return MIDDLEWARES[os.environ["ONCEGATE_BENCH_APP"]](bare())
