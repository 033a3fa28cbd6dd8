"""The middleware for WSGI: Flask, Django, Bottle, Pyramid and every other."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ._core import Admitted, InProgress, Scheduled
from ._errors import OncegateError
from .http import ATTEMPT
from .http.gate import SAFE, Gate, RefusedError, request_of
from .http.payload import payload_of
from .http.response import Response

if TYPE_CHECKING:
    from ._core import Lease
    from .http.gate import Identity
    from .http.problem import Answer
    from .http.response import Piece
    from .http.settings import Settings

Environ = dict[str, Any]
Write = Callable[[bytes], object]
StartResponse = Callable[..., Write]
App = Callable[[Environ, StartResponse], Iterable[bytes]]


class IdempotencyMiddleware:
    """Runs each request with an idempotency key once, as :mod:`oncegate.asgi` does.

    Flask: ``app.wsgi_app = IdempotencyMiddleware(app.wsgi_app, settings)``. Django:
    ``application = IdempotencyMiddleware(get_wsgi_application(), settings)``.

    A handler finds its attempt in ``environ["oncegate.attempt"]``. WSGI does not tell when a client
    leaves while its handler runs: the handler runs to its end, and its response is stored. A
    response that comes in pieces and whose client leaves is closed by the server; its record is
    resolved by policy, or ``detached`` has it made to its end. A duplicate that waits holds a
    thread; under gevent or eventlet it would hold all others, so leave ``wait`` at zero there.

    >>> app.wsgi_app = IdempotencyMiddleware(app.wsgi_app, Settings(engine, scope=account_of))
    """

    def __init__(self, app: App, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self._gate = Gate(settings)
        if self._gate.asks_async:
            raise TypeError("scope: refused; found a coroutine function; limit: a plain one")
        self._key_field = field_of(settings.key_header)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        gate = self._gate
        if ATTEMPT in environ:
            return self.app(environ, start_response)
        if method in SAFE or self._is_exempt(environ):
            poller = gate.poller
            if poller is not None and method == "GET":
                token = poller.token_in(_path(environ))
                if token is not None:
                    asking: Any = gate.scope_of(WsgiHead(environ))
                    return _answered(poller.answer(asking, token), start_response)
            return self.app(environ, start_response)
        try:
            value = environ.get(self._key_field)
            is_needed, key = gate.key_of(method, None if value is None else value.encode("latin-1"))
            if not is_needed:
                return self.app(environ, start_response)
            head = WsgiHead(environ)
            scope: Any = gate.scope_of(head)
            identity = gate.identity(head, scope, key)
            body = self._read(environ)
        except RefusedError as refused:
            return _answered(refused.answer, start_response)
        return self._serve(identity, body, environ, start_response)

    def _is_exempt(self, environ: Environ) -> bool:
        gate = self._gate
        return gate.has_exempt and gate.is_exempt(_path(environ))

    def _read(self, environ: Environ) -> bytes:
        """The body of the request."""
        limit = self.settings.payload_limit
        problems = self._gate.problems
        stream = environ["wsgi.input"]
        told = environ.get("CONTENT_LENGTH") or ""
        if told.isdigit():
            length = int(told)
            if length > limit:
                raise RefusedError(problems.answer("payload-too-large"))
            body = _read_up_to(stream, length)
            if len(body) != length:
                raise RefusedError(problems.answer("payload-incomplete"))
        elif environ.get("wsgi.input_terminated"):
            body = _read_up_to(stream, limit + 1)
            if len(body) > limit:
                raise RefusedError(problems.answer("payload-too-large"))
        else:
            # Nobody says where it ends.
            body = b""
        return body

    def _serve(
        self, identity: Identity, body: bytes, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        gate = self._gate
        kind = environ.get("CONTENT_TYPE")
        try:
            payload = payload_of(
                kind.encode("latin-1") if kind else None,
                "HTTP_CONTENT_ENCODING" in environ,
                body,
            )
            admission = gate.intake.begin(*identity, payload)
            if gate.wait and isinstance(admission, (InProgress, Scheduled)):
                request = request_of(identity, payload)
                admission = gate.engine.begin(request, wait=gate.wait, **gate.options)
        except OncegateError as error:
            return _answered(gate.refusal(error), start_response)
        if not isinstance(admission, Admitted):
            return _answered(gate.answer(identity, payload, admission), start_response)
        # Copied: servers look into theirs when the handler has returned.
        environ = {
            **environ,
            "wsgi.input": io.BytesIO(body),
            "CONTENT_LENGTH": str(len(body)),
            ATTEMPT: admission.lease,
        }
        # It goes past what is taken from the handler.
        environ.pop("wsgi.file_wrapper", None)
        exchange = _Exchange(gate, admission.lease, start_response)
        return exchange.run(self.app, environ)


class WsgiHead:
    """The head of a request, for the functions of the settings."""

    __slots__ = ("connection",)

    def __init__(self, environ: Environ) -> None:
        self.connection = environ

    @property
    def method(self) -> str:
        """As it was sent."""
        method: str = self.connection["REQUEST_METHOD"]
        return method

    @property
    def target(self) -> str:
        """Path and query, as they were sent where the server says so."""
        environ = self.connection
        raw: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
        if raw.startswith("/"):
            return raw.partition("#")[0]
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        path = quote(path.encode("latin-1"), safe="/:@!$&'()*+,;=~-._")
        query = environ.get("QUERY_STRING")
        return f"{path}?{query}" if query else path

    def header(self, name: str) -> str | None:
        """The value of a header; one that came more than once is joined by commas."""
        return self.connection.get(field_of(name))


class _Exchange:
    """One run of a handler: what it answers, and what of it goes to the client."""

    def __init__(self, gate: Gate, lease: Lease, start_response: StartResponse) -> None:
        self._gate = gate
        self._lease = lease
        self._start_response = start_response
        self._response = Response(gate, lease)
        self._parts: Iterator[bytes] = iter(())
        self._close: Callable[[], object] | None = None
        self._written: list[bytes] = []

    def run(self, app: App, environ: Environ) -> Iterable[bytes]:
        """Runs the handler until its response may go to the client."""
        try:
            if self._gate.keep_lease is not None:
                self._gate.keep_lease(self._lease)
            made = app(environ, self._start)
            self._close = getattr(made, "close", None)
            self._parts = iter(made)
            piece = self._next_piece()
        except BaseException as error:
            self._end_by(error)
            self._close_app()
            raise
        if piece is None:
            # Not one byte, and no head.
            self._response.broke()
            self._close_app()
            answer = self._response.aborted()
            return [] if answer is None else _answered(answer, self._start_response)
        self._send_head(piece)
        if piece.more:
            return _Stream(self, piece.body)
        self._close_app()
        return [piece.body]

    def next_body(self) -> bytes | None:
        """The next piece of the body. ``None``: there is none."""
        if self._response.is_done:
            return None
        try:
            piece = self._next_piece()
        except BaseException as error:
            self._end_by(error)
            raise
        # An empty piece would say to some servers that there are no more.
        return piece.body or None if piece is not None else None

    def end(self) -> None:
        """The server needs nothing more: the response has ended, or its client has left."""
        response = self._response
        try:
            if not response.is_done:
                if self._gate.settings.detached and not response.is_endless:
                    while self.next_body() is not None:
                        pass
                else:
                    response.left()
        finally:
            self._close_app()

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Write:
        if exc_info is not None and self._response.head_sent:
            raise exc_info[1].with_traceback(exc_info[2])
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        self._reason = status
        self._response.start(int(status[:3]), pairs)
        return self._written.append

    def _next_piece(self) -> Piece | None:
        """Has the handler work until a piece may go to the client."""
        response = self._response
        while True:
            data = self._next_data()
            if data is None:
                return response.take(b"", False) if response.status else None
            if not response.status:
                raise RuntimeError("the application gave a body before it called start_response")
            if not (response.head_sent or response.is_endless or response.has_length):
                # Nobody says whether more comes, and a response in one piece is no stream.
                ahead = self._next_data()
                if ahead is None:
                    return response.take(data, False)
                data += ahead
            piece = response.take(data, True)
            if piece is not None:
                return piece

    def _next_data(self) -> bytes | None:
        """What the handler gives next. ``None``: it has given all."""
        data = b""
        has_more = True
        while has_more and not data:
            try:
                data = next(self._parts)
            except StopIteration:
                has_more = False
            if self._written:
                data = b"".join(self._written) + data
                self._written.clear()
        return data or None

    def _send_head(self, piece: Piece) -> None:
        if piece.head is not None:
            status, headers = piece.head
            is_own = self._reason.startswith(str(status))
            _start(status, headers, self._start_response, self._reason if is_own else None)

    def _end_by(self, error: BaseException) -> None:
        if isinstance(error, Exception):
            self._response.broke()
        else:
            self._response.left()

    def _close_app(self) -> None:
        close, self._close = self._close, None
        if close is not None:
            close()


class _Stream:
    """A body that is still being made."""

    def __init__(self, exchange: _Exchange, first: bytes) -> None:
        self._exchange = exchange
        self._first: bytes | None = first

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        first, self._first = self._first, None
        body = self._exchange.next_body() if first is None else first
        if body is None:
            raise StopIteration
        return body

    def close(self) -> None:
        """The server needs nothing more."""
        self._exchange.end()


def field_of(name: str) -> str:
    """What a header is called in an environment."""
    field = name.upper().replace("-", "_")
    return field if field in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{field}"


def _path(environ: Environ) -> str:
    """As ASGI has it."""
    path: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return path.encode("latin-1").decode("utf-8", "replace")


def _read_up_to(stream: Any, length: int) -> bytes:
    """So many bytes, or fewer where the body is shorter; a server may give it in parts."""
    parts: list[bytes] = []
    while length > 0:
        try:
            part: bytes = stream.read(length)
        except OSError:
            # The client has left.
            break
        if not part:
            break
        parts.append(part)
        length -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _answered(answer: Answer, start_response: StartResponse) -> Iterable[bytes]:
    status, headers, body = answer
    _start(status, headers, start_response, None)
    return [body]


def _start(
    status: int,
    headers: list[tuple[bytes, bytes]],
    start_response: StartResponse,
    line: str | None,
) -> None:
    if line is None:
        line = f"{status} {_REASONS.get(status, 'Unknown')}"
    pairs = [(_titled(name), value.decode("latin-1")) for name, value in headers]
    start_response(line, pairs)


def _titled(name: bytes) -> str:
    return name.decode("latin-1").title() if name.islower() else name.decode("latin-1")


_REASONS = {status.value: status.phrase for status in HTTPStatus}
