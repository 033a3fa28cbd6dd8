"""What tasks have in common, whichever framework runs them: settings and identity."""

from __future__ import annotations

import dataclasses
import inspect
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Union

from ._arguments import canonical, key_of
from ._core import Payload, Request
from ._errors import InvalidInputError

if TYPE_CHECKING:
    from ._core import Scope, Seconds
    from ._engine import Engine
    from ._judge import ErrorPolicy
    from ._serialize import Serializer

    ScopeLike = Union[str, bytes, Scope]


@dataclasses.dataclass(frozen=True)
class Once:
    """How the runs of a task are told apart, and what becomes of them.

    What is ``None`` is as the application's settings say, and else as this page says.
    """

    key: Literal["arguments", "task_id"] | Callable[..., object] | None = None
    """What makes two messages one task. ``"arguments"``, the default: equal arguments. A function
    of the arguments: what it returns. ``"task_id"``: only a message that is delivered again is a
    duplicate."""
    scope: ScopeLike | Callable[..., ScopeLike] | None = None
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
    """After how long it looks again at the latest. By default it looks after half a second, then
    after twice that each time, up to ten seconds and a third of the broker's visibility timeout."""
    errors: ErrorPolicy | None = None
    """What exceptions of the task mean: by default that a duplicate may run again."""
    compare_arguments: bool | None = None
    """Whether a duplicate by a key function must have equal arguments. It must, by default: another
    amount under the same key is refused with :class:`MismatchedError`."""
    serializer: Serializer | None = None
    """Makes bytes of results: JSON, unless this is given."""

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
            return Request(operation, key_of(self.task_id), scope=scope)
        if not callable(once.key):
            return Request(operation, key_of(self.arguments()), scope=scope)
        key = key_of(once.key(*self.args, **self.kwargs))
        if once.compare_arguments is False:
            return Request(operation, key, scope=scope)
        payload = Payload.raw(canonical(self.arguments()))
        return Request(operation, key, scope=scope, payload=payload)

    def scope(self, once: Once) -> ScopeLike:
        """The tenant."""
        scope = once.scope(*self.args, **self.kwargs) if callable(once.scope) else once.scope
        if scope is None:
            raise InvalidInputError("scope: it is required", name="InvalidScope", field="scope")
        return scope

    def arguments(self) -> dict[str, Any]:
        """The arguments by the names of their parameters."""
        bound = inspect.signature(self.function).bind(*self.args, **self.kwargs)
        bound.apply_defaults()
        return dict(bound.arguments)


def seconds(duration: Seconds | None) -> float:
    """A duration in seconds."""
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    return float(duration or 0.0)
