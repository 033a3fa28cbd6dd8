"""Gate: what every middleware does with a request before and instead of its handler."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

from .._core import (
    Failure,
    InProgress,
    Intake,
    Mismatched,
    OutcomeGone,
    Replayed,
    Request,
    Scheduled,
    Scope,
    Unresolved,
)
from .._errors import OncegateError
from .._policy import policy_of
from .headers import kept_names
from .key import MalformedKeyError, read_key
from .polling import Poller
from .problem import Answer, Problems
from .settings import seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import Admission, Lease, Payload
    from .._judge import Judgement
    from .settings import Head, ScopeOf, ScopeSource, Settings


class Identity(NamedTuple):
    """What a request is recognised by, without its payload."""

    scope: str | bytes | Scope
    operation: str
    key: bytes | None
    """Without a key, the payload takes its place."""


class RefusedError(Exception):
    """The request is answered without being run."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Gate:
    """The settings, made ready for being used by each request."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = settings.engine
        self.wait = seconds(settings.wait)
        self.has_tier = settings.engine.has_tier
        """Whether to begin and to end an attempt asks a tier."""
        self.keep_lease = _keeper(settings) if settings.keep_lease else None
        """Begins to renew a lease."""
        self.options = _begin_options(settings)
        names = sorted(kept_names(settings.keep_headers))
        # Never blocks: waiting is done where it does not hold up others.
        self.intake = Intake(settings.engine, names, **self.options)
        self.key_name = settings.key_header.lower().encode("ascii")
        self.problems = Problems(
            settings.problem_types,
            settings.key_header,
            settings.payload_limit,
            settings.problem_format,
        )
        self._replayed = (settings.replay_header.lower().encode("ascii"), b"true")
        policy = policy_of(settings.policy)
        self.judge = policy.judge
        self.on_error = failure(policy.on_error)
        self.poll_after = float(settings.poll_after)
        self.scope_of: ScopeOf = settings.scope or _single_tenant
        self.asks_async = inspect.iscoroutinefunction(settings.scope) or (
            settings.scope is not None
            and inspect.iscoroutinefunction(type(settings.scope).__call__)
        )
        """Whether the scope is told by a coroutine function."""
        self._exempt = frozenset(path for path in settings.exempt if not path.endswith("*"))
        self._exempt_below = tuple(path[:-1] for path in settings.exempt if path.endswith("*"))
        self.has_exempt = bool(settings.exempt)
        """Whether there are paths that are passed on untouched."""
        self.poller = None if settings.polling is None else Poller(settings.polling, self)

    def is_exempt(self, path: str) -> bool:
        """Whether requests for ``path`` are passed on untouched."""
        return path in self._exempt or path.startswith(self._exempt_below)

    def key_of(self, method: str, value: bytes | None) -> tuple[bool, bytes | None]:
        """Whether a request with this method needs a record, and its key.

        ``value`` is what its header holds. Raises :class:`RefusedError`.
        """
        if value is not None:
            try:
                return True, read_key(value)
            except MalformedKeyError as malformed:
                answer = self.problems.answer("invalid-key", str(malformed))
                raise RefusedError(answer) from None
        if method in _IDEMPOTENT:
            return self.settings.dedup_by_payload, None
        if self.settings.key_required:
            raise RefusedError(self.problems.answer("missing-key"))
        return False, None

    def check_announced(self, length: bytes | None) -> None:
        """Raises :class:`RefusedError` where a client says that its body is too large."""
        if length is not None and length.isdigit():
            self.check_size(int(length))

    def check_size(self, size: int) -> None:
        """Raises :class:`RefusedError` where a body is too large."""
        if size > self.settings.payload_limit:
            raise RefusedError(self.problems.answer("payload-too-large"))

    def identity(self, head: Head, scope: ScopeSource, key: bytes | None) -> Identity:
        """What a request is recognised by. Raises :class:`RefusedError`."""
        if scope is None:
            raise RefusedError(self.problems.answer("no-scope"))
        operation = self.settings.operation
        if operation is None:
            return new_tuple(Identity, (scope, f"{head.method} {head.target}", key))
        asked = operation(head)
        if not asked:
            raise RefusedError(self.problems.answer("misconfigured"))
        return Identity(scope, asked, key)

    def answer(self, identity: Identity, payload: Payload | None, admission: Admission) -> Answer:
        """The answer to a duplicate, which runs nothing."""
        if isinstance(admission, Replayed):
            return self.replay(admission)
        if self.poller is not None and isinstance(admission, (InProgress, Scheduled)):
            request = request_of(identity, payload)
            return self.poller.accepted(identity.scope, request, admission)
        if isinstance(admission, InProgress):
            after = min(admission.remaining, self.poll_after)
            return self.problems.answer("in-progress", None, after)
        if isinstance(admission, Scheduled):
            return self.problems.answer("scheduled", None, admission.due_in)
        return self.problems.answer(_CONFLICTS[type(admission)])

    def replay(self, replayed: Replayed) -> Answer:
        """The first response again, as far as it was kept."""
        headers = self.intake.headers(replayed)
        headers.append(self._replayed)
        status = replayed.status
        if not 200 <= status <= 999:
            # A record that was resolved by hand may hold any number.
            status = 500
        if not has_body(status):
            return Answer(status, headers, b"")
        body = replayed.body
        headers.append((b"content-length", b"%d" % len(body)))
        return Answer(status, headers, body)

    def refusal(self, error: OncegateError) -> Answer:
        """What the client hears of an error of the engine."""
        name = error.name
        code = _REFUSALS.get(name, "unavailable")
        after = None
        if code in _COMES_AGAIN:
            after = self.poll_after if error.retry_after is None else error.retry_after
        detail = str(error) if code in _EXPLAINED else None
        return self.problems.answer(code, detail, after)


# A named tuple, without the function that its class makes one by.
new_tuple = tuple.__new__


def request_of(identity: Identity, payload: Payload | None) -> Request:
    """As the engine takes it. Raises what the engine raises of what breaks its rules."""
    return Request(identity.operation, identity.key, scope=identity.scope, payload=payload)


def failure(judgement: Judgement) -> Failure:
    """How an attempt ends that left no final response."""
    return _RETRYABLE if judgement == "retryable" else _UNKNOWN


def has_body(status: int) -> bool:
    """Whether a response with this status may have a body."""
    return status >= 200 and status not in (204, 304)


def _single_tenant(_head: Head) -> Scope:
    return Scope.SINGLE_TENANT


def _keeper(settings: Settings) -> Callable[[Lease], None]:
    lasts, at_most = settings.lease_duration, settings.keep_at_most

    def keep(lease: Lease) -> None:
        lease.keep(lasts, at_most=at_most)

    return keep


def _begin_options(settings: Settings) -> dict[str, Any]:
    given = {
        "lease_duration": settings.lease_duration,
        "dedup_window": settings.dedup_window,
        "on_lapse": settings.on_lapse,
    }
    return {name: value for name, value in given.items() if value is not None}


SAFE = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "REPORT", "SEARCH"))
"""They change nothing, as IANA's registry of methods says, and need no record. ``QUERY`` is RFC
10008's, the last three are WebDAV's. Methods are case-sensitive."""
_IDEMPOTENT = frozenset(("PUT", "DELETE"))
_RETRYABLE = Failure.retryable()
_UNKNOWN = Failure.unknown()
_CONFLICTS: dict[type[object], str] = {
    Mismatched: "mismatched",
    Unresolved: "unresolved",
    OutcomeGone: "outcome-gone",
}
_REFUSALS = {
    "InvalidKey": "invalid-key",
    "InvalidPayload": "invalid-payload",
    "InvalidOperation": "operation-too-long",
    "QuotaExceeded": "quota-exceeded",
    "Fenced": "fenced",
    "Full": "full",
    "TooManyWaiters": "full",
    "RotationPending": "full",
    "BudgetExhausted": "retry-budget-exhausted",
    "TierUnavailable": "tier-unavailable",
    "InvalidScope": "misconfigured",
    "InvalidConfig": "misconfigured",
    "InvalidOption": "misconfigured",
    "InvalidOutcome": "misconfigured",
    "InvalidToken": "misconfigured",
    "NotFound": "misconfigured",
}
_COMES_AGAIN = frozenset(
    ("quota-exceeded", "fenced", "full", "retry-budget-exhausted", "tier-unavailable")
)
# Their texts name the field and the limit, never the value.
_EXPLAINED = frozenset(("invalid-key", "invalid-payload", "operation-too-long", "quota-exceeded"))
