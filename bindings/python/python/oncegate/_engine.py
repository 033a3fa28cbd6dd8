"""The engine: the native one, and what is built on it in Python."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from . import _core
from ._attempts import attempts_of
from ._core import InProgress, Scheduled
from ._judge import ErrorPolicy
from ._run import LeaseContext, run, run_async
from ._serialize import JsonSerializer
from ._tries import Tries, run_retrying, run_retrying_async
from ._waits import running_loop, waits_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from typing_extensions import Self

    from ._core import Admission, Attempt, OnLapse, Prepared, Request, RetryPolicy, Seconds
    from ._serialize import Serializer
    from ._tries import Describe, RetryAfter

T = TypeVar("T")

os.register_at_fork(after_in_child=_core.after_fork_in_child)


class Engine(_core.Engine):
    """Decides who may run a request. Any thread may use it, and every forked worker."""

    async def begin_async(
        self,
        request: Request | Prepared,
        *,
        wait: Seconds | None = None,
        lease_duration: Seconds | None = None,
        dedup_window: Seconds | None = None,
        on_lapse: OnLapse | None = None,
        run_due: bool = False,
    ) -> Admission:
        """:meth:`begin`, without blocking the event loop while it waits.

        A wait costs no processor time: the loop is woken through a descriptor, and so it is for the
        answer of a tier. Cancelling it affects nobody else, and an attempt that was admitted
        meanwhile is given back. Raises ``NoEventLoopError`` outside of asyncio, as under trio, for
        a wait and for an engine with a tier.
        """
        options: dict[str, Any] = {}
        if lease_duration is not None:
            options["lease_duration"] = lease_duration
        if dedup_window is not None:
            options["dedup_window"] = dedup_window
        if on_lapse is not None:
            options["on_lapse"] = on_lapse
        if run_due:
            options["run_due"] = True
        limit = self.default_wait if wait is None else _seconds(wait)
        if limit > 0 or self.has_tier:
            # Not only where there is something to wait for: that would be seen in production.
            running_loop()
        if self.has_tier:
            return await waits_of(self).begin(request, limit, options)
        answer = self.begin(request, wait=0, **options)
        if limit <= 0 or not isinstance(answer, (InProgress, Scheduled)):
            return answer
        waited = await waits_of(self).ask(request, limit, options)
        return self.begin(request, wait=0, **options) if waited is None else waited

    def lease(
        self,
        request: Request | Prepared,
        *,
        errors: ErrorPolicy | None = None,
        renew: bool = True,
        **options: Any,
    ) -> LeaseContext:
        """``with engine.lease(request) as lease``, or ``async with``: an attempt, or an exception.

        The lease is renewed while the block runs, unless ``renew`` is false. A block that ends
        without an exception has finished the request: by ``lease.complete(...)``, or with an empty
        outcome. An exception ends the attempt as ``errors`` says, a cancellation as the engine's
        ``on_drop`` says. ``options`` are those of :meth:`begin`.

        Raises what :func:`declined` makes of other answers: ``InProgressError``,
        ``ScheduledError``, ``MismatchedError``, ``UnresolvedError``, ``OutcomeGoneError``, and
        ``AlreadyRanError`` with the replay.
        """
        return LeaseContext(self, request, errors, renew, options)

    def run(
        self,
        request: Request | Prepared,
        work: Callable[[], T],
        *,
        serializer: Serializer | None = None,
        errors: ErrorPolicy | None = None,
        renew: bool = True,
        **options: Any,
    ) -> T:
        """The result of ``work``, which runs once for all calls with this request.

        What it returns is stored, by JSON or another serializer, and given to duplicates. An
        exception ends the attempt as ``errors`` says, and is raised again. Where there is neither
        an attempt nor a result it raises what :meth:`lease` raises, and ``RunFailedError`` where
        the first run failed for good. ``options`` are those of :meth:`begin`; with ``wait=`` a
        duplicate waits for the result.
        """
        return run(
            self, request, work, serializer=serializer, errors=errors, renew=renew, **options
        )

    async def run_async(
        self,
        request: Request | Prepared,
        work: Callable[[], Awaitable[T]],
        *,
        serializer: Serializer | None = None,
        errors: ErrorPolicy | None = None,
        renew: bool = True,
        **options: Any,
    ) -> T:
        """:meth:`run` for a coroutine function."""
        return await run_async(
            self, request, work, serializer=serializer, errors=errors, renew=renew, **options
        )

    def run_with_retries(
        self,
        request: Request | Prepared,
        work: Callable[[], T],
        *,
        policy: RetryPolicy,
        serializer: Serializer | None = None,
        errors: ErrorPolicy | None = None,
        describe: Describe | None = None,
        retry_after: RetryAfter | None = None,
        renew: bool = True,
        **options: Any,
    ) -> T:
        """:meth:`run`, and tried again as ``policy`` says while ``work`` fails.

        Retry budgets pay for it, as :func:`retrying` says, and ``describe`` and ``retry_after`` are
        the same.
        """
        judged = ErrorPolicy() if errors is None else errors
        tries = Tries(self, request, policy, judged, describe, retry_after)
        made = JsonSerializer() if serializer is None else serializer
        result: T = run_retrying(self, request, work, tries, made, renew, options)
        return result

    async def run_with_retries_async(
        self,
        request: Request | Prepared,
        work: Callable[[], Awaitable[T]],
        *,
        policy: RetryPolicy,
        serializer: Serializer | None = None,
        errors: ErrorPolicy | None = None,
        describe: Describe | None = None,
        retry_after: RetryAfter | None = None,
        renew: bool = True,
        **options: Any,
    ) -> T:
        """:meth:`run_with_retries` for a coroutine function."""
        judged = ErrorPolicy() if errors is None else errors
        tries = Tries(self, request, policy, judged, describe, retry_after)
        made = JsonSerializer() if serializer is None else serializer
        result: T = await run_retrying_async(self, request, work, tries, made, renew, options)
        return result

    async def next_attempt_async(self, timeout: Seconds | None = None) -> Attempt | None:
        """:meth:`next_attempt`, without blocking the event loop while it waits.

        ``timeout=None`` waits for ever, zero not at all; ``None`` is what it gives when the time
        has passed. A wait costs no processor time: the loop is woken when something is due, by a
        timer of the kernel. Cancelling it loses no attempt. ``NoEventLoopError``: as for
        :meth:`begin_async`.
        """
        limit = None if timeout is None else _seconds(timeout)
        if limit is None or limit > 0:
            running_loop()
        if self.has_tier:
            attempts = await _in_thread(self.next_attempts, 1)
            attempt = attempts[0] if attempts else None
        else:
            attempt = self.next_attempt(0)
        if attempt is not None or (limit is not None and limit <= 0):
            return attempt
        return await attempts_of(self).next(self, limit)

    async def next_attempts_async(self, most: int, timeout: Seconds | None = None) -> list[Attempt]:
        """:meth:`next_attempts`, without blocking the event loop while it waits.

        As :meth:`next_attempt_async`; the list is empty when the time has passed.
        """
        limit = None if timeout is None else _seconds(timeout)
        if limit is None or limit > 0:
            running_loop()
        now = _in_thread if self.has_tier else _at_once
        attempts = await now(self.next_attempts, most)
        if attempts or most <= 0 or (limit is not None and limit <= 0):
            return attempts
        first = await attempts_of(self).next(self, limit)
        return [] if first is None else [first, *await now(self.next_attempts, most - 1)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


async def _at_once(
    next_attempts: Callable[[int, Seconds | None], list[Attempt]], most: int
) -> list[Attempt]:
    """What is due now."""
    return next_attempts(most, 0)


async def _in_thread(
    next_attempts: Callable[[int, Seconds | None], list[Attempt]], most: int
) -> list[Attempt]:
    """What is due now, in the whole fleet: a thread asks the tier, since the future of the engine
    waits until something is due. Attempts that nobody is there for any more are given back."""
    asked = running_loop().run_in_executor(None, next_attempts, most, 0)
    try:
        return await asyncio.shield(asked)
    except asyncio.CancelledError:
        asked.add_done_callback(_give_back)
        raise


def _give_back(asked: asyncio.Future[list[Attempt]]) -> None:
    if not asked.cancelled() and asked.exception() is None:
        for attempt in asked.result():
            attempt.lease.fail_soon()


def _seconds(duration: Seconds) -> float:
    return duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
