"""Tries: the attempts of one call, which runs them itself and waits in between."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import socket
import typing
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ._core import Admitted, AttemptError, Failure, GivenUp, InProgress, Scheduled
from ._errors import LOST
from ._run import entered, finish, finish_async, replayed, settle, settle_async

if TYPE_CHECKING:
    from ._core import Admission, Lease, Prepared, Request, RetryPolicy, Seconds
    from ._engine import Engine
    from ._judge import ErrorPolicy
    from ._serialize import Serializer

log = logging.getLogger("oncegate")

RetryAfter = Callable[[Exception], typing.Union[float, str, None]]
"""What the service said about retrying: seconds, the value of a ``Retry-After``, or nothing."""
Describe = Callable[[Exception], typing.Union[AttemptError, None]]
"""What is known of a failure: its kind, for what the next attempt costs; what the service said
about retrying; whether it is terminal. ``None``: nothing more than that it is an exception."""


class Tries:
    """The attempts of one call, and what their failures come to."""

    def __init__(
        self,
        engine: Engine,
        request: Request | Prepared,
        policy: RetryPolicy,
        errors: ErrorPolicy,
        describe: Describe | None,
        retry_after: RetryAfter | None,
    ) -> None:
        self._attempts = engine.call_attempts(request, policy)
        self._errors = errors
        self._describe = describe
        self._retry_after = retry_after
        self._delay = 0.0
        self._error: Exception | None = None

    def began(self, lease: Lease) -> None:
        """An attempt begins, unless it comes too late: then the last failure is raised."""
        if self._error is not None and self._attempts.late:
            lease.fail_soon()
            raise self._error
        self._attempts.began(lease)

    def failed(self, lease: Lease, error: BaseException) -> bool:
        """Ends an attempt that failed. Whether there is another one, after ``wait``."""
        delay = self._next(lease, error)
        if delay is None or isinstance(delay, GivenUp):
            settle(lease, error, self._errors)
            _tell(delay, error)
            return False
        try:
            # Until then nobody runs it: neither this call, nor another one.
            lease.fail(Failure.retryable(delay))
        except LOST:
            _tell_lost()
            return False
        self._delay, self._error = delay, typing.cast(Exception, error)
        return True

    async def failed_async(self, lease: Lease, error: BaseException) -> bool:
        """:meth:`failed` without blocking the event loop."""
        delay = self._next(lease, error)
        if delay is None or isinstance(delay, GivenUp):
            await settle_async(lease, error, self._errors)
            _tell(delay, error)
            return False
        try:
            await lease.fail_async(Failure.retryable(delay))
        except LOST:
            _tell_lost()
            return False
        self._delay, self._error = delay, typing.cast(Exception, error)
        return True

    def _next(self, lease: Lease, error: BaseException) -> float | GivenUp | None:
        """Seconds until the next attempt; ``None``: such a failure is not tried again."""
        if not isinstance(error, Exception) or self._errors.judge(error) != "retryable":
            return None
        try:
            # A budget pays for it here, if there is a next one.
            return self._attempts.failed(lease, self._described(error))
        except BaseException:
            lease.release()
            raise

    def _described(self, error: Exception) -> AttemptError:
        told = None if self._describe is None else self._describe(error)
        if told is not None:
            return told
        said = None if self._retry_after is None else self._retry_after(error)
        timeout = isinstance(error, _TIMEOUTS)
        return AttemptError(
            "exception", kind="timeout" if timeout else "transient", retry_after=said
        )

    def wait(self, given: Seconds | None) -> float | None:
        """How long the next attempt is waited for, and whoever takes it instead of this call."""
        if self._error is None:
            return given.total_seconds() if isinstance(given, timedelta) else given
        limit, left = self._delay + _PATIENCE, self._attempts.left
        return limit if left is None else min(limit, left)

    def answer(self, admission: Admission, serializer: Serializer) -> Any:
        """What an answer other than an admission comes to."""
        if self._error is not None and isinstance(admission, (InProgress, Scheduled)):
            # Another caller has the attempt, and takes long: this call's last failure says more.
            raise self._error
        return replayed(admission, serializer)

    def end(self) -> None:
        """The call is over: what was paid for an attempt that never began is given back."""
        self._attempts.give_back()
        # It has a traceback, which leads here.
        self._error = None


def _tell_lost() -> None:
    log.warning("an attempt failed after its lease was lost: its successor decides")


def _tell(given_up: GivenUp | None, error: BaseException) -> None:
    """Says of a failure that a budget is why it was not tried again."""
    if given_up is None or given_up.reason != "budget":
        return
    note = f"oncegate: not tried again, since the retry budget {given_up.budget!r} is spent"
    log.info(note)
    # From Python 3.11 on. Some programs raise one object again and again.
    add_note = getattr(error, "add_note", None)
    if add_note is not None and note not in getattr(error, "__notes__", ()):
        add_note(note)


def run_retrying(
    engine: Engine,
    request: Request | Prepared,
    work: Callable[[], Any],
    tries: Tries,
    serializer: Serializer,
    renew: bool,
    options: dict[str, Any],
) -> Any:
    """The result of the first attempt that succeeds."""
    given = options.pop("wait", None)
    try:
        while True:
            admission = engine.begin(request, wait=tries.wait(given), **options)
            if not isinstance(admission, Admitted):
                return tries.answer(admission, serializer)
            lease = admission.lease
            tries.began(lease)
            with entered(lease, renew):
                try:
                    value = work()
                except BaseException as error:
                    if tries.failed(lease, error):
                        continue
                    raise
            return finish(lease, value, serializer)
    finally:
        tries.end()


async def run_retrying_async(
    engine: Engine,
    request: Request | Prepared,
    work: Callable[[], Awaitable[Any]],
    tries: Tries,
    serializer: Serializer,
    renew: bool,
    options: dict[str, Any],
) -> Any:
    """:func:`run_retrying` for a coroutine function."""
    given: Any = options.pop("wait", None)
    try:
        while True:
            limit: Any = tries.wait(given)
            admission = await engine.begin_async(request, wait=limit, **options)
            if not isinstance(admission, Admitted):
                return tries.answer(admission, serializer)
            lease = admission.lease
            tries.began(lease)
            with entered(lease, renew):
                try:
                    value = await work()
                except BaseException as error:
                    if await tries.failed_async(lease, error):
                        continue
                    raise
            return await finish_async(lease, value, serializer)
    finally:
        tries.end()


_TIMEOUTS = (TimeoutError, asyncio.TimeoutError, concurrent.futures.TimeoutError, socket.timeout)
"""One class from Python 3.11 on."""
_PATIENCE = 30.0
"""How long, in seconds, a call waits for another caller's attempt at what it was to try again."""
