"""Running a request once: leases as context managers, and functions whose results are stored."""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

from ._core import (
    Admitted,
    Failure,
    InProgress,
    Mismatched,
    Outcome,
    OutcomeGone,
    Replayed,
    Scheduled,
)
from ._errors import (
    AlreadyRanError,
    DeclinedError,
    FencedError,
    InProgressError,
    MismatchedError,
    OncegateError,
    OutcomeGoneError,
    RunFailedError,
    ScheduledError,
    UnresolvedError,
)
from ._judge import ErrorPolicy
from ._serialize import JsonSerializer, SerializationError, Serializer

if TYPE_CHECKING:
    from types import TracebackType

    from ._core import Admission, Lease, Prepared, Request
    from ._engine import Engine

T = TypeVar("T")

log = logging.getLogger("oncegate")

_current: contextvars.ContextVar[Lease | None] = contextvars.ContextVar(
    "oncegate_lease", default=None
)

FAILED = 500
"""The status of an outcome that says that the request failed for good."""
_JSON = JsonSerializer()
_ERRORS = ErrorPolicy()


def current_lease() -> Lease:
    """The lease of the attempt that runs: its number, its fencing token, its steps.

    Raises ``LookupError`` where no function runs by :func:`idempotent`, :meth:`Engine.run` or
    :meth:`Engine.lease`.
    """
    lease = _current.get()
    if lease is None:
        raise LookupError("no attempt of oncegate runs here")
    return lease


def declined(admission: Admission) -> DeclinedError:
    """The exception for an answer that is neither an admission nor an outcome."""
    if isinstance(admission, InProgress):
        text = f"attempt {admission.attempt} runs; its lease lasts {admission.remaining:.3f} s"
        return InProgressError(text, admission, admission.remaining)
    if isinstance(admission, Scheduled):
        text = f"attempt {admission.next_attempt} is due in {admission.due_in:.3f} s"
        return ScheduledError(text, admission, admission.due_in)
    if isinstance(admission, Mismatched):
        return MismatchedError("the same key came with another payload", admission)
    if isinstance(admission, OutcomeGone):
        return OutcomeGoneError("it has finished, and its outcome was not kept", admission)
    if isinstance(admission, Replayed):
        return AlreadyRanError("it has run already", admission)
    return UnresolvedError("nobody knows whether the last attempt took effect", admission)


def settle(lease: Lease, error: BaseException, policy: ErrorPolicy) -> None:
    """Ends an attempt that ended with an exception, as the policy says. Raises nothing of its own:
    the exception that is under way says more."""
    failure = _failure_of(lease, error, policy)
    if failure is not None:
        with _told():
            lease.fail(failure)


async def settle_async(lease: Lease, error: BaseException, policy: ErrorPolicy) -> None:
    """:func:`settle` without blocking the event loop."""
    failure = _failure_of(lease, error, policy)
    if failure is not None:
        with _told():
            await lease.fail_async(failure)


def _failure_of(lease: Lease, error: BaseException, policy: ErrorPolicy) -> Failure | None:
    """What an exception means; ``None``: the attempt has been released."""
    try:
        judgement = policy.judge(error)
        if judgement is None:
            with _told():
                lease.release()
            return None
        if judgement == "final":
            return Failure.terminal(failed_outcome(error))
        return Failure.unknown() if judgement == "unknown" else Failure.retryable()
    except BaseException:
        # The policy itself failed: nobody knows better than the engine's default.
        lease.release()
        raise


@contextlib.contextmanager
def _told() -> Generator[None, None, None]:
    """Logs that an attempt could not be ended, instead of raising it."""
    try:
        yield
    except FencedError:
        log.warning(
            "an attempt failed after its lease was lost: another one may have run beside it"
        )
    except OncegateError:
        log.exception("an attempt that failed could not be ended; its lease lapses")


def failed_outcome(error: BaseException) -> Outcome:
    """What duplicates of a request get that failed for good: the exception's class and text."""
    told = {"error": type(error).__qualname__, "message": str(error)[:_LONGEST_TEXT]}
    return Outcome(FAILED, json.dumps(told).encode(), {"oncegate-result": "exception"})


class LeaseContext:
    """``with engine.lease(request) as lease``, or ``async with``."""

    def __init__(
        self,
        engine: Engine,
        request: Request | Prepared,
        policy: ErrorPolicy | None,
        renew: bool,
        options: dict[str, Any],
    ) -> None:
        self._engine = engine
        self._request = request
        self._policy = policy or _ERRORS
        self._renew = renew
        self._options = options
        self._lease: Lease | None = None
        self._reset: contextvars.Token[Lease | None] | None = None

    def __enter__(self) -> Lease:
        return self._take(self._engine.begin(self._request, **self._options))

    async def __aenter__(self) -> Lease:
        return self._take(await self._engine.begin_async(self._request, **self._options))

    def _take(self, admission: Admission) -> Lease:
        if not isinstance(admission, Admitted):
            raise declined(admission)
        self._lease = lease = admission.lease
        if self._renew:
            lease.keep()
        self._reset = _current.set(lease)
        return lease

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        lease = self._left()
        if lease is None or lease.ended:
            return
        if error is not None:
            settle(lease, error, self._policy)
        else:
            lease.complete(Outcome())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        lease = self._left()
        if lease is None or lease.ended:
            return
        if error is not None:
            await settle_async(lease, error, self._policy)
        else:
            await lease.complete_async(Outcome())

    def _left(self) -> Lease | None:
        """The lease, which is this block's no more."""
        lease, self._lease = self._lease, None
        if self._reset is not None:
            _leave(self._reset)
            self._reset = None
        return lease


@contextlib.contextmanager
def bound_lease(lease: Lease) -> Generator[None, None, None]:
    """Within it the lease is what :func:`current_lease` says."""
    reset = _current.set(lease)
    try:
        yield
    finally:
        _leave(reset)


def _leave(reset: contextvars.Token[Lease | None]) -> None:
    # It fails where a generator was closed in another context than the one it began in.
    with contextlib.suppress(ValueError):
        _current.reset(reset)


class entered:  # noqa: N801 # it is used as a function
    """The attempt that :func:`current_lease` gives within; renewed if that is asked for."""

    __slots__ = ("_lease", "_renew", "_reset")

    def __init__(self, lease: Lease, renew: bool) -> None:
        self._lease = lease
        self._renew = renew

    def __enter__(self) -> None:
        if self._renew:
            self._lease.keep()
        self._reset = _current.set(self._lease)

    def __exit__(self, *_: object) -> None:
        _leave(self._reset)


def replayed(admission: Admission, serializer: Serializer) -> Any:
    """The stored result, or the exception that says why there is none."""
    if not isinstance(admission, Replayed):
        raise declined(admission)
    if ("oncegate-result", "exception") in admission.metadata:
        told = json.loads(admission.body)
        raise RunFailedError(told["error"], told["message"], admission)
    return serializer.loads(admission.body)


def finish(lease: Lease, value: T, serializer: Serializer) -> T:
    """Stores a result. Where it cannot be kept the record is finished all the same: it has run."""
    try:
        outcome = Outcome(200, serializer.dumps(value))
    except BaseException as error:
        lease.complete(Outcome.withheld(200))
        if isinstance(error, _AS_THEY_ARE):
            raise
        raise _unkept(error) from error
    if lease.complete(outcome) == "without_bytes":
        _tell_unkept(outcome)
    return value


async def finish_async(lease: Lease, value: T, serializer: Serializer) -> T:
    """:func:`finish` without blocking the event loop."""
    if not lease.has_tier:
        return finish(lease, value, serializer)
    try:
        outcome = Outcome(200, serializer.dumps(value))
    except BaseException as error:
        await lease.complete_async(Outcome.withheld(200))
        if isinstance(error, _AS_THEY_ARE):
            raise
        raise _unkept(error) from error
    if await lease.complete_async(outcome) == "without_bytes":
        _tell_unkept(outcome)
    return value


def _unkept(error: BaseException) -> SerializationError:
    """What is raised for a result that its serializer failed on."""
    return SerializationError(
        f"result: the serializer failed: {error}", name="Serialization", field="result"
    )


def _tell_unkept(outcome: Outcome) -> None:
    log.warning(
        "a result of %d bytes was not kept: its duplicates get OutcomeGone", len(outcome.body)
    )


def run(
    engine: Engine,
    request: Request | Prepared,
    work: Callable[[], T],
    *,
    serializer: Serializer | None = None,
    errors: ErrorPolicy | None = None,
    renew: bool = True,
    **options: Any,
) -> T:
    """See :meth:`Engine.run`."""
    serializer = _JSON if serializer is None else serializer
    admission = engine.begin(request, **options)
    if not isinstance(admission, Admitted):
        result: T = replayed(admission, serializer)
        return result
    lease = admission.lease
    with entered(lease, renew):
        try:
            value = work()
        except BaseException as error:
            settle(lease, error, errors or _ERRORS)
            raise
    return finish(lease, value, serializer)


async def run_async(
    engine: Engine,
    request: Request | Prepared,
    work: Callable[[], Awaitable[T]],
    *,
    serializer: Serializer | None = None,
    errors: ErrorPolicy | None = None,
    renew: bool = True,
    **options: Any,
) -> T:
    """See :meth:`Engine.run_async`."""
    serializer = _JSON if serializer is None else serializer
    admission = await engine.begin_async(request, **options)
    if not isinstance(admission, Admitted):
        result: T = replayed(admission, serializer)
        return result
    lease = admission.lease
    with entered(lease, renew):
        try:
            value = await work()
        except BaseException as error:
            await settle_async(lease, error, errors or _ERRORS)
            raise
    return await finish_async(lease, value, serializer)


_AS_THEY_ARE = (SerializationError, KeyboardInterrupt, SystemExit)
_LONGEST_TEXT = 2_000
