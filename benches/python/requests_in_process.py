"""Requests in process: what a middleware costs, without a socket or a server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from itertools import repeat
from typing import Any

import apps
from apps import App, Message
from functions import HOT, fresh
from rounds import BUSY, WALL, Row, coroutine
from servers import RedisServer

BODY = b'{"order":"7c1e0a52","cents":4200,"currency":"eur"}'
HEADERS = [
    (b"host", b"127.0.0.1:8000"),
    (b"user-agent", b"bench"),
    (b"accept", b"*/*"),
    (b"content-type", b"application/json"),
    (b"content-length", str(len(BODY)).encode()),
]


def rows(server: RedisServer, loop: asyncio.AbstractEventLoop) -> list[Row]:
    """Every middleware in front of two applications, with new keys and with one that is hot."""
    os.environ[apps.REDIS] = server.socket
    apps.quiet()
    made = []
    for of, inner in (("FastAPI", apps.bare()), ("no framework", apps.plain)):
        for what, keys in (("new keys", _new), ("replays", _hot)):
            for short, wrap in apps.MIDDLEWARES.items():
                if what == "replays" and short in ("passed-on", "oncegate-unkept"):
                    continue
                row = coroutine(
                    f"Middleware, {of}, in process, {what}",
                    apps.NAMES[short],
                    request(wrap(inner)),
                    loop,
                    keys=keys,
                    clock=WALL if "redis" in short else BUSY,
                    base=short == "bare",
                )
                made.append(row)
    return made


def request(app: App) -> Callable[[str], Awaitable[None]]:
    """Sends a request as a server does; what comes back has to be a success."""

    async def send_request(key: str) -> None:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("127.0.0.1", 8000),
            "client": ("127.0.0.1", 50_000),
            "scheme": "http",
            "method": "POST",
            "root_path": "",
            "path": "/charge",
            "raw_path": b"/charge",
            "query_string": b"",
            "headers": [*HEADERS, (b"idempotency-key", key.encode())],
            "state": {},
        }
        is_sent = False
        status = 0

        async def receive() -> dict[str, Any]:
            nonlocal is_sent
            if is_sent:
                await asyncio.Event().wait()
            is_sent = True
            return {"type": "http.request", "body": BODY, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]

        await app(scope, receive, send)
        if status != 200:
            raise RuntimeError(f"the status is {status}")

    return send_request


def _new(number: int) -> Iterator[str]:
    return iter(fresh(number))


def _hot(_number: int) -> Iterator[str]:
    return repeat(HOT)
