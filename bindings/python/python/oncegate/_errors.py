"""Errors. The engine's come from one table of codes; each says what was refused, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._core import Admission


class OncegateError(Exception):
    """What every error of oncegate is. The record, if there is one, is unchanged."""

    code: int
    """The number of the code in the engine's table; 0 for errors of this package."""
    name: str
    """The code's name: ``"Fenced"``."""
    field: str
    """The argument, option or resource that it is about."""
    retry_after: float | None
    """Seconds to wait before the same call may succeed, where that is known."""
    retriable: bool
    """Whether the same call may succeed later without anybody changing anything."""

    def __init__(
        self,
        message: str,
        *,
        code: int = 0,
        name: str = "",
        field: str = "",
        retry_after: float | None = None,
        retriable: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.field = field
        self.retry_after = retry_after
        self.retriable = retriable

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuilt, (type(self), self.args, self.__dict__))


def _rebuilt(
    kind: type[OncegateError], args: tuple[object, ...], state: dict[str, object]
) -> OncegateError:
    """An error that crossed a process boundary."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class InvalidInputError(OncegateError, ValueError):
    """An argument breaks a rule; the same call will be refused again."""


class FencedError(OncegateError, RuntimeError):
    """A newer attempt holds the record, or it has ended: this holder may change nothing any more.

    Never retriable: stop, and undo what can be undone.
    """


class FullError(OncegateError, RuntimeError):
    """There is no room for a new record."""


class QuotaExceededError(OncegateError, RuntimeError):
    """The scope has used its share of live records, or its rate."""


class ForkedError(OncegateError, RuntimeError):
    """What belongs to the parent of this fork was used in the child."""


class TooManyWaitersError(OncegateError, RuntimeError):
    """More callers wait than the engine allows."""


class NoMemoryError(OncegateError, MemoryError):
    """The memory for the table could not be had."""


class OsError(OncegateError, OSError):
    """The operating system refused what the table needs."""

    def __str__(self) -> str:
        return str(self.args[0])


class NotFoundError(OncegateError, LookupError):
    """There is no such record, or it is not in a state that the call applies to."""


class RegionError(OncegateError, OSError):
    """The shared table was made with other options, or its file is not safe or not sound."""

    def __str__(self) -> str:
        return str(self.args[0])


class BudgetExhaustedError(OncegateError, RuntimeError):
    """A retry budget has too little left to pay for a retry."""


class TierUnavailableError(OncegateError, ConnectionError):
    """The store across machines gave no answer, or may have forgotten records.

    A request that began so was not run.
    """


class TierUnsafeError(OncegateError, RuntimeError):
    """The store across machines endangers what is promised, or refuses this user."""


class ExhaustedError(OncegateError, OverflowError):
    """A counter that may never wrap came to its end."""


class RotationPendingError(OncegateError, RuntimeError):
    """A rotation of the secret cannot take this step yet."""


class UnsupportedError(OncegateError, NotImplementedError):
    """Not on this operating system, or not in this version."""


class NoEventLoopError(OncegateError, RuntimeError):
    """A wait was awaited where no event loop of asyncio runs, as under trio."""


class ClosedError(OncegateError, RuntimeError):
    """The engine was closed."""


class DeclinedError(OncegateError, RuntimeError):
    """The request was neither run nor replayed."""

    admission: Admission | None
    """The engine's answer; ``None`` in an error that came from elsewhere by its text alone."""

    def __init__(
        self,
        message: str,
        admission: Admission | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(
            message,
            name="" if admission is None else type(admission).__name__,
            field="request",
            retry_after=retry_after,
            retriable=retry_after is not None,
        )
        self.admission = admission


class InProgressError(DeclinedError):
    """Another attempt runs; ``retry_after`` is how long its lease lasts at most."""


class ScheduledError(DeclinedError):
    """It failed, and its next attempt is not due before ``retry_after``."""


class MismatchedError(DeclinedError, ValueError):
    """The same key came with another payload."""


class UnresolvedError(DeclinedError):
    """Nobody knows whether the last attempt took effect."""


class OutcomeGoneError(DeclinedError, LookupError):
    """It has finished, but what it gave was not kept."""


class AlreadyRanError(DeclinedError):
    """A lease was asked for, and the request has finished: ``admission`` is the replay."""


class RunFailedError(DeclinedError):
    """The first run failed for good, by an exception that its policy calls final."""

    kind: str
    """The class of that exception, by its qualified name."""

    def __init__(self, kind: str, message: str, admission: Admission | None = None) -> None:
        super().__init__(message, admission)
        # What it is made of, so that it can be made anew, as Celery does with errors in JSON.
        self.args = (kind, message)
        self.kind = kind

    def __str__(self) -> str:
        return "the first run failed for good: {}: {}".format(*self.args)


LOST = (FencedError, TierUnavailableError)
"""What ends of attempts are answered whose lease was lost: the other attempt's end counts, or the
store has given no answer and decides when it is told, which it is as soon as it can be."""

OF_CODES: dict[str, type[OncegateError]] = {
    "InvalidKey": InvalidInputError,
    "InvalidScope": InvalidInputError,
    "InvalidOperation": InvalidInputError,
    "InvalidPayload": InvalidInputError,
    "InvalidConfig": InvalidInputError,
    "InvalidOption": InvalidInputError,
    "InvalidOutcome": InvalidInputError,
    "InvalidToken": InvalidInputError,
    "Fenced": FencedError,
    "Full": FullError,
    "QuotaExceeded": QuotaExceededError,
    "Forked": ForkedError,
    "TooManyWaiters": TooManyWaitersError,
    "NoMemory": NoMemoryError,
    "NoEntropy": OsError,
    "NotFound": NotFoundError,
    "RotationPending": RotationPendingError,
    "Exhausted": ExhaustedError,
    "RegionMismatch": RegionError,
    "WrongSecret": RegionError,
    "FileRefused": RegionError,
    "RegionInvalid": RegionError,
    "RegistryFull": RegionError,
    "Os": OsError,
    "Unsupported": UnsupportedError,
    "RegionInUse": RegionError,
    "BudgetExhausted": BudgetExhaustedError,
    "TierUnavailable": TierUnavailableError,
    "TierUnsafe": TierUnsafeError,
}
"""What is raised for each name of the engine's table."""


def raised(
    name: str,
    message: str,
    code: int,
    field: str,
    retry_after: float | None,
    retriable: bool,
) -> OncegateError:
    """The exception for an error of the engine."""
    kind = OF_CODES.get(name, OncegateError)
    return kind(
        message, code=code, name=name, field=field, retry_after=retry_after, retriable=retriable
    )


def closed() -> ClosedError:
    """For whoever uses an engine that was closed."""
    return ClosedError("engine: it was closed", name="Closed", field="engine")
