"""The middleware for ASGI: Starlette, FastAPI, Litestar, Quart, Django and every other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar

from ._core import Admitted, InProgress, Scheduled
from ._errors import OncegateError
from .http import ATTEMPT
from .http.gate import SAFE, Gate, RefusedError, request_of
from .http.key import REPEATED
from .http.payload import payload_of
from .http.response import Response

if TYPE_CHECKING:
    from ._core import Admission, Lease, Request
    from .http.polling import Poller
    from .http.problem import Answer
    from .http.settings import ScopeSource, Settings

T = TypeVar("T")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class IdempotencyMiddleware:
    """Runs each request with an idempotency key once.

    It works as draft-ietf-httpapi-idempotency-key-header describes: duplicates get the stored
    response, or are told why not: as ``application/problem+json`` (RFC 9457), by default.

    Place it inside of what authenticates and limits requests, so that nobody unknown can make
    records, and outside of what must not be repeated. Place compression outside of it, since a
    replay may go to a client that accepts another encoding.

    A handler finds its attempt in ``scope["oncegate.attempt"]``: its number, its fencing token, and
    keys for calls further down. A request that has one already, below another middleware of
    oncegate, is passed on untouched.

    >>> app = IdempotencyMiddleware(app, Settings(engine, scope=account_of))
    """

    def __init__(self, app: App, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self._gate = Gate(settings)
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or ATTEMPT in scope:
            await self.app(scope, receive, send)
            return
        method = scope["method"]
        gate = self._gate
        if method in SAFE or (gate.has_exempt and gate.is_exempt(scope["path"])):
            await self._pass_by(method, scope, receive, send)
            return
        fields = fields_of(scope["headers"])
        try:
            is_needed, key = gate.key_of(method, fields.get(gate.key_name))
        except RefusedError as refused:
            await _answer(refused.answer, send)
            return
        if not is_needed:
            await self.app(scope, receive, send)
            return
        try:
            head = AsgiHead(scope, fields)
            told: Any = gate.scope_of(head)
            identity = gate.identity(head, await told if gate.asks_async else told, key)
            gate.check_announced(fields.get(b"content-length"))
            message = await receive()
            body: bytes | None
            if message.get("more_body", False) or message["type"] != "http.request":
                body = await self._read(message, receive)
            else:
                body = bytes(message.get("body", b""))
                gate.check_size(len(body))
        except RefusedError as refused:
            await _answer(refused.answer, send)
            return
        if body is None:
            return
        try:
            payload = payload_of(fields.get(b"content-type"), b"content-encoding" in fields, body)
            admission: Admission | None
            if gate.has_tier:
                admission = await self._ask(request_of(identity, payload), receive)
            else:
                admission = gate.intake.begin(*identity, payload)
                if gate.wait and isinstance(admission, (InProgress, Scheduled)):
                    admission = await self._wait(request_of(identity, payload), receive)
        except OncegateError as error:
            await _answer(gate.refusal(error), send)
            return
        if not isinstance(admission, Admitted):
            if admission is not None:
                await _answer(gate.answer(identity, payload, admission), send)
            return
        lease = admission.lease
        # Copied: what is above must not find it there.
        inner: Scope = {**scope, ATTEMPT: lease}
        if inner.get("extensions"):
            inner["extensions"] = _shown(inner["extensions"])
        poller = gate.poller
        if poller is not None and poller.respond_async and _wants_async(fields):
            answer = poller.accepted(identity.scope, request_of(identity, payload), None)
            answer.headers.append((b"preference-applied", b"respond-async"))
            exchange = _Detached(gate, lease, body, receive, _nowhere)
            exchange.leave()
            self._start_detached(exchange, inner)
            await _answer(answer, send)
        elif self.settings.detached:
            await self._run_detached(_Detached(gate, lease, body, receive, send), inner)
        else:
            await self._run(_Exchange(gate, lease, body, receive, send), inner)

    async def _pass_by(self, method: str, scope: Scope, receive: Receive, send: Send) -> None:
        """A request that needs no record; it may ask for the state of another one."""
        poller = self._gate.poller
        token = poller.token_in(scope["path"]) if poller and method == "GET" else None
        if poller is None or token is None:
            await self.app(scope, receive, send)
        else:
            await self._tell(poller, token, scope, send)

    async def _tell(self, poller: Poller, token: str, scope: Scope, send: Send) -> None:
        """Answers who polls."""
        told: Any = self._gate.scope_of(AsgiHead(scope, fields_of(scope["headers"])))
        whose: ScopeSource = await told if self._gate.asks_async else told
        await _answer(poller.answer(whose, token), send)

    async def _read(self, message: Message, receive: Receive) -> bytes | None:
        """The body of a request that comes in parts, from its first message on. ``None``: its
        client left before it was whole."""
        parts: list[bytes] = []
        size = 0
        while message["type"] == "http.request":
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            self._gate.check_size(size)
            if not message.get("more_body", False):
                return b"".join(parts)
            message = await receive()
        return None

    async def _ask(self, request: Request, receive: Receive) -> Admission | None:
        """Asks an engine with a tier. ``None``: the client has left."""
        gate = self._gate
        if gate.wait:
            return await self._wait(request, receive)
        return await gate.engine.begin_async(request, wait=0, **gate.options)

    async def _wait(self, request: Request, receive: Receive) -> Admission | None:
        """Waits for the running attempt. ``None``: the client has left."""
        gate = self._gate
        asked = asyncio.ensure_future(
            gate.engine.begin_async(request, wait=gate.wait, **gate.options)
        )
        left = asyncio.ensure_future(_disconnected(receive))
        waited: Admission | None = None
        try:
            await asyncio.wait((asked, left), return_when=asyncio.FIRST_COMPLETED)
            if not left.done():
                waited = asked.result()
            return waited
        finally:
            left.cancel()
            # A wait that is cancelled gives back what it was admitted to; one that is over cannot.
            if waited is None and not asked.cancel():
                _give_back(asked)

    async def _run(self, exchange: _Exchange, scope: Scope) -> None:
        """Runs the handler, and ends the attempt by what came of it."""
        response = exchange.response
        gate = self._gate
        try:
            if gate.keep_lease is not None:
                gate.keep_lease(exchange.lease)
            await self.app(scope, exchange.receive, exchange.send)
        except Exception:
            if exchange.is_gone:
                # It has heard so, perhaps as an exception.
                response.left()
            else:
                response.broke()
            raise
        except BaseException:
            response.left()
            raise
        if response.is_done:
            return
        if exchange.is_gone:
            response.left()
            return
        response.broke()
        answer = response.aborted()
        if answer is not None:
            await _answer(answer, exchange.client_send)

    async def _run_detached(self, exchange: _Detached, scope: Scope) -> None:
        """Runs the handler as a task of its own, which goes on when the server cancels this one."""
        task = self._start_detached(exchange, scope)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            exchange.leave()
            if exchange.response.is_endless:
                task.cancel()
            raise

    def _start_detached(self, exchange: _Detached, scope: Scope) -> asyncio.Task[None]:
        task = asyncio.ensure_future(self._run(exchange, scope))
        # The loop holds tasks weakly.
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(exchange.end)
        return task


class AsgiHead:
    """The head of a request, for the functions of the settings."""

    __slots__ = ("_fields", "connection")

    def __init__(self, scope: Scope, fields: dict[bytes, bytes]) -> None:
        self.connection = scope
        self._fields = fields

    @property
    def method(self) -> str:
        """As it was sent."""
        method: str = self.connection["method"]
        return method

    @property
    def target(self) -> str:
        """Path and query, as they were sent."""
        scope = self.connection
        raw = scope.get("raw_path")
        if raw:
            path: str = raw.decode("latin-1")
        else:
            path = _quoted(scope["path"])
        query = scope["query_string"]
        return f"{path}?{query.decode('latin-1')}" if query else path

    def header(self, name: str) -> str | None:
        """The value of a header; one that came more than once is joined by commas."""
        value = self._fields.get(name.lower().encode("latin-1"))
        return None if value is None else value.replace(REPEATED, b", ").decode("latin-1")


class _Exchange:
    """What a handler receives from, and sends to."""

    __slots__ = ("_body", "_has_tier", "_receive", "client_send", "is_gone", "lease", "response")

    def __init__(self, gate: Gate, lease: Lease, body: bytes, receive: Receive, send: Send) -> None:
        self.lease = lease
        self.response = Response(gate, lease)
        self._has_tier = gate.has_tier
        self.client_send = send
        self.is_gone = False
        """Whether the client has left, as far as somebody asked."""
        self._body: bytes | None = body
        self._receive = receive

    async def receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.is_gone = True
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        response = self.response
        if kind == "http.response.body":
            body = message.get("body", b"")
            body = body if type(body) is bytes else bytes(body)
            more_body = message.get("more_body", False)
            if self._has_tier:
                piece = await _in_thread(response.take, body, more_body)
            else:
                piece = response.take(body, more_body)
            if piece is not None:
                head, body, more = piece
                try:
                    if head is not None:
                        await self.client_send(self._head(head))
                    await self.client_send(
                        {"type": "http.response.body", "body": body, "more_body": more}
                    )
                except OSError:
                    self.is_gone = True
                    raise
        elif kind == "http.response.start":
            has_trailers = message.get("trailers", False)
            start = (message["status"], message.get("headers", ()), has_trailers)
            if self._has_tier:
                await _in_thread(response.start, *start)
            else:
                response.start(*start)
            if response.is_endless:
                head = response.head_at_once()
                if head is not None:
                    await self.client_send(self._head(head))
        elif kind != "http.response.trailers" or response.has_trailers:
            await self.client_send(message)

    def _head(self, head: tuple[int, list[tuple[bytes, bytes]]]) -> Message:
        message: Message
        message = {"type": "http.response.start", "status": head[0], "headers": head[1]}
        if self.response.has_trailers:
            message["trailers"] = True
        return message


class _Detached(_Exchange):
    """One whose handler does not hear that its client has left."""

    __slots__ = ("_over", "_to_client")

    def __init__(self, gate: Gate, lease: Lease, body: bytes, receive: Receive, send: Send) -> None:
        super().__init__(gate, lease, body, receive, self._send_while_there)
        self._to_client = send
        self._over = asyncio.Event()

    async def receive(self) -> Message:
        if self._body is not None:
            return await super().receive()
        if not self.is_gone and not self._over.is_set():
            message = await self._receive_while_there()
            if message is not None and message["type"] != "http.disconnect":
                return message
        if not self.response.is_endless:
            await self._over.wait()
        return {"type": "http.disconnect"}

    async def _receive_while_there(self) -> Message | None:
        """What the client sends. ``None``: the response has ended before."""
        asked = asyncio.ensure_future(super().receive())
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait((asked, over), return_when=asyncio.FIRST_COMPLETED)
            return asked.result() if asked.done() else None
        finally:
            asked.cancel()
            over.cancel()

    async def send(self, message: Message) -> None:
        await super().send(message)
        if self.response.is_done or (self.is_gone and self.response.is_endless):
            self._over.set()

    def leave(self) -> None:
        """The client has left."""
        self.is_gone = True

    def end(self, _task: object) -> None:
        """The handler has returned."""
        self._over.set()

    async def _send_while_there(self, message: Message) -> None:
        if self.is_gone and not self.response.is_endless:
            return
        try:
            await self._to_client(message)
        except OSError:
            self.is_gone = True
            if self.response.is_endless:
                raise


def fields_of(headers: Iterable[Iterable[bytes]]) -> dict[bytes, bytes]:
    """Headers by their names; the values of one that came more than once are told apart."""
    pairs: list[Any] = headers if isinstance(headers, list) else list(headers)
    fields: dict[bytes, bytes] = dict(pairs)
    if len(fields) != len(pairs):
        fields = {}
        for name, value in pairs:
            fields[name] = fields[name] + REPEATED + value if name in fields else value
    return fields


async def _in_thread(call: Callable[..., T], *arguments: Any) -> T:
    """What may end an attempt, and so ask a tier, without holding up the loop.

    By a thread of the loop's, and not by the lease's coroutines: what a response does next depends
    on how its end went, and that is one piece of code for servers of both kinds. A request that is
    cancelled meanwhile has its attempt ended by the thread, or, where that had not begun, by the
    middleware.
    """
    return await asyncio.get_running_loop().run_in_executor(None, call, *arguments)


async def _answer(answer: Answer, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer[0], "headers": answer[1]})
    await send({"type": "http.response.body", "body": answer[2], "more_body": False})


def _wants_async(fields: dict[bytes, bytes]) -> bool:
    """Whether the client does not wait for the result (RFC 7240, section 4.1)."""
    preferences = fields.get(b"prefer", b"").replace(REPEATED, b",").lower().split(b",")
    return any(one.partition(b";")[0].strip() == b"respond-async" for one in preferences)


async def _nowhere(_message: Message) -> None:
    """For a client that has its answer."""


def _give_back(asked: asyncio.Future[Admission]) -> None:
    """An attempt that was admitted for a client that has left: it never started."""
    if not asked.cancelled() and asked.exception() is None:
        admission = asked.result()
        if isinstance(admission, Admitted):
            admission.lease.fail_soon()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _shown(extensions: dict[str, Any]) -> dict[str, Any]:
    """Those that a handler may use: what goes past the body of messages cannot be kept."""
    return {name: how for name, how in extensions.items() if name not in _PAST_THE_BODY}


def _quoted(path: str) -> str:
    from urllib.parse import quote

    return quote(path, safe="/:@!$&'()*+,;=~-._")


_PAST_THE_BODY = frozenset(("http.response.pathsend", "http.response.zerocopysend"))
