"""The engine, as Rust has it. Take the names from ``oncegate``."""

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, final

from typing_extensions import Self, TypeAlias

Seconds: TypeAlias = float | timedelta
OnLapse: TypeAlias = Literal["reclaim", "unknown", "failed"]
OnDrop: TypeAlias = Literal["retry", "unknown", "failed", "keep_lease"]
OnFull: TypeAlias = Literal["evict_lru", "reject"]
Status: TypeAlias = Literal["created", "retried", "expired"]

# ---------------------------------------------------------------- request

@final
class Scope:
    """Whose request it is. A ``str`` or ``bytes`` does for a tenant."""

    SINGLE_TENANT: Scope
    UNAUTHENTICATED: Scope
    def __new__(cls, name: str | bytes) -> Self: ...

@final
class Payload:
    """What the same key may not be sent with twice in two versions."""

    @staticmethod
    def raw(data: bytes) -> Payload: ...
    @staticmethod
    def json(data: bytes) -> Payload: ...
    @staticmethod
    def form(data: bytes) -> Payload: ...
    @staticmethod
    def multipart(data: bytes, boundary: str) -> Payload: ...

@final
class Request:
    """``key=None``: the request is told by its payload."""

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

@final
class Prepared:
    """A request with its digests made, bound to its engine: the quickest way to ask again."""

    @property
    def fingerprint(self) -> bytes: ...
    def begin(self) -> Admission: ...

# ---------------------------------------------------------------- admission

@final
class Outcome:
    def __new__(
        cls, status: int = 200, body: bytes = b"", metadata: Mapping[str, str] | None = None
    ) -> Self: ...
    @staticmethod
    def withheld(status: int) -> Outcome: ...
    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...
    @property
    def metadata(self) -> list[tuple[str, str]]: ...

@final
class Admitted:
    __match_args__ = ("lease",)
    @property
    def lease(self) -> Lease: ...

@final
class Replayed:
    __match_args__ = ("outcome",)
    @property
    def outcome(self) -> Outcome: ...
    # shortcuts
    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...

@final
class InProgress:
    __match_args__ = ("attempt", "remaining")
    @property
    def attempt(self) -> int: ...
    @property
    def remaining(self) -> float: ...

@final
class Scheduled:
    __match_args__ = ("next_attempt", "due_in")
    @property
    def next_attempt(self) -> int: ...
    @property
    def due_in(self) -> float: ...

@final
class Mismatched: ...

@final
class Unresolved: ...

@final
class OutcomeGone: ...

Admission: TypeAlias = (
    Admitted | Replayed | InProgress | Scheduled | Mismatched | Unresolved | OutcomeGone
)

# ---------------------------------------------------------------- lease

@final
class LeaseToken:
    """A lease as plain data; ``bytes(token)`` and ``LeaseToken(data)``; it may be pickled."""

    def __new__(cls, data: bytes) -> Self: ...
    def __bytes__(self) -> bytes: ...
    @property
    def fencing_token(self) -> int: ...
    @property
    def attempt(self) -> int: ...

@final
class Failure:
    @staticmethod
    def retryable(after: Seconds = 0) -> Failure: ...
    @staticmethod
    def terminal(outcome: Outcome) -> Failure: ...
    @staticmethod
    def unknown() -> Failure: ...

@final
class Lease:
    @property
    def fencing_token(self) -> int: ...
    @property
    def attempt(self) -> int: ...
    @property
    def status(self) -> Status: ...
    @property
    def remaining(self) -> float: ...
    @property
    def ended(self) -> bool: ...
    @property
    def token(self) -> LeaseToken: ...
    def into_token(self) -> LeaseToken: ...
    def renew(self, duration: Seconds | None = None) -> float: ...
    def keep(self, duration: Seconds | None = None, *, at_most: Seconds | None = None) -> None:
        """Has a thread of the engine renew it, three times while it lasts, until it is over."""
    @property
    def lost(self) -> bool:
        """Whether a renewal by ``keep`` was refused: another attempt runs, or may."""
    def complete(self, outcome: Outcome | bytes = ...) -> Literal["stored", "without_bytes"]: ...
    def fail(self, failure: Failure | None = None) -> None: ...
    def abandon(self) -> None: ...
    def release(self) -> None:
        """What dropping it does: resolves the record by ``on_drop``; nothing where it has ended."""
    def retry_later(
        self, error: AttemptError | str, operation: str, context: bytes = b""
    ) -> Scheduled | Buried: ...
    def finished_step(self, name: str) -> bytes | None: ...
    def finish_step(self, name: str, result: bytes) -> None: ...
    def last_step(self) -> tuple[str, bytes] | None: ...
    def undone_step(self, name: str) -> None: ...
    def downstream_key(self, service: str, step: str | None = None) -> str: ...
    def headers(self, service: str) -> dict[str, str]: ...

# ---------------------------------------------------------------- retries

@final
class RetryPolicy: ...

@final
class AttemptError:
    def __new__(
        cls,
        error_class: str,
        *,
        kind: Literal["transient", "throttled", "timeout"] = "transient",
        retry_after: Seconds | str | None = None,
        refused: bool = False,
        terminal: bool = False,
        outcome: Outcome | None = None,
    ) -> Self: ...

@final
class Buried:
    __match_args__ = ("reason",)
    @property
    def reason(self) -> str: ...

@final
class Attempt:
    __match_args__ = ("operation", "context", "lease")
    @property
    def lease(self) -> Lease: ...
    @property
    def operation(self) -> str: ...
    @property
    def context(self) -> bytes: ...

# ---------------------------------------------------------------- engine

class Engine:
    def __new__(
        cls,
        *,
        path: str | os.PathLike[str] | None = None,
        private: bool = False,
        redis: None = None,
        capacity: int = 65_536,
        outcome_limit: int = 16_384,
        outcome_bytes: int | None = None,
        inline_outcome: int = 64,
        lease_duration: Seconds = 30.0,
        dedup_window: Seconds = 86_400.0,
        wait: Seconds = 0.0,
        on_lapse: OnLapse = "reclaim",
        on_drop: OnDrop = "retry",
        on_full: OnFull = "evict_lru",
        max_processes: int = 64,
        max_waiters: int = 16_384,
        max_scopes: int = 4_096,
        group_access: bool = False,
        secret: bytes | None = None,
        retiring_secret: bytes | None = None,
        fingerprint_mode: Literal["keyed", "fast_trusted"] = "keyed",
        key_rules: KeyRules | None = None,
        default_quota: Quota | None = None,
        unauthenticated_quota: Quota | None = None,
        retry_policy: RetryPolicy | None = None,
        max_retrying: int | None = None,
        context_limit: int | None = None,
        clock: ManualClock | None = None,
        precise_clock: bool = False,
        prefault: bool = False,
    ) -> Self: ...
    def begin(
        self,
        request: Request | Prepared,
        *,
        wait: Seconds | None = None,
        lease_duration: Seconds | None = None,
        dedup_window: Seconds | None = None,
        on_lapse: OnLapse | None = None,
        run_due: bool = False,
    ) -> Admission: ...
    def begin_batch(
        self, requests: Sequence[Request | Prepared], **options: Any
    ) -> list[Admission | OncegateError]: ...
    def prepare(self, request: Request) -> Prepared: ...
    def take_up(self, token: LeaseToken) -> Lease: ...
    def complete(self, token: LeaseToken, outcome: Outcome | bytes) -> str: ...
    def next_attempt(self, timeout: Seconds | None = None) -> Attempt | None: ...
    def resolve(self, request: Request, answer: Resolution) -> None: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...
