"""What the middlewares decide by, and the defaults with their reasons."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, Union

from .._policy import OutcomePolicy
from .alone import warn_where_alone
from .headers import is_name, kept_names
from .problem import CONTENT_TYPES, ProblemFormat

if TYPE_CHECKING:
    from .._core import OnLapse, Scope, Seconds
    from .._engine import Engine
    from .._policy import Preset
    from .polling import Polling


class Head(Protocol):
    """The head of a request, whatever server it came through."""

    @property
    def method(self) -> str:
        """As it was sent: ``"POST"``."""
        ...

    @property
    def target(self) -> str:
        """Path and query, as they were sent: ``"/charges?dry=1"``."""
        ...

    @property
    def connection(self) -> Any:
        """The scope of ASGI, or the environment of WSGI: both hold what other middlewares left."""
        ...

    def header(self, name: str) -> str | None:
        """The value of a header; one that came more than once is joined by commas."""
        ...


ScopeSource = Union[str, bytes, "Scope", None]
"""Whose request it is. ``None``: the caller has no identity, and needs one."""

ScopeOf = Callable[[Head], Union[ScopeSource, Awaitable[ScopeSource]]]
"""Says whose request it is; with ASGI it may be a coroutine function."""


@dataclass(frozen=True)
class Settings:
    """What :class:`oncegate.asgi.IdempotencyMiddleware` and the one for WSGI work by.

    Exactly one of ``scope`` and ``single_tenant`` has to be given; all else has a default.

    Raises ``ValueError`` or ``TypeError`` for what no request could be served by.

    >>> settings = Settings(engine, scope=lambda head: head.header("x-account"))
    """

    engine: Engine
    """Decides who may run a request."""

    scope: ScopeOf | None = None
    """Says whose request it is: a tenant's name of 1 to 255 bytes, or ``None`` for a caller without
    an identity, which is answered with 403. Take it from what was authenticated, never from a
    header that the client chooses: the scope is what keeps one tenant from being answered with
    another's response."""

    single_tenant: bool = False
    """Says that the service has no tenants. Then there is no ``scope``."""

    operation: Callable[[Head], str] | None = None
    """Says what is asked for, in 1 to 1,024 bytes; default: method, path and query. Needed where
    they do not say it all, such as where the host decides."""

    exempt: Collection[str] = ()
    """Paths that are passed on untouched: ``"/login"``, or ``"/hooks/*"`` for all below."""

    key_header: str = "Idempotency-Key"
    """The header that holds the key."""

    key_required: bool = True
    """Whether methods that change something need a key, and get 400 without one. ``False``: they
    run **unprotected**, as often as they are sent."""

    dedup_by_payload: bool = False
    """Whether ``PUT`` and ``DELETE`` without a key are identified by their payload. Mind the way
    back: after A and then B, A again inside the dedup window is answered by the record of the
    first A."""

    payload_limit: int = 1 << 20
    """The largest request with a key, in bytes. A larger one is answered with 413 before anything
    is admitted. The default is far above what calls that change something carry; uploads need a
    limit of their own."""

    response_limit: int = 1_000_000
    """The longest response that is kept, in bytes, and at most 1,000,000. Nothing beyond the
    engine's ``outcome_limit`` is kept: set both alike."""

    hold_streams: bool = False
    """Whether a response that comes in pieces is held back until its end, or until it is beyond
    ``response_limit``. Default: its pieces go to the client as they come, all but the end, which
    waits for the record."""

    keep_headers: Collection[str] = ()
    """Headers of the first response that replays repeat, besides ``Cache-Control``,
    ``Content-Disposition``, ``-Encoding``, ``-Language``, ``-Location`` and ``-Type``, ``ETag``,
    ``Last-Modified``, ``Link``, ``Location`` and ``Vary``. Those of one client, connection or
    message (``Set-Cookie``, ``Authorization``, ``Content-Length``, ``Date``) are refused."""

    replay_header: str = "Idempotent-Replayed"
    """Marks a replay, with the value ``true``."""

    lease_duration: Seconds | None = None
    """How long an attempt has; default: the engine's."""

    keep_lease: bool = True
    """Whether the lease is renewed while the handler runs, so that no duplicate runs beside one
    that is slow."""

    keep_at_most: Seconds = 3600.0
    """How long it is renewed: a handler that hangs must not hold its key for ever."""

    dedup_window: Seconds | None = None
    """How long a finished record answers duplicates; default: the engine's."""

    on_lapse: OnLapse | None = None
    """What becomes of an attempt whose lease lapsed; default: the engine's."""

    wait: Seconds = 0.0
    """How long a duplicate waits for the running attempt. Default: it gets 409 at once, whatever
    the engine's own ``wait`` is."""

    policy: OutcomePolicy | Preset = "ietf"
    """Which responses are final."""

    poll_after: float = 1.0
    """The longest ``Retry-After`` of a conflict with a running attempt, in seconds: the rest of the
    lease is what a handler may take, not what it usually takes."""

    problem_types: str | None = None
    """Where problems are documented: the type of a problem is this and its code. Default:
    ``about:blank``."""

    problem_format: ProblemFormat = "rfc9457"
    """How the middleware's own answers are written: ``"rfc9457"``, as ``application/problem+json``,
    or ``"stripe"``, as the SDKs of Stripe read them: the same key with another payload is then 400
    and an ``idempotency_error``, and what would be answered alike says ``Stripe-Should-Retry:
    false``. Which responses are final is said by ``policy`` alone."""

    detached: bool = False
    """Whether a handler runs to its end when its client has left, and the body of its response,
    unless that is an event stream. Handlers that move money want this."""

    polling: Polling | None = None
    """Answers duplicates of a running request with ``202 Accepted`` and where to ask for its state.
    Default: 409."""

    def __post_init__(self) -> None:
        if (self.scope is None) != self.single_tenant:
            raise ValueError("scope: refused; limit: exactly one of scope and single_tenant")
        _check_range("payload_limit", self.payload_limit, LARGEST_PAYLOAD)
        _check_range("response_limit", self.response_limit, LARGEST_OUTCOME)
        for field, name in (("key_header", self.key_header), ("replay_header", self.replay_header)):
            if not is_name(name):
                raise ValueError(f"{field}: refused; limit: the name of a header")
        for field in ("wait", "poll_after", "keep_at_most", "lease_duration", "dedup_window"):
            _check_seconds(field, getattr(self, field))
        kept_names(self.keep_headers)
        if self.problem_format not in CONTENT_TYPES:
            raise ValueError(f"problem_format: refused; limit: one of {', '.join(CONTENT_TYPES)}")
        if isinstance(self.exempt, str):
            raise TypeError("exempt: refused; found one string; limit: paths in a collection")
        if not isinstance(self.policy, OutcomePolicy):
            OutcomePolicy(self.policy)
        # Told of the line that makes the settings: behind this one and the generated `__init__`.
        warn_where_alone(self.engine, stacklevel=3)


def seconds(duration: Seconds) -> float:
    """As a number."""
    return duration.total_seconds() if isinstance(duration, timedelta) else float(duration)


def _check_range(field: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise ValueError(f"{field}: refused; found {value}; limit: 1 to {most}")


def _check_seconds(field: str, value: Seconds | None) -> None:
    # NaN is below everything, too.
    if value is not None and not seconds(value) >= 0:
        raise ValueError(f"{field}: refused; limit: seconds, from 0 on")


LARGEST_OUTCOME = 1_000_000
"""The largest limit for outcomes that an engine can be given."""

LARGEST_PAYLOAD = 64 << 20
"""The largest payload that an engine makes a digest of."""
