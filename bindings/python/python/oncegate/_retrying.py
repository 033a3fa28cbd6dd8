"""``@retrying``: a function that runs once, and is tried again while it fails."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ._decorator import Calls, Chosen, returned
from ._judge import ErrorPolicy
from ._serialize import serializer_of
from ._tries import Describe, RetryAfter, Tries, run_retrying, run_retrying_async

if TYPE_CHECKING:
    from ._core import RetryPolicy, Scope
    from ._engine import Engine
    from ._serialize import Serializer

F = TypeVar("F", bound=Callable[..., Any])


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
    describe: Describe | None = None,
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

    Each retry is paid for by the budgets of :meth:`Engine.set_retry_budget` that apply: those of
    the request's scope and operation, and the engine's. Where one is spent, attempts are given up
    as when there are no more of them, at once; the exception has a note that says so, from Python
    3.11 on. Load stretches the delays where the engine has ``adaptive_backoff``.

    ``retry_after`` says what the service said about retrying, from its exception; ``describe`` says
    more of it: an :class:`AttemptError` with its kind, for what the next attempt costs, with a
    hint, or ``terminal``. Without it a ``TimeoutError`` counts as a timeout, and everything else as
    what may pass.

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
            tries = Tries(engine, request, policy, judged, describe, retry_after)
            work = functools.partial(function, *args, **kwargs)
            return run_retrying(engine, request, work, tries, made, renew, dict(options))

        @functools.wraps(function)
        async def once_async(*args: Any, **kwargs: Any) -> Any:
            request = calls.request(args, kwargs)
            tries = Tries(engine, request, policy, judged, describe, retry_after)
            work = functools.partial(function, *args, **kwargs)
            return await run_retrying_async(
                engine, request, work, tries, made, renew, dict(options)
            )

        wrapped: Any = once_async if inspect.iscoroutinefunction(function) else once
        return typing.cast(F, wrapped)

    return decorate
