"""What tasks have in common, whichever framework runs them: settings, identity, outcome."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol, Union

from ._arguments import arguments_bytes, arguments_key
from ._core import Failure, Outcome, Payload, Request
from ._errors import InvalidInputError, OncegateError

if TYPE_CHECKING:
    from ._core import Scope, Seconds
    from ._engine import Engine

    ScopeLike = Union[str, bytes, Scope]
    Verdict = Literal["final", "retryable", "unknown"]


class Serializer(Protocol):
    """Makes bytes of a task's result, and the result of the bytes."""

    def dumps(self, value: Any, /) -> bytes: ...
    def loads(self, data: bytes, /) -> Any: ...


class FailureReplayedError(OncegateError, RuntimeError):
    """An earlier run failed for good, and this is its duplicate: the work was not run again."""

    error_class: str
    """The class of the error that the run failed with: ``"shop.CardDeclined"``."""

    def __init__(self, message: str, error_class: str = "") -> None:
        super().__init__(message, name="FailureReplayed")
        self.error_class = error_class


@dataclasses.dataclass(frozen=True)
class Once:
    """How the runs of a task are told apart, and what becomes of them.

    What is ``None`` is as the application's settings say, and else as this page says.
    """

    key: Union[Literal["arguments", "task_id"], Callable[..., Union[str, bytes]], None] = None
    """What makes two messages one task. ``"arguments"``, the default: equal arguments. A function
    of the arguments: what it returns, 1 to 255 bytes. ``"task_id"``: only a message that is
    delivered again is a duplicate."""
    scope: Union[ScopeLike, Callable[..., ScopeLike], None] = None
    """The tenant, or a function of the arguments that tells it."""
    operation: str | None = None
    """The task's name, unless this says another: two tasks of one operation are duplicates."""
    dedup_window: Seconds | None = None
    """How long the result answers duplicates: a day. After that the same task runs again."""
    lease_duration: Seconds | None = None
    """30 seconds. A lease is renewed while its task runs: this is how soon another one may run when
    a process hangs or is stopped. One that dies is noticed at once."""
    on_in_progress: Literal["requeue", "ignore"] | None = None
    """What a message does while its duplicate runs. ``"requeue"``, the default: it is put back, and
    gets the result when that is there. ``"ignore"``: it is acknowledged, and nobody hears of it."""
    requeue_delay: Seconds | None = None
    """After how long it looks again. By default after half a second, then twice that each time, up
    to ten seconds and a third of the broker's visibility timeout."""
    on_error: Union[Verdict, Callable[[Exception], Verdict], None] = None
    """What an exception of the task means, or a function that says so. ``"retryable"``, the
    default: a duplicate runs again. ``"final"``: it gets :class:`FailureReplayedError`.
    ``"unknown"``: it is never run again, until :meth:`Engine.resolve` says what is true."""
    compare_arguments: bool | None = None
    """Whether a duplicate by a key function must have equal arguments. It must, by default: another
    amount under the same key is refused with :class:`MismatchedError`."""
    serializer: Serializer | None = None
    """JSON, unless this is given."""

    def over(self, defaults: Once) -> Once:
        """These settings, and the defaults where these say nothing."""
        given = {
            field.name: value
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) is not None
        }
        return dataclasses.replace(defaults, **given)


class Provider:
    """An engine, or a function that opens it when the first task runs."""

    def __init__(self, engine: Engine | Callable[[], Engine]) -> None:
        self._engine = engine
        self._lock = threading.Lock()

    def engine(self) -> Engine:
        """The engine."""
        if not callable(self._engine):
            return self._engine
        with self._lock:
            if callable(self._engine):
                self._engine = self._engine()
        return self._engine


@dataclasses.dataclass(frozen=True)
class Call:
    """One task with its arguments, as a message asks for it."""

    name: str
    function: Callable[..., object]
    task_id: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def request(self, once: Once) -> Request:
        """Its identity for the engine."""
        operation = once.operation or self.name
        scope = self.scope(once)
        if once.key == "task_id":
            return Request(operation, self.task_id, scope=scope)
        if not callable(once.key):
            return Request(operation, self._arguments(arguments_key), scope=scope)
        key = once.key(*self.args, **self.kwargs)
        if once.compare_arguments is False:
            return Request(operation, key, scope=scope)
        payload = Payload.raw(self._arguments(arguments_bytes))
        return Request(operation, key, scope=scope, payload=payload)

    def scope(self, once: Once) -> ScopeLike:
        """The tenant."""
        scope = once.scope(*self.args, **self.kwargs) if callable(once.scope) else once.scope
        if scope is None:
            raise InvalidInputError("scope: it is required", name="InvalidScope", field="scope")
        return scope

    def _arguments(self, made: Callable[..., Any]) -> Any:
        return made(self.function, self.args, self.kwargs)


FINISHED = 200
"""The status of an outcome whose bytes are the result."""
FINISHED_IGNORED = 204
"""The task has run, and has no result of its own to tell."""
FAILED = 500
"""It has failed for good; the bytes say how."""


def finished(value: Any, serializer: Serializer) -> Outcome:
    """The outcome of a run that returned ``value``."""
    try:
        body = serializer.dumps(value)
    except Exception:
        # The work is done, so that it must not run again, whether its result can be kept or not.
        return Outcome.withheld(FINISHED)
    return Outcome(FINISHED, body)


def failure(error: Exception, once: Once) -> Failure:
    """How a run ends that raised ``error``."""
    verdict = once.on_error(error) if callable(once.on_error) else once.on_error
    if verdict == "final":
        kind = type(error)
        told = {"class": f"{kind.__module__}.{kind.__qualname__}", "message": str(error)}
        return Failure.terminal(Outcome(FAILED, json.dumps(told).encode()))
    return Failure.unknown() if verdict == "unknown" else Failure.retryable()


def result_of(outcome: Outcome, serializer: Serializer) -> Any:
    """What a duplicate returns; a failure for good is raised."""
    if outcome.status == FAILED:
        told = json.loads(outcome.body)
        kind = told["class"]
        raise FailureReplayedError(f"an earlier run failed: {kind}: {told['message']}", kind)
    return serializer.loads(outcome.body)


def seconds(duration: Seconds) -> float:
    """A duration in seconds."""
    return duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
