"""``@retrying``: a function that runs once, and is tried again while it fails."""

from __future__ import annotations

import functools
import inspect
import logging
import time
import typing
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ._core import Admitted, Failure, InProgress, RetryPolicy, Scheduled
from ._decorator import Calls, Chosen, returned
from ._errors import FencedError
from ._judge import ErrorPolicy
from ._run import entered, finish, replayed, settle
from ._serialize import serializer_of

if TYPE_CHECKING:
    from ._core import Admission, Lease, Request, Scope, Seconds
    from ._engine import Engine
    from ._serialize import Serializer

F = TypeVar("F", bound=Callable[..., Any])

log = logging.getLogger("oncegate")

RetryAfter = Callable[[Exception], typing.Union[float, str, None]]
"""What the service said about retrying: seconds, the value of a ``Retry-After``, or nothing."""


class Tries:
    """The attempts of one call, and what their failures come to."""

    def __init__(
        self, policy: RetryPolicy, errors: ErrorPolicy, retry_after: RetryAfter | None
    ) -> None:
        self._policy = policy
        self._errors = errors
        self._retry_after = retry_after
        self._begun = time.monotonic()
        self._count = 0
        self._delay = 0.0
        self.error: Exception | None = None

    def failed(self, lease: Lease, error: BaseException) -> bool:
        """Ends an attempt that failed. Whether there is another one, after ``wait``."""
        if not isinstance(error, Exception) or self._errors.judge(error) != "retryable":
            settle(lease, error, self._errors)
            return False
        self._count += 1
        try:
            said = None if self._retry_after is None else self._retry_after(error)
            elapsed = time.monotonic() - self._begun
            delay = self._policy.decide(
                self._count, elapsed, previous_delay=self._delay, retry_after=said
            )
        except BaseException:
            lease.release()
            raise
        if delay is None:
            settle(lease, error, self._errors)
            return False
        try:
            # Until then nobody runs it: neither this call, nor another one.
            lease.fail(Failure.retryable(delay))
        except FencedError:
            log.warning("an attempt failed after its lease was lost: its successor decides")
            return False
        self._delay, self.error = delay, error
        return True

    def wait(self, given: Seconds | None) -> Seconds | None:
        """How long the next attempt is waited for, and whoever takes it instead of this call."""
        return given if self.error is None else self._delay + _PATIENCE

    def answer(self, admission: Admission, serializer: Serializer) -> Any:
        """What an answer other than an admission comes to."""
        if self.error is not None and isinstance(admission, (InProgress, Scheduled)):
            # Another caller has the attempt, and takes long: this call's last failure says more.
            raise self.error
        return replayed(admission, serializer)


def run_retrying(
    engine: Engine,
    request: Request,
    work: Callable[[], Any],
    tries: Tries,
    serializer: Serializer,
    renew: bool,
    options: dict[str, Any],
) -> Any:
    """The result of the first attempt that succeeds."""
    given = options.pop("wait", None)
    while True:
        admission = engine.begin(request, wait=tries.wait(given), **options)
        if not isinstance(admission, Admitted):
            return tries.answer(admission, serializer)
        lease = admission.lease
        with entered(lease, renew):
            try:
                value = work()
            except BaseException as error:
                if tries.failed(lease, error):
                    continue
                raise
        return finish(lease, value, serializer)


async def run_retrying_async(
    engine: Engine,
    request: Request,
    work: Callable[[], Awaitable[Any]],
    tries: Tries,
    serializer: Serializer,
    renew: bool,
    options: dict[str, Any],
) -> Any:
    """:func:`run_retrying` for a coroutine function."""
    given: Any = options.pop("wait", None)
    while True:
        limit: Any = tries.wait(given)
        admission = await engine.begin_async(request, wait=limit, **options)
        if not isinstance(admission, Admitted):
            return tries.answer(admission, serializer)
        lease = admission.lease
        with entered(lease, renew):
            try:
                value = await work()
            except BaseException as error:
                if tries.failed(lease, error):
                    continue
                raise
        return finish(lease, value, serializer)


def retrying(
    engine: Engine,
    *,
    policy: RetryPolicy,
    scope: str | bytes | Scope | Callable[..., str | bytes | Scope],
    key: Chosen = None,
    operation: str | None = None,
    payload: Chosen = None,
    serializer: Serializer | None = None,
    errors: ErrorPolicy | None = None,
    retry_after: RetryAfter | None = None,
    renew: bool = True,
    **options: Any,
) -> Callable[[F], F]:
    """:func:`idempotent`, and tried again as ``policy`` says while it fails.

    Each try is an attempt of its own, with its number and its fencing token, and none begins before
    the one before has ended and its delay has passed, in whichever process. Between two of them the
    record waits: the thread sleeps without the GIL, or the event loop goes on. Exceptions that
    ``errors`` calls ``"final"`` or ``"unknown"`` end the call at once. When attempts are given up
    the last exception is raised, and the next call starts anew.

    ``retry_after`` says what the service said about retrying, from its exception.

    ::

        @retrying(engine, policy=RetryPolicy.aws_standard(), key="order", scope="acme")
        def charge(order: str, cents: int) -> dict[str, str]: ...
    """
    judged = errors or ErrorPolicy()

    def decorate(function: F) -> F:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("a generator has no one result that could be stored")
        calls = Calls(function, key=key, scope=scope, operation=operation, payload=payload)
        made = serializer or serializer_of(returned(function))

        @functools.wraps(function)
        def once(*args: Any, **kwargs: Any) -> Any:
            request = calls.request(args, kwargs)
            tries = Tries(policy, judged, retry_after)
            work = functools.partial(function, *args, **kwargs)
            return run_retrying(engine, request, work, tries, made, renew, dict(options))

        @functools.wraps(function)
        async def once_async(*args: Any, **kwargs: Any) -> Any:
            request = calls.request(args, kwargs)
            tries = Tries(policy, judged, retry_after)
            work = functools.partial(function, *args, **kwargs)
            return await run_retrying_async(
                engine, request, work, tries, made, renew, dict(options)
            )

        wrapped: Any = once_async if inspect.iscoroutinefunction(function) else once
        return typing.cast(F, wrapped)

    return decorate


_PATIENCE = 30.0
"""How long, in seconds, a call waits for another caller's attempt at what it was to try again."""
