"""Dramatiq actors that run once, however often their messages are delivered.

::

    broker.add_middleware(OnceMiddleware(engine, scope=Scope.SINGLE_TENANT))

    @dramatiq.actor(once=True)
    def charge(order: str, cents: int) -> None: ...

A duplicate, which is a message with equal arguments unless :class:`Once` says otherwise, does not
run: it gets the result of the one that did. While that one runs it is put back, and looks again
later. Dramatiq's retries run the same record again, as its next attempt.
"""

from __future__ import annotations

import contextvars
import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from dramatiq.middleware import Middleware, SkipMessage

from ._core import Admitted, InProgress, Scheduled
from ._errors import OncegateError
from ._judge import ErrorPolicy
from ._once import Call, Once, Provider, seconds
from ._run import bound_lease, declined, finish, replayed, settle
from ._serialize import JsonSerializer

if TYPE_CHECKING:
    from dramatiq import Actor, Broker
    from dramatiq.broker import MessageProxy

    from ._core import Admission, Lease
    from ._engine import Engine
    from ._once import ScopeLike

__all__ = ["Once", "OnceMiddleware"]

logger = logging.getLogger("oncegate.dramatiq")

LOOKED_AGAIN = "oncegate_looks"
"""The option of a message that counts how often it was put back."""
FIRST_DELAY = 0.5
LONGEST_DELAY = 10.0
ERRORS = ErrorPolicy()
DEFAULTS = Once(
    key="arguments",
    dedup_window=86_400.0,
    lease_duration=30.0,
    on_in_progress="requeue",
    compare_arguments=True,
    serializer=JsonSerializer(),
)

_message: contextvars.ContextVar[MessageProxy | None] = contextvars.ContextVar(
    "oncegate_dramatiq_message", default=None
)


class OnceMiddleware(Middleware):
    """Gives actors with the option ``once`` their engine.

    The option is ``True``, or a :class:`Once` with the actor's own settings. Add the middleware
    before the actors are declared. The engine is shared among the worker's processes by a ``path``,
    since Dramatiq's processes load the application themselves; it may be a function, which opens
    the engine when the first message comes.

    A call of the actor as a function runs the body and touches no record.
    """

    def __init__(
        self,
        engine: Engine | Callable[[], Engine],
        *,
        scope: ScopeLike | Callable[..., ScopeLike],
        once: Once | None = None,
    ) -> None:
        self._provider = Provider(engine)
        self._once = Once(scope=scope).over((once or Once()).over(DEFAULTS))

    @property
    def actor_options(self) -> set[str]:
        """The names that ``@actor`` takes for this middleware."""
        return {"once"}

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """The message that the thread works on."""
        _message.set(message)

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        """It is over."""
        _message.set(None)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        """It is over, and was not run."""
        _message.set(None)

    def after_declare_actor(self, broker: Broker, actor: Actor[Any, Any]) -> None:
        """Protects the actor's function."""
        own = actor.options.get("once")
        if not own:
            return
        once = own.over(self._once) if isinstance(own, Once) else self._once
        function = actor.fn

        @functools.wraps(function)
        def protected(*args: Any, **kwargs: Any) -> Any:
            message = _message.get()
            if message is None or message.actor_name != actor.actor_name:
                return function(*args, **kwargs)
            # A call of the actor within its own body is a call.
            reset = _message.set(None)
            try:
                call = Call(actor.actor_name, function, message.message_id, args, kwargs)
                return _Run(broker, message, self._provider.engine(), once, call).answer()
            finally:
                _message.reset(reset)

        actor.fn = protected


class _Run:
    """What a worker does with one message."""

    def __init__(
        self, broker: Broker, message: MessageProxy, engine: Engine, once: Once, call: Call
    ) -> None:
        self.broker: Any = broker
        self.message = message
        self.engine = engine
        self.once = once
        self.call = call
        self.serializer = once.serializer or JsonSerializer()

    def answer(self) -> Any:
        """The result: of the body, or of a duplicate that has run."""
        try:
            admission = self.engine.begin(
                self.call.request(self.once),
                wait=0,
                lease_duration=self.once.lease_duration,
                dedup_window=self.once.dedup_window,
            )
        except OncegateError as error:
            if not error.retriable:
                raise
            self.put_back(error.retry_after)
        if isinstance(admission, Admitted):
            return self.work(admission.lease)
        if isinstance(admission, (InProgress, Scheduled)):
            self.give_way(admission)
        return replayed(admission, self.serializer)

    def work(self, lease: Lease) -> Any:
        """Runs the body; whatever comes of it, the record says it."""
        try:
            lease.keep(self.once.lease_duration)
            with bound_lease(lease):
                value = self.call.function(*self.call.args, **self.call.kwargs)
        except BaseException as error:
            settle(lease, error, self.once.errors or ERRORS)
            raise
        return finish(lease, value, self.serializer)

    def give_way(self, admission: Admission) -> NoReturn:
        """Somebody else runs it."""
        if self.once.on_in_progress == "ignore":
            raise SkipMessage("a duplicate runs, or is going to") from declined(admission)
        self.put_back(admission.due_in if isinstance(admission, Scheduled) else None)

    def put_back(self, due_in: float | None) -> NoReturn:
        """Sends the message again, to look later, and is done with this one."""
        looks = int(self.message.options.get(LOOKED_AGAIN, 0))
        longest = LONGEST_DELAY
        if self.once.requeue_delay is not None:
            longest = min(longest, seconds(self.once.requeue_delay))
        if due_in is None:
            due_in = FIRST_DELAY * 2.0 ** min(looks, 10)
        delay = min(max(due_in, 0.001), longest)
        again = self.message.copy(options={LOOKED_AGAIN: looks + 1})
        self.broker.enqueue(again, delay=int(delay * 1000))
        logger.info("%s looks again in %.3fs", self.message.message_id, delay)
        # Its result is the one that the next look brings, and not that it was skipped.
        self.message.options["store_results"] = False
        raise SkipMessage("put back until its duplicate is done")
