"""A client without a server: it speaks ASGI to an app, and leaves when the test says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Reply:
    """What the client has got so far."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    is_whole: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["code"])

    def header(self, name: str) -> str | None:
        values = [value for known, value in self.headers if known == name.encode()]
        return b", ".join(values).decode() if values else None

    @property
    def is_replay(self) -> bool:
        return self.header("idempotent-replayed") == "true"


class Asking:
    """One request, which runs from the start on."""

    def __init__(
        self,
        app: Any,
        key: str | None = "key-1",
        *,
        body: bytes | Iterable[bytes] = b'{"amount":1}',
        method: str = "POST",
        path: str = "/charges",
        headers: Iterable[tuple[str, str]] = (),
        scope: dict[str, Any] | None = None,
    ) -> None:
        pairs = [("content-type", "application/json"), *headers]
        if key is not None:
            pairs.append(("idempotency-key", key))
        target, _, query = path.partition("?")
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "path": target,
            "raw_path": target.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in pairs],
            **(scope or {}),
        }
        parts = [body] if isinstance(body, bytes) else list(body)
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for number, part in enumerate(parts, 1):
            more = number < len(parts)
            message = {"type": "http.request", "body": part, "more_body": more}
            self._incoming.put_nowait(message)
        self.reply = Reply()
        self.has_head = asyncio.Event()
        self.has_left = False
        self.sent: list[dict[str, Any]] = []
        self.task = asyncio.ensure_future(app(self.scope, self._receive, self._send))

    def leave(self) -> None:
        """The client closes its connection."""
        self.has_left = True
        self._incoming.put_nowait({"type": "http.disconnect"})

    async def answered(self) -> Reply:
        """The reply, when the app has returned."""
        await self.task
        return self.reply

    async def _receive(self) -> dict[str, Any]:
        return await self._incoming.get()

    async def _send(self, message: dict[str, Any]) -> None:
        if self.has_left:
            raise OSError("the client has left")
        self.sent.append(message)
        if message["type"] == "http.response.start":
            assert self.reply.status == 0, "started twice"
            self.reply.status = message["status"]
            self.reply.headers = list(message["headers"])
            self.has_head.set()
        elif message["type"] == "http.response.body":
            assert not self.reply.is_whole, "more after the end"
            self.reply.pieces.append(message.get("body", b""))
            self.reply.is_whole = not message.get("more_body", False)


async def ask(app: Any, key: str | None = "key-1", **options: Any) -> Reply:
    """Asks, and gives the reply."""
    return await Asking(app, key, **options).answered()
