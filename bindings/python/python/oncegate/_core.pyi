"""The engine, as Rust has it. Take the names from ``oncegate``.

One stub for one native module, longer than other files for the documentation that editors show.
Durations are seconds, as numbers or ``timedelta``; times of the wall clock are seconds since 1970.
Every class is frozen, and any thread may use every object. Nothing blocks with the GIL held. What
is refused raises a child of ``OncegateError``; an argument out of its range ``InvalidInputError``,
whose ``field`` names it; whatever belongs to the parent of a fork ``ForkedError``; a closed engine
``ClosedError``.
"""

import os
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, Literal, final

from typing_extensions import Self, TypeAlias, disjoint_base

from ._errors import OncegateError

__all__ = [
    "AdaptiveBackoff",
    "AdaptiveStats",
    "Admitted",
    "Attempt",
    "AttemptError",
    "AttemptWait",
    "Buried",
    "CallAttempts",
    "DeadLetter",
    "Doubt",
    "Driven",
    "Due",
    "Ending",
    "Endings",
    "Engine",
    "Events",
    "Failed",
    "Failure",
    "FillEvent",
    "GivenUp",
    "Hazard",
    "InProgress",
    "InputStats",
    "Intake",
    "KeyRules",
    "Latency",
    "Lease",
    "LeaseToken",
    "LetterPage",
    "Live",
    "ManualClock",
    "Mismatched",
    "Outcome",
    "OutcomeGone",
    "PastAttempt",
    "Payload",
    "Prepared",
    "Quota",
    "Reconciliation",
    "Redis",
    "Replayed",
    "Request",
    "ResponseHead",
    "RetryBudget",
    "RetryPolicy",
    "RetryStats",
    "Scheduled",
    "Scope",
    "Stats",
    "Stretch",
    "StuckEvent",
    "Succeeded",
    "TierOptions",
    "TierStats",
    "Unresolved",
    "Wait",
    "Waits",
    "after_fork_in_child",
]

Seconds: TypeAlias = float | timedelta
"""A duration: seconds from 0 on, or a ``timedelta``."""
UnixTime: TypeAlias = float | datetime
"""A time of the wall clock: seconds since 1970, or a ``datetime``."""
OnLapse: TypeAlias = Literal["reclaim", "unknown", "failed"]
"""An attempt whose lease lapsed: the next one may run; nobody knows its effect; it has failed."""
OnDrop: TypeAlias = Literal["retry", "unknown", "failed", "keep_lease"]
"""A lease that was dropped without an end: the same, or it lasts until it lapses."""
OnOutage: TypeAlias = Literal["refuse", "local_only", "run"]
"""What a new request is told while the tier gives no answer."""
OnFull: TypeAlias = Literal["evict_lru", "reject"]
"""No room for a record: a finished one gives way inside its window, or the new one is refused."""
OnLettersFull: TypeAlias = Literal["drop_oldest", "reject"]
FingerprintMode: TypeAlias = Literal["keyed", "fast_trusted"]
Status: TypeAlias = Literal["created", "retried", "expired"]
"""Before an attempt: there was no record; one that failed; one whose time was over."""
FailureKind: TypeAlias = Literal["transient", "throttled", "timeout"]
BuriedReason: TypeAlias = Literal["attempts", "deadline", "budget", "final_error", "lapsed"]
Jitter: TypeAlias = Literal["none", "full", "equal", "decorrelated", "decorrelated_v2"] | float
"""``none``: as the backoff names it; ``full``: from nothing to all of it; ``equal``: one half, and
a draw of the other; ``decorrelated``: from the first delay to three times the one before;
``decorrelated_v2``: Polly's formula; a number: that share of it to either side."""

# ---------------------------------------------------------------- request

@final
class Scope:
    """Whose request it is: a tenant, by a name of 1 to 1,024 bytes. A ``str`` or ``bytes`` does.

    Two scopes never share a record. Take the name from the caller's credentials, never from what
    he sends. ``SINGLE_TENANT``: there is one; ``UNAUTHENTICATED``: whoever has no name.
    """

    SINGLE_TENANT: Final[Scope]
    UNAUTHENTICATED: Final[Scope]
    def __new__(cls, name: str | bytes) -> Self: ...
    @property
    def name(self) -> bytes | None:
        """The tenant's name; ``None`` for the two scopes that have no tenant."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Payload:
    """What the same key may not be sent with twice in two versions. It is copied once."""

    @staticmethod
    def raw(data: bytes) -> Payload:
        """Bytes, compared as they are."""
    @staticmethod
    def json(data: bytes) -> Payload:
        """A JSON document, compared by its canonical form (RFC 8785)."""
    @staticmethod
    def form(data: bytes) -> Payload:
        """A form (``application/x-www-form-urlencoded``), compared by its pairs."""
    @staticmethod
    def multipart(data: bytes, boundary: str) -> Payload:
        """A form of parts (``multipart/form-data``), compared without its boundary."""
    def excluding(self, pointers: Sequence[str]) -> Payload:
        """The same without the values at these JSON pointers (RFC 6901): they may differ."""
    def including(self, pointers: Sequence[str]) -> Payload:
        """The values at these JSON pointers alone."""
    def __len__(self) -> int: ...

@final
class Request:
    """One logical request, which its resends are equal to.

    ``operation`` and ``key`` name it within its ``scope``; ``key=None``: its payload does. The
    payload plays no part in finding the record: a resend with another one is ``Mismatched``.

    >>> Request("POST /charges", "8fd1", scope="acme", payload=Payload.json(b'{"amount": 100}'))
    """

    def __new__(
        cls,
        operation: str,
        key: str | bytes | None,
        *,
        scope: str | bytes | Scope,
        payload: Payload | bytes | None = None,
    ) -> Self: ...
    @property
    def operation(self) -> str: ...
    @property
    def scope(self) -> Scope: ...

@final
class Prepared:
    """A request with its digests made, bound to its engine: the quickest way to ask again."""

    @property
    def fingerprint(self) -> bytes:
        """The 32 bytes by which the table knows it."""
    def begin(self) -> Admission:
        """:meth:`Engine.begin`, with the engine's options."""

# ---------------------------------------------------------------- admission

@final
class Outcome:
    """What a run leaves for its duplicates: a status, bytes, and metadata."""

    __match_args__ = ("status", "body")
    __hash__: ClassVar[None]  # type: ignore[assignment]  # what is equal has no hash
    def __new__(
        cls,
        status: int = 200,
        body: bytes | None = None,
        metadata: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    ) -> Self: ...
    @staticmethod
    def withheld(status: int) -> Outcome:
        """One whose bytes are not kept: it never runs again, and duplicates get ``OutcomeGone``."""
    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...
    @property
    def metadata(self) -> list[tuple[str, str]]: ...
    def __eq__(self, other: object, /) -> bool: ...

@final
class Admitted:
    """Nobody runs it: the caller does, and ends the lease."""

    __match_args__ = ("lease",)
    @property
    def lease(self) -> Lease: ...

@final
class Replayed:
    """It has finished, inside its dedup window: this is what the first run left."""

    __match_args__ = ("outcome",)
    def __new__(cls, outcome: Outcome) -> Self: ...
    @property
    def outcome(self) -> Outcome: ...
    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...
    @property
    def metadata(self) -> list[tuple[str, str]]: ...

@final
class InProgress:
    """Another attempt holds the lease, for ``remaining`` seconds at most unless it is renewed."""

    __match_args__ = ("attempt", "remaining")
    def __new__(cls, attempt: int, remaining: float) -> Self: ...
    @property
    def attempt(self) -> int: ...
    @property
    def remaining(self) -> float: ...

@final
class Scheduled:
    """It failed, and its next attempt may start in ``due_in`` seconds."""

    __match_args__ = ("next_attempt", "due_in")
    def __new__(cls, next_attempt: int, due_in: float) -> Self: ...
    @property
    def next_attempt(self) -> int: ...
    @property
    def due_in(self) -> float: ...

@final
class Mismatched:
    """The same key came with another payload."""

    def __new__(cls) -> Self: ...

@final
class Unresolved:
    """Nobody knows whether the last attempt took effect: :meth:`Engine.resolve` says so."""

    def __new__(cls) -> Self: ...

@final
class OutcomeGone:
    """It has finished, but the bytes of its outcome are gone, or were never kept."""

    def __new__(cls) -> Self: ...

Admission: TypeAlias = (
    Admitted | Replayed | InProgress | Scheduled | Mismatched | Unresolved | OutcomeGone
)
"""What :meth:`Engine.begin` answers."""

# ---------------------------------------------------------------- lease

@final
class LeaseToken:
    """A lease as plain data, which crosses threads, processes and languages.

    ``bytes(token)`` and ``LeaseToken(data)``; it may be pickled. Whoever has it may end the
    attempt: it is for workers that are trusted.
    """

    def __new__(cls, data: bytes) -> Self: ...
    @property
    def fencing_token(self) -> int: ...
    @property
    def attempt(self) -> int: ...
    def __bytes__(self) -> bytes: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Failure:
    """How an attempt failed."""

    @staticmethod
    def retryable(after: Seconds | None = None) -> Failure:
        """It had no effect: the next attempt may start, after so many seconds."""
    @staticmethod
    def terminal(outcome: Outcome | bytes) -> Failure:
        """It failed for good: duplicates get this outcome."""
    @staticmethod
    def unknown() -> Failure:
        """Nobody knows whether it took effect; it does not run again before somebody says so."""

@final
class Lease:
    """The exclusive right to run one attempt, until its deadline.

    A lease is not a lock: pass ``fencing_token`` to whatever the attempt writes to. The calls that
    end it raise ``FencedError`` where it has lapsed and another attempt may run. One that is freed
    without an end resolves its record as the engine's ``on_drop`` says.
    """

    @property
    def fencing_token(self) -> int:
        """Higher than that of every attempt of this record before."""
    @property
    def attempt(self) -> int:
        """From 1 on."""
    @property
    def status(self) -> Status: ...
    @property
    def remaining(self) -> float:
        """Seconds until it lapses; not below zero."""
    @property
    def ended(self) -> bool:
        """Whether its holder has ended it, or given it up for its token."""
    @property
    def has_tier(self) -> bool:
        """Whether its record is shared with other hosts."""
    @property
    def local_only(self) -> bool:
        """Whether the tier gave no answer, so that this host's table alone admitted it: another
        host may run the same request. Never for an engine without a tier."""
    @property
    def lost(self) -> bool:
        """Whether a renewal by :meth:`keep` was refused: another attempt runs, or may."""
    @property
    def token(self) -> LeaseToken:
        """For somebody who helps; the lease stays this object's."""
    def into_token(self) -> LeaseToken:
        """For somebody who ends it: nothing happens any more when this object is freed."""
    def renew(self, duration: Seconds | None = None) -> float:
        """It lasts ``duration`` from now on, by default as long as the engine's leases do.

        Gives what ``remaining`` is then.
        """
    def keep(self, duration: Seconds | None = None, *, at_most: Seconds | None = None) -> None:
        """Has a thread of the engine renew it, three times while it lasts, until it is over.

        That thread needs no GIL: a computation that holds it does not lose its lease. After
        ``at_most`` seconds it is renewed no more, so that an attempt that hangs ends some time.
        Costs nothing while it is renewed in time; one thread does so for all leases.
        """
    def complete(
        self, outcome: Outcome | bytes | None = None
    ) -> Literal["stored", "without_bytes", "stored_here"]:
        """It has finished: duplicates get ``outcome`` for the dedup window.

        ``"without_bytes"``: it is larger than ``outcome_limit``, or no room was left; duplicates
        get ``OutcomeGone``, and it does not run again. ``"stored_here"``: the tier could not be
        reached; duplicates on this host get it, and the tier hears of it as soon as it can be.
        """
    def fail(self, failure: Failure | None = None) -> None:
        """It failed; without a ``failure`` the next attempt may start at once."""
    def abandon(self) -> None:
        """It did nothing: the next attempt may start at once."""
    def complete_async(
        self, outcome: Outcome | bytes | None = None
    ) -> Coroutine[Any, Any, Literal["stored", "without_bytes", "stored_here"]]:
        """:meth:`complete` without blocking the event loop on the engine's tier, where it has one.

        Whoever is cancelled meanwhile has ended the attempt all the same. Outside of asyncio, and
        without a tier, it is :meth:`complete`.
        """
    def fail_async(self, failure: Failure | None = None) -> Coroutine[Any, Any, None]:
        """:meth:`fail`, as :meth:`complete_async`."""
    def fail_soon(self, failure: Failure | None = None) -> None:
        """:meth:`fail` for whoever may neither block nor wait: this host knows at once, and the
        tier, if there is one, is told soon."""
    def release(self) -> None:
        """What freeing it does: resolves the record by ``on_drop``; nothing where it has ended."""
    def retry_later(
        self, error: AttemptError | str, operation: str, context: bytes | None = None
    ) -> Scheduled | Buried:
        """Ends the attempt without success, and leaves the next one to the engine.

        By the policy of ``operation``, 1 to 255 bytes, :meth:`Engine.next_attempt` hands it to a
        worker of any process when it is due, with ``context``, at most ``context_limit`` bytes that
        lie in the table as they are. Where there is no further attempt the record has failed, and
        is a dead letter. ``FullError``: there is no room; the lease lasts, as after
        ``InvalidInputError``.

        >>> lease.retry_later("timeout", "charge", b'{"amount": 100}')
        Scheduled(next_attempt=2, due_in=0.731)
        """
    def finished_step(self, name: str) -> bytes | None:
        """What a step left, in this attempt or an earlier one; ``None``: it has to run."""
    def finish_step(self, name: str, result: bytes | None = None) -> None:
        """Keeps a part's result in the record, so that later attempts skip it.

        At most 64 steps with names of 1 to 255 bytes, ``steps_limit`` bytes together. Between the
        effect and this note a process may die: give the service below its :meth:`downstream_key`.
        ``FullError``: no room; the lease lasts. Costs about as much as storing an outcome.

        >>> if lease.finished_step("charge") is None:
        ...     lease.finish_step("charge", charge(lease.downstream_key("payments", "charge")))
        """
    def last_step(self) -> tuple[str, bytes] | None:
        """The step that was finished last and was not undone: undo it, note that, and ask again."""
    def undone_step(self, name: str) -> None:
        """A step was undone: it is finished no more. ``NotFoundError``: there is none."""
    def downstream_key(self, service: str, step: str | None = None) -> str:
        """An idempotency key for a call to ``service``: the same in every attempt.

        43 letters, digits, dashes and underscores, another one for every request, service and step;
        they tell nothing of the caller's own key.
        """
    def headers(self, service: str) -> dict[str, str]:
        """``idempotency-key``, ``idempotency-attempt`` and ``fencing-token`` for a call to it."""

@final
class Intake:
    """An engine, as a middleware for HTTP asks it; ``oncegate.http`` is what to use.

    ``keep_headers``: names in lower case, of the headers that replays repeat.
    """

    def __new__(
        cls,
        engine: Engine,
        keep_headers: list[str],
        *,
        lease_duration: Seconds | None = None,
        dedup_window: Seconds | None = None,
        on_lapse: OnLapse | None = None,
    ) -> Self: ...
    def begin(
        self,
        scope: str | bytes | Scope,
        operation: str | bytes,
        key: bytes | None,
        payload: Payload | None,
        /,
    ) -> Admission:
        """:meth:`Engine.begin` of such a request, without a wait."""
    def read_head(self, headers: list[tuple[bytes, bytes]], /) -> ResponseHead:
        """What a response's headers say."""
    def complete(
        self, lease: Lease, status: int, body: bytes, head: ResponseHead, /
    ) -> Literal["stored", "without_bytes", "stored_here"]:
        """:meth:`Lease.complete` with a response; if its headers cannot be kept, nothing is."""
    def headers(self, replayed: Replayed, /) -> list[tuple[bytes, bytes]]:
        """The headers of a replay."""

@final
class ResponseHead:
    """The headers of a response that are kept, and what the others say."""

    @property
    def length(self) -> int | None:
        """``Content-Length``."""
    @property
    def is_events(self) -> bool:
        """Whether it is an event stream."""

# ---------------------------------------------------------------- retries

@final
class RetryPolicy:
    """When a failed attempt is followed by another, and when by none. Immutable.

    ``backoff``, by default ``"exponential"``, or ``"list"`` where there are ``delays``:
    ``exponential``: ``initial`` (1 s), times ``multiplier`` (2) each time; ``linear``: ``initial``,
    and ``increment`` (1 s) more each time; both at most ``max`` (120 s); ``constant``: ``initial``;
    ``list``: ``delays``, of which the last one is repeated. ``jitter``: how a delay is drawn; by
    default ``"full"`` for the first two, and none for the others.

    ``max_attempts``, the first one included. ``deadline``: for all attempts and delays together; no
    attempt is scheduled that cannot end before it. ``expected_duration``: how long an attempt is
    taken to last until that was measured. ``attempt_timeout``: how long one may run: its lease.
    What a service says about retrying is taken for at least ``hint_min`` (0) and at most
    ``hint_max`` (an hour), and lengthens the drawn delay by at most ``hint_beyond_drawn``; or it is
    ignored.

    >>> RetryPolicy(initial=0.1, max=5, max_attempts=6, deadline=60)
    """

    __hash__: ClassVar[None]  # type: ignore[assignment]  # what is equal has no hash
    def __new__(
        cls,
        *,
        backoff: Literal["exponential", "linear", "constant", "list"] | None = None,
        initial: Seconds | None = None,
        multiplier: float | None = None,
        increment: Seconds | None = None,
        max: Seconds | None = None,  # noqa: A002  # the field's word for it
        delays: Sequence[Seconds] | None = None,
        jitter: Jitter | None = None,
        max_attempts: int = 3,
        deadline: Seconds | None = None,
        expected_duration: Seconds | None = None,
        attempt_timeout: Seconds | None = None,
        ignore_hints: bool = False,
        hint_min: Seconds | None = None,
        hint_max: Seconds | None = None,
        hint_beyond_drawn: Seconds | None = None,
    ) -> Self: ...
    @staticmethod
    def aws_standard() -> RetryPolicy:
        """SDKs of AWS, ``standard``: full jitter below 1, 2, 4 s and so on, at most 20 s; 3."""
    @staticmethod
    def aws_2026() -> RetryPolicy:
        """The same as of 2026: below 50 ms, 100 ms and so on, at most 20 s; 3 attempts."""
    @staticmethod
    def aws_2026_throttled() -> RetryPolicy:
        """The same after throttling: below 1 s, 2 s and so on."""
    @staticmethod
    def grpc(
        initial: Seconds,
        max: Seconds,  # noqa: A002  # the field's word for it
        multiplier: float,
        max_attempts: int,
    ) -> RetryPolicy:
        """gRPC A6: a fifth to either side; of the attempts at most 5."""
    @staticmethod
    def grpc_example() -> RetryPolicy:
        """gRPC A6 with the values of its example: 100 ms, doubled up to 1 s; 4 attempts."""
    @staticmethod
    def resilience4j() -> RetryPolicy:
        """500 ms, 750 ms and so on, by one half to either side, without a ceiling; 3 attempts."""
    @staticmethod
    def polly_v8() -> RetryPolicy:
        """Polly v8, exponential with jitter: a base of 2 s, without a ceiling; 4 attempts."""
    @staticmethod
    def celery() -> RetryPolicy:
        """Celery's ``Task.retry``: 180 s each time; 4 attempts."""
    @staticmethod
    def celery_backoff() -> RetryPolicy:
        """Celery's ``retry_backoff``: full jitter below 1, 2 s and so on, at most 600 s; 4."""
    def replace(
        self,
        *,
        max_attempts: int | None = None,
        deadline: Seconds | None = None,
        expected_duration: Seconds | None = None,
        attempt_timeout: Seconds | None = None,
        ignore_hints: bool | None = None,
        hint_min: Seconds | None = None,
        hint_max: Seconds | None = None,
        hint_beyond_drawn: Seconds | None = None,
    ) -> RetryPolicy:
        """The same backoff with other limits: ``RetryPolicy.celery().replace(max_attempts=8)``."""
    def decide(
        self,
        attempt: int,
        elapsed: Seconds,
        *,
        previous_delay: Seconds | None = None,
        retry_after: Seconds | str | None = None,
        refused: bool = False,
        expected_duration: Seconds | None = None,
    ) -> float | None:
        """Seconds until the next attempt; ``None``: give up.

        ``attempt`` has failed, ``elapsed`` since the first one began; ``previous_delay`` was before
        it. ``retry_after``: what the service said, a duration or the header's value; ``refused``:
        it said not to retry. A date is as far away as the system's clock says; else no clock is
        read.
        """
    def attempt_limit(self, elapsed: Seconds | None = None) -> float | None:
        """How long an attempt may run that starts then; ``None``: there is no limit."""
    def preview(
        self, count: int = 16, *, seed: int | None = None
    ) -> tuple[list[float], BuriedReason | None]:
        """The delays of a request all of whose attempts fail at once, at most ``count``.

        And why there are no more; ``None``: only ``count`` ended them. The same ``seed`` gives the
        same delays.
        """
    def __eq__(self, other: object, /) -> bool: ...

@final
class AttemptError:
    """Why an attempt failed, for its history and for the policy.

    ``error_class``, 1 to 32 bytes, is shown in histories: it may hold nothing of the request.
    ``kind`` is what the price of another attempt depends on. ``retry_after``: when the service said
    to come again, a duration or the value of its header; one that is neither seconds nor a date
    says nothing, and a date is as far away as the engine's clock says. ``refused``: it said not to.
    ``terminal``: it is never tried again. ``outcome``: what duplicates get if it was the last
    attempt; by default status 500 without bytes.

    >>> AttemptError("429", kind="throttled", retry_after=response.headers.get("Retry-After"))
    """

    def __new__(
        cls,
        error_class: str,
        *,
        kind: FailureKind | None = None,
        retry_after: Seconds | str | None = None,
        refused: bool = False,
        terminal: bool = False,
        outcome: Outcome | bytes | None = None,
    ) -> Self: ...
    @property
    def error_class(self) -> str: ...
    @property
    def terminal(self) -> bool: ...

@final
class Buried:
    """There is no next attempt: the record has failed, and is a dead letter if ``kept``."""

    __match_args__ = ("reason", "kept")
    @property
    def reason(self) -> BuriedReason: ...
    @property
    def kept(self) -> bool: ...
    @property
    def budget(self) -> str | None:
        """The name of the budget that was spent, if that was the reason."""
    @property
    def refills_in(self) -> float | None:
        """Seconds until that pays for a retry, where time alone brings it."""

@final
class Attempt:
    """A due attempt, with what is needed to run it. It ends as its lease does."""

    __match_args__ = ("operation", "context", "lease")
    @property
    def operation(self) -> str: ...
    @property
    def context(self) -> bytes: ...
    @property
    def lease(self) -> Lease: ...

@final
class AdaptiveBackoff:
    """Draws the delays of retries out while this process, or what it calls, has more to do than it
    can: ``Engine(adaptive_backoff=AdaptiveBackoff())``. Immutable.

    Four inputs press when they are beyond their targets: how late attempts are handed out
    (``lag_target``, 0.1 s), how many are ready and wait (``ready_target``, 1,000), how many run
    (``in_flight_target``, 1,000), and the load of :meth:`Engine.set_load` (``load_target``, 0.8).
    Once in each ``interval`` (1 s) the rate of retries is multiplied by ``decrease`` (0.5) if one
    of them presses, and otherwise grows by ``increase`` (0.05). It is never less than one in
    ``max_factor`` (16); delays grow by ``max_base`` (16) at most, their ceilings by ``max_ceiling``
    (4), the width of their jitter by ``max_width`` (16). After ``quiet`` (10 s) without any
    observation the rate grows by itself, and a load is in force no more.
    """

    def __new__(
        cls,
        *,
        lag_target: Seconds | None = None,
        ready_target: int | None = None,
        in_flight_target: int | None = None,
        load_target: float | None = None,
        interval: Seconds | None = None,
        quiet: Seconds | None = None,
        decrease: float | None = None,
        increase: float | None = None,
        max_factor: float | None = None,
        max_base: float | None = None,
        max_ceiling: float | None = None,
        max_width: float | None = None,
    ) -> Self: ...

@final
class RetryBudget:
    """How many retries all requests together may make, in this process.

    First attempts and successes fill it, retries spend it; where it is spent,
    :meth:`Lease.retry_later` answers ``Buried("budget")``, and a call by :func:`retrying` gives its
    attempts up. One object that is set in two places is
    one budget. ``name`` is what errors call it.
    """

    @staticmethod
    def bucket(
        *,
        name: str = "",
        capacity: float | None = None,
        cost: float | None = None,
        cost_throttled: float | None = None,
        cost_timeout: float | None = None,
        charge: Literal["retry", "failure"] | None = None,
        threshold: float | None = None,
        success: float | None = None,
        refund_cost: bool | None = None,
        refill_per_second: float | None = None,
    ) -> RetryBudget:
        """``capacity`` (100) tokens, with three decimals.

        A retry takes ``cost`` (5), after throttling or a timeout its own; with
        ``charge="failure"`` each failure does. None are allowed while ``threshold`` (0) or fewer
        are there. A success brings ``success`` (1), or with ``refund_cost`` what it cost; time
        brings ``refill_per_second`` (none).
        """
    @staticmethod
    def grpc(max_tokens: int = 10, token_ratio: float = 0.1, *, name: str = "") -> RetryBudget:
        """gRPC A6: a failure costs 1; no retries while half of the tokens or less are there."""
    @staticmethod
    def aws_standard(*, name: str = "", capacity: float = 500.0) -> RetryBudget:
        """SDKs of AWS: a retry costs 5, after a timeout 10, given back by success."""
    @staticmethod
    def aws_2026(*, name: str = "", capacity: float = 500.0) -> RetryBudget:
        """The same as of 2026: a retry costs 14, after throttling 5."""
    @staticmethod
    def ratio(
        *,
        name: str = "",
        ratio: float | None = None,
        min_per_second: int | None = None,
        ttl: Seconds | None = None,
        slices: int | None = None,
    ) -> RetryBudget:
        """``ratio`` (0.2) retries for each first attempt of the last ``ttl`` (10 s).

        ``min_per_second`` (10) are always allowed; time is cut into ``slices`` (10). Finagle's.
        """
    @staticmethod
    def concurrency(
        *, name: str = "", share: float | None = None, min_retries: int | None = None
    ) -> RetryBudget:
        """``share`` (0.2) of the requests under way, and ``min_retries`` (3) always. Envoy's."""
    @property
    def name(self) -> str: ...

@final
class GivenUp:
    """Why a call makes no further attempt."""

    @property
    def reason(self) -> Literal["attempts", "deadline", "refused", "budget"]: ...
    @property
    def budget(self) -> str | None:
        """The name of the budget that was spent, if that was the reason."""
    @property
    def refills_in(self) -> float | None:
        """Seconds until that pays for a retry, where time alone brings it."""

@final
class CallAttempts:
    """The attempts of one call that runs them itself: it decides and pays, and begins and ends
    nothing."""

    def began(self, lease: Lease) -> None:
        """An attempt of this call has begun: what was paid for it is spent."""
    def failed(self, lease: Lease, error: AttemptError | str) -> float | GivenUp:
        """It failed, and is not ended yet: seconds until the next one, which is paid for."""
    def give_back(self) -> None:
        """There is no next attempt after all: what was paid for it is given back."""
    @property
    def left(self) -> float | None:
        """Seconds until the policy's deadline; ``None``: it has none."""
    @property
    def late(self) -> bool:
        """Whether an attempt that begins now would not end before it. The first never is."""

@final
class PastAttempt:
    """What became of one attempt of a record."""

    @property
    def attempt(self) -> int: ...
    @property
    def end(self) -> Literal["failed", "lapsed", "given_back"]: ...
    @property
    def error_class(self) -> str:
        """Empty: its holder told none."""
    @property
    def fencing_token(self) -> int: ...
    @property
    def process(self) -> int:
        """Which process ran it, by its number in the table's registry."""
    @property
    def began(self) -> float | None:
        """``None``: it was the first one, or a caller's, or another process noted its end."""
    @property
    def ended(self) -> float: ...

@final
class DeadLetter:
    """A record that failed for good, kept until somebody redrives or discards it."""

    @property
    def id(self) -> str:
        """As ``"17-3"``, its name as long as it is one; also on the command line."""
    @property
    def operation(self) -> str: ...
    @property
    def context(self) -> bytes: ...
    @property
    def reason(self) -> BuriedReason: ...
    @property
    def buried(self) -> float:
        """When, in seconds since 1970."""
    @property
    def attempts(self) -> int: ...
    @property
    def history(self) -> tuple[PastAttempt, ...]:
        """The first attempts and the last; between them ``left_out`` are not told."""
    @property
    def left_out(self) -> int: ...
    @property
    def steps(self) -> tuple[str, ...]:
        """The names of those that were finished and not undone."""

@final
class LetterPage:
    """Some dead letters; ``next`` is where the next page begins, by ``after=``."""

    @property
    def letters(self) -> tuple[DeadLetter, ...]: ...
    @property
    def next(self) -> str | None: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[DeadLetter]: ...

@final
class Doubt:
    """A record of which nobody knows whether its last attempt took effect."""

    __match_args__ = ("operation", "context", "attempt", "fencing_token")
    @property
    def operation(self) -> str:
        """That of :meth:`Lease.retry_later`; empty: it was never retried."""
    @property
    def context(self) -> bytes: ...
    @property
    def attempt(self) -> int: ...
    @property
    def fencing_token(self) -> int:
        """What that attempt wrote elsewhere carries it. Other records have the same numbers."""

@final
class Succeeded:
    """It took effect: duplicates get the outcome."""

    __match_args__ = ("outcome",)
    def __new__(cls, outcome: Outcome | bytes) -> Self: ...
    @property
    def outcome(self) -> Outcome: ...

@final
class Failed:
    """It failed for good: duplicates get the outcome."""

    __match_args__ = ("outcome",)
    def __new__(cls, outcome: Outcome | bytes) -> Self: ...
    @property
    def outcome(self) -> Outcome: ...

Resolution: TypeAlias = Succeeded | Failed | Literal["run_again"]
"""What came of an attempt in doubt; ``"run_again"``: it had no effect."""

@final
class Reconciliation:
    """What one call of :meth:`Engine.reconcile` did."""

    @property
    def asked(self) -> int: ...
    @property
    def resolved(self) -> int: ...
    @property
    def raised(self) -> int:
        """How often the hook raised; those records are asked about again."""

@final
class Driven:
    """What one look at what is due did."""

    @property
    def looked_at(self) -> int: ...
    @property
    def ready(self) -> int:
        """Attempts that wait for a worker."""
    @property
    def more(self) -> bool:
        """Whether ``limit`` ended it."""
    @property
    def due_in(self) -> float | None:
        """Seconds until something is due again; ``None``: nothing is."""

# ---------------------------------------------------------------- statistics

@final
class Latency:
    """Quantiles of one call in 1,024, in seconds, rounded up by at most 6 %. Zero: no sample
    yet."""

    p50: Final[float]
    """The median."""
    p99: Final[float]
    """99 % of the calls took at most this long."""
    p999: Final[float]
    """99.9 % of the calls took at most this long."""
    def as_dict(self) -> dict[str, Any]:
        """All of it, with what is nested as dicts."""

@final
class Live:
    """Records by state, now."""

    running: Final[int]
    """An attempt holds the lease, or held it until it lapsed."""
    waiting: Final[int]
    """The next attempt may start, or is due later."""
    succeeded: Final[int]
    """Finished with success."""
    failed: Final[int]
    """Finished for good without success."""
    unknown: Final[int]
    """Nobody knows whether the attempt took effect."""
    def as_dict(self) -> dict[str, Any]:
        """All of it, with what is nested as dicts."""

@final
class InputStats:
    """One input of the adaptive backoff."""

    value: Final[float | None]
    """What was observed; ``None``: nothing was, in the last interval."""
    target: Final[float]
    """What it may be at most without slowing retries down."""
    pressed: Final[bool]
    """Whether it was more than that."""
    def as_dict(self) -> dict[str, Any]:
        """All of it."""

@final
class Stretch:
    """By how much retries are slowed down; ones: not at all."""

    base: Final[float]
    """The factor of delays."""
    ceiling: Final[float]
    """The factor of their ceilings."""
    width: Final[float]
    """The factor of the width of their jitter."""
    def as_dict(self) -> dict[str, Any]:
        """All of it."""

@final
class AdaptiveStats:
    """What the adaptive backoff saw, and what it made of it, as of its last step."""

    factor: Final[float]
    """The inverse of the rate of retries, before each part of the stretch is bounded."""
    decreases: Final[int]
    """Steps that slowed retries down."""
    increases: Final[int]
    """Steps that let them be faster again."""
    stretch: Final[Stretch]
    lag_seconds: Final[InputStats]
    """How late attempts are handed out."""
    ready: Final[InputStats]
    """How many wait for a worker."""
    in_flight: Final[InputStats]
    """How many run."""
    load: Final[InputStats]
    """The load that was told."""
    def as_dict(self) -> dict[str, Any]:
        """All of it, with what is nested as dicts."""

@final
class RetryStats:
    """What the scheduler has done and holds, in this process; ``retrying`` and ``dead_letters``
    are of all that share the table."""

    scheduled: Final[int]
    """Failed attempts whose next one was scheduled."""
    retrying: Final[int]
    """Records that are retried, or whose steps are kept, or that are dead letters."""
    ready: Final[int]
    """Attempts that are due, and wait for a worker."""
    in_flight: Final[int]
    """Attempts that workers of this process run."""
    dead_letters: Final[int]
    """Dead letters that the table keeps."""
    buried: Final[int]
    """Records that became dead letters."""
    redriven: Final[int]
    """Dead letters that were redriven."""
    discarded: Final[int]
    """Dead letters that were discarded."""
    letters_lost: Final[int]
    """Records that failed for good and for which there was no room among the dead letters,
    or whose letters gave way to newer ones."""
    asked: Final[int]
    """Unknown records that the reconciler was asked about."""
    compensated: Final[int]
    """Times that a hook cleaned up after a lapse, or undid a step."""
    stuck: Final[int]
    """Transitions that did not end."""
    dispatch_lag: Final[Latency]
    """How late attempts were handed out after they were due."""
    adaptive: Final[AdaptiveStats | None]
    """What the adaptive backoff saw; ``None``: the engine has none."""
    def as_dict(self) -> dict[str, Any]:
        """All of it, with what is nested as dicts."""

@final
class Stats:
    """Counts of this process since the engine was opened, and levels of the table: plain
    numbers."""

    begun: Final[int]
    """Calls of ``begin`` and ``join`` that came to an answer."""
    created: Final[int]
    """First attempts of new records."""
    reused: Final[int]
    """Calls answered from a record: running or finished."""
    expired: Final[int]
    """Attempts that followed a record whose window was over, or a lease that had lapsed."""
    retried: Final[int]
    """Attempts that followed a failed one."""
    replayed: Final[int]
    """Outcomes given to duplicates."""
    in_progress: Final[int]
    """Duplicates that met a running attempt."""
    scheduled: Final[int]
    """Duplicates that met a record waiting for its next attempt."""
    mismatched: Final[int]
    """Duplicates with another payload."""
    unresolved: Final[int]
    """Duplicates that met an unknown outcome."""
    outcome_gone: Final[int]
    """Duplicates whose outcome's bytes were gone."""
    fenced: Final[int]
    """Calls of a holder whose token was stale."""
    lapsed: Final[int]
    """Leases that lapsed."""
    completed: Final[int]
    """Attempts that ended with a stored outcome."""
    evicted_expired: Final[int]
    """Records cleared away after their time was over."""
    evicted_early: Final[int]
    """Finished records evicted inside their window, for room."""
    outcomes_evicted: Final[int]
    """Outcomes dropped inside their window, for room; their records remain."""
    outcomes_carried: Final[int]
    """Outcomes carried to a new place because they outlast their neighbours."""
    recovered: Final[int]
    """Leases and half-done steps of dead processes that this one took over or undid."""
    full: Final[int]
    """Calls refused for want of room."""
    quota: Final[int]
    """Calls refused by a quota."""
    retries: Final[RetryStats]
    """What the scheduler does."""
    waiters: Final[int]
    """Callers that wait now, in this process."""
    hand_offs: Final[int]
    """Attempts handed from a failed leader to a waiter."""
    live: Final[Live]
    """Records by state, now."""
    bytes: Final[int]
    """Bytes of the region, fixed when it was opened."""
    fill: Final[float]
    """Live records as a share of the capacity; above 1 where the slots held more than
    promised."""
    outcome_fill: Final[float]
    """Share of the outcome budget that holds an outcome inside its window."""
    begin: Final[Latency]
    """Sampled latency of ``begin``."""
    complete: Final[Latency]
    """Sampled latency of ``complete``."""
    def as_dict(self) -> dict[str, Any]:
        """All of it, with what is nested as dicts."""

# ---------------------------------------------------------------- tier

@final
class Redis:
    """A Redis or Valkey server that engines of several hosts share records by.

    ``url``: ``redis://user:password@host:port/0``, ``rediss://…`` for TLS, or
    ``unix:///path/of/a/socket``. ``user``: name
    and password, instead of the URL's; ``sentinels``: the master's name and the URLs of the
    Sentinels that know it; ``cluster``: URLs of further nodes of a Cluster; ``resp3``: the newer
    protocol.
    ``prefix``: what the names of all keys begin with. ``connections`` (2) to each server, ``queue``
    (4,096) of operations that may wait for one, ``pipeline`` (128) of those that share a round
    trip, ``connect_within`` (1 s). ``wait_replicas``: how many replicas have a grant or an end
    before it counts, and how many seconds they may take. ``outcome_limit`` (64 KiB): larger
    outcomes are stored without their bytes; ``compress_from``: outcomes of so many bytes and more
    are compressed; ``encryption_key``, 32 bytes: outcomes are encrypted; ``retiring_key``: the one
    of before. ``allow_eviction``: use a server that may evict records, whose requests **run again**
    then. ``tls_root``: the authority that the server's certificate is checked with, in PEM, instead
    of those that the system trusts; ``tls_client``: a certificate and its key, both in PEM, that
    show the server who connects.
    ``dead_letters``: how many dead letters of all hosts a stream of the server shows, the same on
    each host; by default there is none.

    Connects at the first use. ``InvalidInputError``: a setting is out of its range, or the URL is
    none. Neither ``repr`` nor an error shows the URL.

    >>> Engine(redis=Redis("redis://10.0.0.1", prefix="shop:"), secret=secret)
    """

    def __new__(
        cls,
        url: str,
        *,
        user: tuple[str, str] | None = None,
        sentinels: tuple[str, Sequence[str]] | None = None,
        cluster: Sequence[str] | None = None,
        resp3: bool = False,
        prefix: str = "oncegate:",
        connections: int | None = None,
        pipeline: int | None = None,
        queue: int | None = None,
        connect_within: Seconds | None = None,
        wait_replicas: tuple[int, Seconds] | None = None,
        outcome_limit: int | None = None,
        compress_from: int | None = None,
        encryption_key: bytes | None = None,
        retiring_key: bytes | None = None,
        allow_eviction: bool = False,
        tls_root: bytes | None = None,
        tls_client: tuple[bytes, bytes] | None = None,
        dead_letters: int | None = None,
    ) -> Self: ...

@final
class TierOptions:
    """How an engine uses its tier.

    ``deadline`` (0.5 s): how long one question may take; after it nobody knows the answer.
    ``on_outage``: what a new request is told while there is no answer: ``refuse``
    (``TierUnavailableError``), the default; ``local_only``: this host's table alone decides, and
    the lease says so by :attr:`Lease.local_only`, so that a request may run once on each host;
    ``run``: also while the store is known to have forgotten records. ``latency_objective``: what
    takes longer counts as failed. ``lease_slice``: leases are asked for by so much at a time, and
    renewed by the engine. ``margin``: how much sooner than in the store a lease ends here.
    ``poll_every`` (0.25 s): how often who waits looks, beside being told. ``quarantine``: for how
    long nothing new runs after the store may have forgotten records, by default as long as the
    longest lease. ``undelivered`` (65,536): ends that are kept for a store that cannot be reached.
    """

    def __new__(
        cls,
        *,
        deadline: Seconds | None = None,
        on_outage: OnOutage | None = None,
        latency_objective: Seconds | None = None,
        lease_slice: Seconds | None = None,
        margin: Seconds | None = None,
        poll_every: Seconds | None = None,
        quarantine: Seconds | None = None,
        undelivered: int | None = None,
    ) -> Self: ...

@final
class TierStats:
    """What this process and its tier have done."""

    granted: Final[int]
    """Claims that were granted."""
    imported: Final[int]
    """Outcomes of other hosts that were stored here."""
    elsewhere: Final[int]
    """Requests that another host ran, or waits to run."""
    refused: Final[int]
    """Requests that were refused for want of an answer."""
    local_only: Final[int]
    """Attempts that this host's table alone admitted."""
    unknown: Final[int]
    """Questions of which nobody knows whether they were carried out."""
    undelivered: Final[int]
    """Ends of attempts that wait to be told."""
    delivered_late: Final[int]
    """Those that were told later."""
    undelivered_lost: Final[int]
    """Those that were lost for want of room."""
    conflicts: Final[int]
    """Attempts that ran here, and that the tier contradicts: another host ran the request, too."""
    sessions_lost: Final[int]
    """How often the store may have forgotten what it had acknowledged."""
    letters_logged: Final[int]
    """Dead letters and conflicts that the store's stream was told of, if there is one."""
    letters_waiting: Final[int]
    """Those that wait to be told."""
    letters_lost: Final[int]
    """Those that it is not told of, for want of room."""
    breaker_open: Final[bool]
    """Whether the tier is not asked for now, since it failed."""
    def as_dict(self) -> dict[str, Any]:
        """All of it."""

@final
class Hazard:
    """What about the tier endangers what is promised.

    ``kind``: ``evicts`` (by the policy that ``detail`` names), ``almost_full``, ``not_persistent``
    (a restart forgets what was acknowledged), ``clock_behind``, or ``other``.
    """

    kind: Final[Literal["evicts", "almost_full", "not_persistent", "clock_behind", "other"]]
    detail: Final[str]
    __match_args__ = ("kind", "detail")

# ---------------------------------------------------------------- engine

@final
class Quota:
    """How much of a table a scope may have: live records, and new ones a second with a burst."""

    def __new__(
        cls, *, max_live: int | None = None, rate: float | None = None, burst: int = 1
    ) -> Self: ...
    @property
    def max_live(self) -> int | None: ...
    @property
    def rate(self) -> float | None: ...
    @property
    def burst(self) -> int: ...

@final
class KeyRules:
    """Which idempotency keys are accepted; ``refuse_predictable``: no counters and no times."""

    def __new__(
        cls,
        *,
        min_len: int = 1,
        max_len: int = 255,
        uuid: bool = False,
        charset: Literal["visible", "alphanumeric_dash_underscore", "hex"] | None = None,
        refuse_predictable: bool = False,
    ) -> Self: ...
    def check(self, key: str | bytes) -> None:
        """Raises ``InvalidInputError`` where a key breaks them."""

@final
class ManualClock:
    """A clock that moves when it is told to, for tests. Whoever waits for a time that has come is
    woken."""

    def __new__(cls) -> Self: ...
    def advance(self, step: Seconds) -> None: ...
    def now(self) -> float:
        """Seconds since it was made."""

@disjoint_base
class Engine:
    """Decides who may run a request. Any thread may use it, and every forked worker.

    Without ``path`` the table lies in memory that forked workers inherit; with one, in a file that
    all processes share that open it; ``private=True``: it is this process's alone. Memory is fixed
    when it is opened. ``redis``, a URL or :class:`Redis`: engines with other tables share their
    records by it, on other hosts, too; they need one ``secret``. ``tier_options``: how it is used.

    ``capacity``: live records, 16 to 200,000,000; ``inline_outcome``: outcomes up to so many bytes,
    at most 448, lie beside their record; ``outcome_bytes``: room for the others, by default 256 for
    each record; ``outcome_limit``: the largest, 64 to 1,000,000 bytes. ``lease_duration`` (30 s):
    how long an attempt runs before its lease lapses; ``dedup_window`` (a day): how long a finished
    record answers; ``wait`` (0): how long a duplicate waits for the running attempt; ``on_lapse``
    (``reclaim``), ``on_drop`` (``retry``), ``on_full`` (``evict_lru``). ``max_processes``,
    ``max_waiters``, ``max_scopes``: what the table has room for; ``group_access``: its file is the
    group's, too. ``secret``, 32 bytes: what fingerprints are keyed with, by default the table's
    own; ``retiring_secret``: that of before a rotation; ``fingerprint_mode`` (``keyed``);
    ``key_rules``, ``default_quota``, ``unauthenticated_quota``.

    Of retries: ``retry_policy`` (full jitter up to 1, 2, 4 s and so on, at most 120 s, 10
    attempts); ``max_retrying``: records that may be retried or be dead letters, by default a
    sixty-fourth of the capacity; ``context_limit`` (4,096 bytes), ``steps_limit`` (2,048 bytes);
    ``max_dead_letters``, by default half of ``max_retrying``; ``on_letters_full``
    (``drop_oldest``); ``max_in_flight``: attempts that run at a time in this process;
    ``adaptive_backoff``: slows retries down under load, by default never; ``jitter_seed``: for
    tests. ``fill_levels``: shares of the capacity, at most 16, at which there is an event of
    :meth:`events`. ``clock``: for tests; ``precise_clock``: to the nanosecond, at a
    higher price; ``prefault``: all memory is there from the start.

    Raises ``InvalidInputError`` for an option out of its range, ``RegionError`` for a file that was
    made with other options or is not safe, ``OsError``, ``NoMemoryError``.

    >>> engine = Engine(path="/run/payments/oncegate", lease_duration=60)
    """

    def __new__(
        cls,
        *,
        path: str | os.PathLike[str] | None = None,
        private: bool = False,
        redis: str | Redis | None = None,
        tier_options: TierOptions | None = None,
        capacity: int = 65_536,
        outcome_limit: int = 16_384,
        outcome_bytes: int | None = None,
        inline_outcome: int = 64,
        lease_duration: Seconds | None = None,
        dedup_window: Seconds | None = None,
        wait: Seconds | None = None,
        on_lapse: OnLapse | None = None,
        on_drop: OnDrop | None = None,
        on_full: OnFull | None = None,
        max_processes: int = 64,
        max_waiters: int = 16_384,
        max_scopes: int = 4_096,
        group_access: bool = False,
        secret: bytes | None = None,
        retiring_secret: bytes | None = None,
        fingerprint_mode: FingerprintMode | None = None,
        key_rules: KeyRules | None = None,
        default_quota: Quota | None = None,
        unauthenticated_quota: Quota | None = None,
        retry_policy: RetryPolicy | None = None,
        max_retrying: int | None = None,
        context_limit: int | None = None,
        steps_limit: int | None = None,
        max_dead_letters: int | None = None,
        on_letters_full: OnLettersFull | None = None,
        max_in_flight: int | None = None,
        adaptive_backoff: AdaptiveBackoff | None = None,
        jitter_seed: int | None = None,
        fill_levels: Sequence[float] | None = None,
        clock: ManualClock | None = None,
        precise_clock: bool = False,
        prefault: bool = False,
    ) -> Self: ...
    @property
    def lease_duration(self) -> float: ...
    @property
    def default_wait(self) -> float:
        """How long a duplicate waits where nobody says otherwise."""
    @property
    def has_tier(self) -> bool:
        """Whether records are shared with other hosts."""
    @property
    def reach(self) -> Literal["process", "host_inherited", "host"]:
        """Who shares the table: this process; with it those that are forked from it; whoever opens
        its path."""
    @property
    def inherited(self) -> bool:
        """Whether it was made in a process that this one was forked from."""
    @property
    def closed(self) -> bool: ...
    def close(self) -> None:
        """Nothing is begun any more, and whoever waits leaves with ``ClosedError``.

        What runs may be ended still. The table is there for others; closing twice is fine.
        """
    def begin(
        self,
        request: Request | Prepared,
        *,
        wait: Seconds | None = None,
        lease_duration: Seconds | None = None,
        dedup_window: Seconds | None = None,
        on_lapse: OnLapse | None = None,
        run_due: bool = False,
    ) -> Admission:
        """Asks for admission.

        With ``wait`` a duplicate waits for the running attempt, so many seconds at most: without
        the GIL, until it ends, fails, or its lease lapses, and of all who wait one goes on. Signals
        are heard meanwhile. The other options take the place of the engine's for this attempt.
        ``run_due=True``: an attempt that the engine was to retry, and that is due, is the caller's.

        Raises ``FullError``, ``QuotaExceededError``, ``TooManyWaitersError``, ``ForkedError``.
        Costs less than a microsecond where nothing waits, and digests of the payload.

        >>> match engine.begin(Request("charge", "8fd1", scope="acme")):
        ...     case Admitted(lease): lease.complete(charge())
        ...     case Replayed(outcome): ...
        """
    def begin_batch(
        self,
        requests: Sequence[Request | Prepared],
        *,
        lease_duration: Seconds | None = None,
        dedup_window: Seconds | None = None,
        on_lapse: OnLapse | None = None,
        run_due: bool = False,
    ) -> list[Admission | OncegateError]:
        """The answers to many requests in their order, or what is wrong with one. None waits."""
    def prepare(self, request: Request) -> Prepared:
        """Makes the digests of a request, for whoever asks more than once."""
    def look(self, fingerprint: bytes) -> Admission | None:
        """What a duplicate of the record's request would be told now, without one.

        Nothing is begun, compared or counted, and the answer is never ``Admitted`` nor
        ``Mismatched``. ``None``: there is no such record, or its time is over. Whoever holds the
        fingerprint (32 bytes, of :attr:`Prepared.fingerprint`) gets the outcome: bind it to its
        scope where clients hold it.
        """
    def take_up(self, token: LeaseToken) -> Lease:
        """The lease of a token, in whichever process. ``FencedError``: it is another's."""
    def complete(
        self, token: LeaseToken, outcome: Outcome | bytes | None = None
    ) -> Literal["stored", "without_bytes", "stored_here"]:
        """:meth:`Lease.complete` by a token, as the next three."""
    def fail(self, token: LeaseToken, failure: Failure | None = None) -> None: ...
    def abandon(self, token: LeaseToken) -> None: ...
    def renew(self, token: LeaseToken, duration: Seconds | None = None) -> float: ...
    def set_quota(self, scope: str | bytes | Scope, quota: Quota) -> None:
        """How much of the table a scope may have; of all processes that share it."""
    def remove_quota(self, scope: str | bytes | Scope) -> None: ...
    def sweep(self, slots: int | None = None) -> tuple[int, int, int]:
        """Clears what is over: slots visited, records cleared, leases found lapsed.

        Without ``slots`` it goes over the whole table once. Nothing depends on it but memory.
        """
    def bury_dead(self) -> int:
        """Frees what processes held that died; how many there were."""
    def rotate_secret(self, secret: bytes) -> None:
        """Makes new fingerprints with it; records of before are found by the old one."""
    def finish_rotation(self) -> None:
        """Forgets the old secret. ``RotationPendingError``: records of it are there still."""
    def stats(self) -> Stats:
        """Sums over all threads of the process: some microseconds."""
    def tier_stats(self) -> TierStats | None:
        """What was counted of the tier; ``None``: there is none."""
    def tier_hazards(self) -> list[Hazard]:
        """What about the tier endangers what is promised, as it was looked at last: every few
        seconds, from the first request on. Empty: nothing is known, or there is no tier."""
    def flush_tier(self, limit: Seconds) -> None:
        """Waits until the tier knows of every attempt that ended here, ``limit`` seconds at most.

        For a process that is about to go: what is not told by then, other hosts never hear of.
        ``TierUnavailableError``: something is left. Works on an engine that was closed.
        """
    def events(self, most: int | None = None) -> Events:
        """Takes what the engine has noticed since the last call, at most the oldest ``most``.

        It keeps the last 256 of this process, and counts those that were lost before. Nothing is
        called back: ask now and then, as each minute.

        >>> for event in engine.events():
        ...     logging.warning("%s", event)
        """
    def next_attempt(self, timeout: Seconds | None = None) -> Attempt | None:
        """The next attempt that is due, waiting for one; ``None``: the time has passed.

        Without ``timeout`` it waits for ever, with zero not at all; without the GIL, and signals
        are heard. Attempts come by due time, of the scope that was served the longest time ago;
        whichever process scheduled them, each is handed out once. What a worker loses, by a crash
        or because its lease lapses, comes again by its policy. An operation with as many attempts
        under way as it may have is passed over.

        >>> while (attempt := engine.next_attempt()) is not None:
        ...     handlers[attempt.operation](attempt)
        """
    def next_attempts(self, most: int, timeout: Seconds | None = None) -> list[Attempt]:
        """At most ``most`` attempts that are due, waiting for the first; empty: time has passed."""
    def set_operation(
        self,
        operation: str,
        *,
        policy: RetryPolicy | None = None,
        max_in_flight: int | None = None,
    ) -> None:
        """How attempts of an operation are retried, and how many run at a time, in this process.

        The operation is that of :meth:`Lease.retry_later`; what was set before is replaced, and
        what is not given is the engine's. ``QuotaExceededError``: 1,024 operations have settings.
        """
    def set_retry_budget(
        self,
        budget: RetryBudget,
        *,
        scope: str | bytes | Scope | None = None,
        operation: str | None = None,
    ) -> None:
        """What retries may spend: all of this engine's, or those of a scope, or of an operation.

        All that apply have to pay. ``QuotaExceededError``: 1,024 scopes and operations have
        budgets.
        """
    def call_attempts(self, request: Request | Prepared, policy: RetryPolicy) -> CallAttempts:
        """The attempts of a call, of which there were none: what :func:`retrying` decides by."""
    def set_load(self, load: float) -> None:
        """How loaded this process is, or what it calls, from 0 to 1, for its adaptive backoff.

        In force until another load is told, at most for ``quiet`` seconds: tell it at least as
        often. ``InvalidInputError``: another number, or an engine without ``adaptive_backoff``.
        """
    def remove_retry_budget(self, scope: str | bytes | Scope) -> None:
        """Takes the budget of a scope away, if it has one."""
    def dead_letters(
        self,
        *,
        operation: str | None = None,
        reason: BuriedReason | None = None,
        error_class: str | None = None,
        since: UnixTime | None = None,
        until: UnixTime | None = None,
        after: DeadLetter | str | None = None,
        limit: int = 100,
    ) -> LetterPage:
        """Records that failed for good, in the order of their places, at most ``limit``.

        ``error_class``: that of the last attempt; ``since`` and ``until``: when they were buried,
        from then on and before then; ``after``: the last letter of the page before. Reads every
        place that it passes. What is buried, redriven or discarded meanwhile may be on no page, and
        nothing is on two.
        """
    def dead_letter(self, letter: DeadLetter | str) -> DeadLetter:
        """``NotFoundError``: it was redriven or discarded, or never was; as the next two."""
    def redrive(self, letter: DeadLetter | str) -> None:
        """Lets it run again, at once, as the next attempt of its record, with its context and
        steps.

        The attempts before count no more. ``FullError``: no room to note it.
        """
    def discard(self, letter: DeadLetter | str) -> None:
        """Gives it up: the record has failed, and answers duplicates for the dedup window."""
    def redrive_all(
        self,
        *,
        operation: str | None = None,
        reason: BuriedReason | None = None,
        error_class: str | None = None,
        since: UnixTime | None = None,
        until: UnixTime | None = None,
        limit: int | None = None,
    ) -> int:
        """:meth:`redrive` for all that the filter lets through; how many there were."""
    def discard_all(
        self,
        *,
        operation: str | None = None,
        reason: BuriedReason | None = None,
        error_class: str | None = None,
        since: UnixTime | None = None,
        until: UnixTime | None = None,
        limit: int | None = None,
    ) -> int:
        """:meth:`discard` for all that the filter lets through; how many there were."""
    def reconcile(
        self,
        hook: Callable[[Doubt], Resolution | Literal["still_unknown"] | None],
        *,
        limit: int = 64,
    ) -> Reconciliation:
        """Asks ``hook`` about records in doubt, at most ``limit``, and does as it says.

        It is called in this thread, and kept nowhere. What it does not know either, ``None``, comes
        again after a second, two, four and so on, at most five minutes: call this now and then. An
        ``Exception`` of its is reported by ``sys.unraisablehook``, and the record stays in doubt;
        others are raised. The first call of a process looks at the whole table once.

        >>> engine.reconcile(lambda doubt: Succeeded(b"charged") if charged(doubt) else "run_again")
        """
    def resolve(self, request: Request, answer: Resolution) -> None:
        """Ends the doubt about a request. ``NotFoundError``: it is not in doubt."""
    def advance(self, limit: int = 1_024) -> Driven:
        """Looks at what is due, at most ``limit`` records: makes attempts ready, and sees to
        lapses.

        Needed only where nobody waits in :meth:`next_attempt` or ``next_attempt_async``, and no
        driver was started. Never blocks.
        """
    def start_driver(self) -> None:
        """Starts a thread that does so whenever something is due, until the engine is closed.

        In this process, once: in a forked worker it is started anew.
        """

# ---------------------------------------------------------------- events

@final
class FillEvent:
    """The live records reached one of ``fill_levels``. It comes again after the table was a tenth
    below it. ``str(event)`` is a line for a log."""

    __match_args__ = ("level", "fill")
    @property
    def name(self) -> Literal["fill"]: ...
    @property
    def level(self) -> float:
        """As a share of the capacity."""
    @property
    def fill(self) -> float:
        """The live records, as a share of it."""

@final
class StuckEvent:
    """A record stands in the middle of a transition for longer than any step takes.

    A process was stopped there, a table was damaged, or the engine has a defect. It is told by
    whoever looks after what is due. ``str(event)`` is a line for a log.
    """

    __match_args__ = ("slot", "transition", "process", "stands")
    @property
    def name(self) -> Literal["state_machine_deadlock_detected"]: ...
    @property
    def slot(self) -> int:
        """Its slot in the table."""
    @property
    def transition(self) -> str:
        """``claim``, ``insertion``, ``end`` or ``retry_entry``."""
    @property
    def process(self) -> int:
        """Which process began it, by its number in the table's registry; zero: not known."""
    @property
    def stands(self) -> float:
        """For how many seconds at least."""

@final
class Events:
    """What the engine noticed since the last look, the oldest first."""

    @property
    def events(self) -> tuple[FillEvent | StuckEvent, ...]: ...
    @property
    def lost(self) -> int:
        """How many went before anybody looked."""
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[FillEvent | StuckEvent]: ...

# ---------------------------------------------------------------- event loops

@final
class Wait:
    """One request that an event loop waits for."""

    def poll(self) -> Admission | None: ...
    def looks_again_in(self) -> float | None: ...
    def cancel(self) -> None: ...

@final
class AttemptWait:
    """A place of an event loop's among those who wait for attempts."""

    def poll(self) -> Attempt | None: ...
    def cancel(self) -> None: ...

@final
class Waits:
    """What an event loop waits for, behind one descriptor."""

    def __new__(cls, engine: Engine) -> Self: ...
    def fileno(self) -> int: ...
    def ready(self) -> list[int]: ...
    def ask(
        self,
        number: int,
        request: Request | Prepared,
        *,
        joins: bool = True,
        lease_duration: Seconds | None = None,
        dedup_window: Seconds | None = None,
        on_lapse: OnLapse | None = None,
        run_due: bool = False,
    ) -> Wait: ...
    def attempt(self, number: int) -> AttemptWait: ...

@final
class Ending:
    """The end of an attempt; it comes to pass whether or not anybody waits for it."""

    def poll(self) -> str | None:
        """What came of it; ``None``: there is no answer yet."""
    def cancel(self) -> None: ...

@final
class Endings:
    """Ends of attempts that an event loop waits for, behind one descriptor."""

    def __new__(cls) -> Self: ...
    def fileno(self) -> int: ...
    def ready(self) -> list[int]: ...
    def complete(
        self, number: int, lease: Lease, outcome: Outcome | bytes | None = None
    ) -> Ending: ...
    def fail(self, number: int, lease: Lease, failure: Failure | None = None) -> Ending: ...

@final
class Due:
    """A descriptor that is readable when something is due; ``None``: a thread sees to it."""

    def __new__(cls, engine: Engine) -> Self: ...
    def fileno(self) -> int | None: ...
    def advance(self) -> None: ...
    def close(self) -> None: ...

def after_fork_in_child() -> None: ...
