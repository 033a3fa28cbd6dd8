"""Webhooks: deliveries that are verified, and handled once by the provider's id.

A provider sends a delivery again until it is acknowledged, so that an answer other than 2xx is how
a receiver asks for it later. A :class:`Receiver` answers:

* 204 where the handler has run, now or before;
* 409 with ``Retry-After`` while it runs, so that the delivery comes again if that run fails;
* 500 where the handler raised: the next delivery is the next attempt;
* 503 with ``Retry-After`` where a store across machines gives no answer;
* 400 where the signature is wrong, the id is missing, or an id comes again with other content.

::

    receiver = Receiver(engine, standard_webhooks(secret))
    app.mount("/hooks", receiver.asgi(handle))   # FastAPI, Starlette
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

from ._core import (
    Admitted,
    Failure,
    InProgress,
    Mismatched,
    Outcome,
    Payload,
    Request,
    Scheduled,
    Unresolved,
)
from ._errors import FencedError, InvalidInputError, OncegateError, TierUnavailableError

if TYPE_CHECKING:
    from ._core import Admission, Lease, Scope, Seconds
    from ._engine import Engine

log = logging.getLogger("oncegate")

WEEK = 7 * 24 * 3600.0
"""How long a delivery is remembered: Stripe sends for three days, GitHub redelivers for three."""


class VerificationError(OncegateError, ValueError):
    """The delivery was not signed by the provider, or has no id."""

    def __init__(self, message: str) -> None:
        super().__init__(message, name="Verification", field="delivery")


@dataclass(frozen=True)
class Delivery:
    """A delivery that the provider has signed."""

    id: str
    """What the provider sends again with every repetition."""
    event: str
    """What it is about: ``"invoice.paid"``; empty where the provider does not say."""
    body: bytes
    """The content, as it was signed."""

    def json(self) -> Any:
        """The content as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What the provider is answered."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    replayed: bool = False
    """Whether another delivery of the same id had run before."""


Verifier = Callable[[Mapping[str, str], bytes], Delivery]
"""Gets headers, their names in lower case, and the body; raises :class:`VerificationError`."""
Handler = Callable[[Delivery], object]
AsyncHandler = Callable[[Delivery], Awaitable[object]]


def stripe(secret: str, *, tolerance: int = 300) -> Verifier:
    """Stripe's, by its own library (``pip install stripe``); the id is the event's.

    ``tolerance`` is how many seconds old a signature may be.
    """
    import stripe as library

    def verify(headers: Mapping[str, str], body: bytes) -> Delivery:
        header = headers.get("stripe-signature")
        if header is None:
            raise VerificationError("stripe-signature: missing")
        try:
            text = body.decode()
            library.WebhookSignature.verify_header(text, header, secret, tolerance)
            event = json.loads(text)
            return Delivery(_text(event["id"]), _text(event["type"]), body)
        except library.SignatureVerificationError as error:
            raise VerificationError("stripe-signature: it does not fit the body") from error
        except (ValueError, KeyError, TypeError) as error:
            raise VerificationError("body: it is no event of Stripe's") from error

    return verify


def standard_webhooks(secret: str) -> Verifier:
    """Those of https://www.standardwebhooks.com, by their own library (``standardwebhooks``)."""
    from standardwebhooks.webhooks import Webhook, WebhookVerificationError

    library = Webhook(secret)

    def verify(headers: Mapping[str, str], body: bytes) -> Delivery:
        try:
            event = library.verify(body, dict(headers))
        except (WebhookVerificationError, ValueError) as error:
            raise VerificationError("webhook-signature: it does not fit") from error
        kind = event.get("type", "") if isinstance(event, dict) else ""
        return Delivery(headers["webhook-id"], kind if isinstance(kind, str) else "", body)

    return verify


def github(secret: str | bytes) -> Verifier:
    """GitHub's: an HMAC of the body, and the id of ``X-GitHub-Delivery``.

    GitHub signs the body alone. Somebody who has recorded a delivery can send it under another id;
    keep what is recorded on the way, such as logs of a proxy, as secret as the secret itself.
    """
    key = secret.encode() if isinstance(secret, str) else secret

    def verify(headers: Mapping[str, str], body: bytes) -> Delivery:
        signed = headers.get("x-hub-signature-256", "")
        expected = "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signed.encode("latin-1", "replace"), expected.encode()):
            raise VerificationError("x-hub-signature-256: it does not fit the body")
        number = headers.get("x-github-delivery", "")
        if not number:
            raise VerificationError("x-github-delivery: missing")
        return Delivery(number, headers.get("x-github-event", ""), body)

    return verify


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("no text")
    return value


Environ = MutableMapping[str, Any]
Headers = Union[Mapping[str, str], Iterable[tuple[str, str]]]


class Receiver:
    """Handles each delivery of one endpoint once.

    ``scope`` keeps endpoints apart whose providers may use the same ids. ``limit`` is the size of
    the largest body, in bytes. ``wait`` is how long a duplicate of a running delivery waits, in
    seconds, before it is told to come again.
    """

    def __init__(
        self,
        engine: Engine,
        verify: Verifier,
        *,
        scope: str | bytes | Scope = "webhooks",
        dedup_window: Seconds = WEEK,
        wait: Seconds = 0.0,
        limit: int = 1 << 20,
    ) -> None:
        self._engine = engine
        self._verify = verify
        self._scope = scope
        self._options: dict[str, Any] = {"dedup_window": dedup_window, "wait": wait}
        self._limit = limit

    def receive(self, headers: Headers, body: bytes, handler: Handler) -> Reply:
        """Runs ``handler`` unless this delivery has been handled, or is being handled."""
        checked = self._checked(headers, body)
        if isinstance(checked, Reply):
            return checked
        delivery, request = checked
        try:
            admission = self._engine.begin(request, **self._options)
        except OncegateError as error:
            return _refused(error)
        if not isinstance(admission, Admitted):
            return _answered(admission)
        lease = admission.lease
        lease.keep()
        try:
            handler(delivery)
        except Exception:
            return _failed(lease)
        except BaseException:
            lease.release()
            raise
        return _done(lease)

    async def receive_async(self, headers: Headers, body: bytes, handler: AsyncHandler) -> Reply:
        """:meth:`receive` for a coroutine function."""
        checked = self._checked(headers, body)
        if isinstance(checked, Reply):
            return checked
        delivery, request = checked
        try:
            admission = await self._engine.begin_async(request, **self._options)
        except OncegateError as error:
            return _refused(error)
        if not isinstance(admission, Admitted):
            return _answered(admission)
        lease = admission.lease
        lease.keep()
        try:
            await handler(delivery)
        except Exception:
            _tell_failed()
            return await _settled(lease.fail_async(Failure.retryable()), Reply(500))
        except BaseException:
            lease.release()
            raise
        return await _settled(lease.complete_async(Outcome(204)), Reply(204))

    def _checked(self, headers: Headers, body: bytes) -> Reply | tuple[Delivery, Request]:
        if len(body) > self._limit:
            return Reply(413)
        try:
            delivery = self._verify(
                {name.lower(): value for name, value in dict(headers).items()}, body
            )
            payload = Payload.raw(hashlib.sha256(delivery.body).digest())
            request = Request("webhook", delivery.id, scope=self._scope, payload=payload)
        except (VerificationError, InvalidInputError) as error:
            log.warning("a delivery was refused: %s", error)
            return Reply(400)
        return delivery, request

    def asgi(self, handler: AsyncHandler) -> Callable[..., Awaitable[None]]:
        """An ASGI application that takes deliveries by POST."""

        async def application(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                raise ValueError(f"a receiver of webhooks takes HTTP, and not {scope['type']}")
            reply = Reply(405, (("allow", "POST"),))
            if scope["method"] == "POST":
                body = await _read(receive, self._limit)
                if body is None:
                    return
                names = ((k.decode("latin-1"), v.decode("latin-1")) for k, v in scope["headers"])
                reply = await self.receive_async(names, body, handler)
            named = _headers(reply)
            pairs = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in named]
            start = {"type": "http.response.start", "status": reply.status, "headers": pairs}
            await send(start)
            await send({"type": "http.response.body", "body": b""})

        return application

    def wsgi(self, handler: Handler) -> Callable[[Environ, Any], list[bytes]]:
        """A WSGI application that takes deliveries by POST."""

        def application(environ: Environ, start_response: Any) -> list[bytes]:
            reply = Reply(405, (("Allow", "POST"),))
            if environ["REQUEST_METHOD"] == "POST":
                body = _read_wsgi(environ, self._limit)
                prefix = "HTTP_"
                names = {
                    name[len(prefix) :].replace("_", "-"): value
                    for name, value in environ.items()
                    if name.startswith(prefix)
                }
                reply = self.receive(names, body, handler)
            start_response(f"{reply.status} {_PHRASES[reply.status]}", _headers(reply))
            return []

        return application


async def _read(receive: Any, limit: int) -> bytes | None:
    """The body, or a part of it that is over the limit already; ``None``: the provider has left."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if not message.get("more_body", False) or size > limit:
            return b"".join(parts)


def _read_wsgi(environ: Environ, limit: int) -> bytes:
    length = environ.get("CONTENT_LENGTH") or ""
    most = min(int(length), limit + 1) if length.isdigit() else limit + 1
    body = environ["wsgi.input"].read(most)
    return body if isinstance(body, bytes) else b""


def _headers(reply: Reply) -> list[tuple[str, str]]:
    """Those of an answer without a body."""
    if reply.status == 204:
        return list(reply.headers)
    return [*reply.headers, ("content-type", "text/plain"), ("content-length", "0")]


def _done(lease: Lease) -> Reply:
    try:
        lease.complete(Outcome(204))
    except FencedError:
        # Another attempt runs, or has run: its end counts.
        return Reply(409, (("retry-after", "1"),))
    except TierUnavailableError as error:
        return _undecided(error, Reply(204))
    return Reply(204)


def _failed(lease: Lease) -> Reply:
    _tell_failed()
    try:
        lease.fail(Failure.retryable())
    except FencedError:
        return Reply(409, (("retry-after", "1"),))
    except TierUnavailableError as error:
        return _undecided(error, Reply(500))
    return Reply(500)


async def _settled(ending: Awaitable[object], reply: Reply) -> Reply:
    """The answer to a delivery whose attempt ends."""
    try:
        await ending
    except FencedError:
        return Reply(409, (("retry-after", "1"),))
    except TierUnavailableError as error:
        return _undecided(error, reply)
    return reply


def _tell_failed() -> None:
    log.exception("the handler of a delivery failed; the next delivery is its next attempt")


def _undecided(error: TierUnavailableError, reply: Reply) -> Reply:
    """The lease was lost, and the store says later whether the end counts. What was handled is
    done: a delivery that came before the store was told might be handled again."""
    log.warning("a delivery ended beyond its lease: %s", error)
    return reply if reply.status == 204 else _later(error)


def _refused(error: OncegateError) -> Reply:
    log.warning("a delivery could not be looked up: %s", error)
    return _later(error)


def _later(error: OncegateError) -> Reply:
    after = math.ceil(error.retry_after or 1)
    return Reply(503, (("retry-after", str(after)),))


def _answered(admission: Admission) -> Reply:
    if isinstance(admission, (InProgress, Scheduled)):
        return Reply(409, (("retry-after", "1"),))
    if isinstance(admission, Mismatched):
        log.warning("a delivery was refused: its id came before with other content")
        return Reply(400)
    if isinstance(admission, Unresolved):
        return Reply(409)
    # Replayed, or OutcomeGone: it has run.
    return Reply(204, replayed=True)


_PHRASES = {
    204: "No Content",
    400: "Bad Request",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
