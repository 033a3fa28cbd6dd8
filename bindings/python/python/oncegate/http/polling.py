"""Polling: where the state of a running request is asked for, and by which token."""

from __future__ import annotations

import hmac
import json
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .._core import InProgress, Replayed, Scheduled, Scope, Unresolved
from .._errors import OncegateError
from .problem import Answer, whole_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import Admission, Request
    from .gate import Gate


@dataclass(frozen=True)
class Polling:
    """Answers duplicates of a running request with ``202 Accepted`` and a place to poll.

    ``GET {path}/{token}`` answers 202 with the state while the request runs or waits for its next
    attempt, and then what a duplicate would get: the first response. A token is good for the scope
    that it was given to, as long as the record lasts. No state is kept for it. A token of another
    scope, one that was made up, and one whose record is gone get the same 404, after the same work.

    Raises ``ValueError`` for what nobody could poll by.

    >>> polling = Polling(secret=os.environb[b"POLLING_SECRET"], path="/requests")
    """

    secret: bytes = field(repr=False)
    """At least 16 random bytes, the same in every process that serves the path."""

    path: str = "/idempotency"
    """Below which tokens are asked for, as the client sees it."""

    respond_async: bool = False
    """Whether a client that sends ``Prefer: respond-async`` (RFC 7240) gets 202 for its first
    request, too, at once; its handler then runs detached. With ASGI only."""

    rate: float = 5.0
    """How often a scope may ask in a second, in each process."""

    burst: int = 20
    """How often it may ask at once."""

    def __post_init__(self) -> None:
        if len(self.secret) < _LEAST_SECRET:
            raise ValueError(f"secret: refused; limit: at least {_LEAST_SECRET} bytes")
        if not self.path.startswith("/") or self.path.endswith("/"):
            raise ValueError("path: refused; limit: it begins with a slash and ends without")
        if not self.rate > 0:
            raise ValueError("rate: refused; limit: above zero")
        if self.burst < 1:
            raise ValueError("burst: refused; limit: from 1 on")


class Poller:
    """Makes tokens, and tells the state of the requests that they stand for."""

    def __init__(self, polling: Polling, gate: Gate) -> None:
        self.respond_async = polling.respond_async
        self._gate = gate
        self._prefix = f"{polling.path}/"
        self._tokens = Tokens(polling.secret)
        self._limiter = Limiter(polling.rate, polling.burst)

    def token_in(self, path: str) -> str | None:
        """The token that is asked for by ``path``."""
        prefix = self._prefix
        return path[len(prefix) :] if path.startswith(prefix) else None

    def accepted(
        self, scope: str | bytes | Scope, request: Request, admission: Admission | None
    ) -> Answer:
        """The answer to a request that runs or will; without an admission, this one began it."""
        fingerprint = self._gate.engine.prepare(request).fingerprint
        place = self._prefix + self._tokens.seal(name_of(scope), fingerprint)
        answer = self._pending(admission)
        answer.headers.append((b"location", place.encode("utf-8")))
        return answer

    def answer(self, scope: str | bytes | Scope | None, token: str) -> Answer:
        """The answer to who asks for the state."""
        problems = self._gate.problems
        if scope is None:
            return problems.answer("no-scope")
        name = name_of(scope)
        delay = self._limiter.delay(name)
        if delay > 0:
            return problems.answer("too-many-requests", None, delay)
        is_own, fingerprint = self._tokens.open(name, token)
        try:
            # Whether or not the token is good: both take the same time.
            seen = self._gate.engine.look(fingerprint)
        except OncegateError as error:
            return self._gate.refusal(error)
        if seen is None or not is_own:
            return problems.answer("no-such-request")
        if isinstance(seen, (InProgress, Scheduled)):
            return self._pending(seen)
        if isinstance(seen, Replayed):
            return self._gate.replay(seen)
        return problems.answer("unresolved" if isinstance(seen, Unresolved) else "outcome-gone")

    def _pending(self, admission: Admission | None) -> Answer:
        if isinstance(admission, Scheduled):
            state = {"state": "waiting", "next_attempt": admission.next_attempt}
            after = admission.due_in
        else:
            attempt = admission.attempt if isinstance(admission, InProgress) else 1
            state = {"state": "running", "attempt": attempt}
            after = self._gate.poll_after
        body = json.dumps(state, separators=(",", ":")).encode("ascii")
        headers = [
            (b"content-type", b"application/json"),
            (b"cache-control", b"no-store"),
            (b"content-length", b"%d" % len(body)),
            (b"retry-after", whole_seconds(after)),
        ]
        return Answer(202, headers, body)


class Tokens:
    """Seals fingerprints for their scopes.

    A token is a tag of scope and fingerprint, and the fingerprint, masked by what is made of the
    tag and the scope (a synthetic initialization vector, as in RFC 5297). Both halves look random
    to whoever lacks the secret. Under another scope it opens to something that no record has.
    """

    def __init__(self, secret: bytes) -> None:
        self._tagging = _digest(secret, b"oncegate polling: tag")
        self._masking = _digest(secret, b"oncegate polling: mask")

    def seal(self, scope: bytes, fingerprint: bytes) -> str:
        """The token of a record."""
        tag = self._tag(scope, fingerprint)
        token = tag + _xor(fingerprint, self._mask(scope, tag))
        return urlsafe_b64encode(token).decode("ascii")

    def open(self, scope: bytes, token: str) -> tuple[bool, bytes]:
        """Whether the token is this scope's, and a fingerprint in either case."""
        try:
            data = urlsafe_b64decode(token)
        except ValueError:
            data = b""
        if len(data) != _TAG + _FINGERPRINT:
            data = bytes(_TAG + _FINGERPRINT)
        tag = data[:_TAG]
        fingerprint = _xor(data[_TAG:], self._mask(scope, tag))
        is_own = hmac.compare_digest(tag, self._tag(scope, fingerprint))
        # There is one spelling of a token.
        return is_own and urlsafe_b64encode(data) == token.encode("utf-8"), fingerprint

    def _tag(self, scope: bytes, fingerprint: bytes) -> bytes:
        return _digest(self._tagging, fingerprint + scope)[:_TAG]

    def _mask(self, scope: bytes, tag: bytes) -> bytes:
        return _digest(self._masking, tag + scope)


class Limiter:
    """How often each scope may ask: a bucket of tokens that fills by time."""

    def __init__(
        self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._lock = threading.Lock()
        # Left in it, and when; those that asked last stand at the end.
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def delay(self, scope: bytes) -> float:
        """Zero: it may ask now. Else the seconds until it may."""
        now = self._clock()
        with self._lock:
            left, since = self._buckets.pop(scope, (self._burst, now))
            left = min(self._burst, left + (now - since) * self._rate)
            may_ask = left >= 1
            self._buckets[scope] = (left - 1 if may_ask else left, now)
            if len(self._buckets) > _MOST_SCOPES:
                self._buckets.popitem(last=False)
        return 0.0 if may_ask else (1 - left) / self._rate


def name_of(scope: str | bytes | Scope) -> bytes:
    """A name that no other scope has."""
    if isinstance(scope, Scope):
        named = scope.name
        if named is None:
            return b"s" if scope == Scope.SINGLE_TENANT else b"u"
        return b"n" + named
    return b"n" + (scope.encode("utf-8") if isinstance(scope, str) else scope)


def _digest(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right))


_LEAST_SECRET = 16
_TAG = 16
_FINGERPRINT = 32
# A bucket that is forgotten is full again; so many scopes ask in turn only where there are more.
_MOST_SCOPES = 10_000
