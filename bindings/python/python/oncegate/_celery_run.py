"""One message of a Celery task, from its delivery to its end.

Two records are kept. One is the task's, by its key: it has the result. The other is the delivery's,
by task id and retry: it is finished when Celery has finished with the message, has stored the
result and sent what follows in a chain. So a message that is delivered again is done if its
delivery is, whatever came of it; and if a worker died in between, only the rest is done.
"""

from __future__ import annotations

import dataclasses
import hashlib
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NoReturn

from celery import signals
from celery.exceptions import Ignore, Reject, Retry
from celery.utils.log import get_logger
from kombu.utils import json

from ._celery_check import visibility_timeout
from ._core import Admitted, Failure, InProgress, Outcome, OutcomeGone, Replayed, Request, Scheduled
from ._errors import LOST, FencedError, OncegateError, TierUnavailableError
from ._judge import ErrorPolicy
from ._once import Call, Once, Provider, seconds
from ._run import bound_lease, declined, finish, replayed, settle
from ._serialize import SerializationError

if TYPE_CHECKING:
    from ._core import Admission, Lease
    from ._engine import Engine

logger = get_logger("oncegate.celery")

LOOKED_AGAIN = "oncegate_looks"
"""The header that counts how often a message was put back."""
FIRST_DELAY = 0.5
LONGEST_DELAY = 10.0
FINISHED = 200
FINISHED_IGNORED = 204
"""The status of a task that has run, and has no result of its own to tell."""
FAILED = 500
ERRORS = ErrorPolicy()
_NOTHING = object()


class CeleryJsonSerializer:
    """JSON as Celery writes it: dates, decimals and UUIDs come back as what they were."""

    def dumps(self, value: Any) -> bytes:
        """The bytes of a result."""
        return bytes(json.dumps(value).encode())

    def loads(self, data: bytes) -> Any:
        """The result of the bytes."""
        return json.loads(data)


DEFAULT_SERIALIZER = CeleryJsonSerializer()


@dataclasses.dataclass(frozen=True)
class Binding:
    """What an application has from :func:`oncegate.celery.configure`."""

    provider: Provider
    once: Once


def run_of(request: Any) -> Run | None:
    """The run that answers a message, if one does."""
    return getattr(request, "oncegate_run", None)


class Run:
    """What a worker does with one message.

    Celery's own types know little of what is used here of a task and its request.
    """

    def __init__(
        self,
        task: Any,
        request: Any,
        engine: Engine,
        once: Once,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.task = task
        self.request = request
        self.engine = engine
        self.once = once
        self.name = f"{task.name}[{request.id}]"
        self.serializer = once.serializer or DEFAULT_SERIALIZER
        self.call = Call(task.name, task.run, str(request.id), args, kwargs)
        self.lease: Lease | None = None
        self.delivery: Lease | None = None
        self.put_off: Any = None
        self.timeout = visibility_timeout(task.app)
        request.oncegate_run = self

    def answer(self) -> Any:
        """The result: of the body, or of a duplicate that has run."""
        if not self.request.is_eager:
            self.take_delivery()
        admission = self.begin(self.call.request(self.once))
        if isinstance(admission, Admitted):
            return self.work(admission.lease)
        if isinstance(admission, Replayed):
            logger.info("%s is a duplicate: answered", self.name)
            if admission.status == FINISHED_IGNORED:
                raise Ignore("a duplicate was ignored by its task")
            return replayed(admission, self.serializer)
        self.give_way(admission)

    # -------------------------------------------------------------- the message

    def take_delivery(self) -> None:
        """Makes this process the one that sees to the message."""
        digest = hashlib.sha256(f"{self.request.retries or 0}/{self.request.id}".encode())
        scope = self.call.scope(self.once)
        window = max(seconds(self.once.dedup_window), 2 * (self.timeout or 0.0))
        request = Request("celery delivery", digest.hexdigest(), scope=scope)
        admission = self.begin(request, dedup_window=window, on_lapse="reclaim")
        if isinstance(admission, Admitted):
            self.delivery = admission.lease
            self.delivery.keep()
        elif isinstance(admission, (Replayed, OutcomeGone)):
            if self.came_again():
                logger.info("%s was done before", self.name)
                raise Ignore("the message was delivered again, and is done")
            # Somebody sent a new message under an old id: the task's record decides alone.
        else:
            self.give_way(admission)

    def came_again(self) -> bool:
        """Whether the message was delivered before, rather than sent with an id of old."""
        info: dict[str, Any] = self.request.delivery_info or {}
        return bool(info.get("redelivered")) or self.looks() > 0

    def looks(self) -> int:
        """How often it was put back."""
        return int(getattr(self.request, LOOKED_AGAIN, 0) or 0)

    def end_delivery(self, status: int | None) -> None:
        """Celery is done with the message; ``None``: it is not, and somebody else may be."""
        delivery, self.delivery = self.delivery, None
        if delivery is None or delivery.ended:
            return
        with suppress(*LOST):
            if status is None:
                delivery.abandon()
            else:
                delivery.complete(Outcome(status))

    # -------------------------------------------------------------- somebody else runs it

    def begin(self, request: Request, **options: Any) -> Admission:
        """Asks the engine; what it cannot answer now is asked again later."""
        options.setdefault("dedup_window", self.once.dedup_window)
        try:
            return self.engine.begin(
                request, wait=0, lease_duration=self.once.lease_duration, **options
            )
        except OncegateError as error:
            if not error.retriable or self.request.is_eager:
                raise
            logger.warning("%s waits: %s", self.name, error)
            self.put_back(error.retry_after)

    def give_way(self, admission: Admission) -> NoReturn:
        """The body does not run in answer to this message, for now or for good."""
        busy = isinstance(admission, InProgress)
        if self.request.is_eager or not isinstance(admission, (InProgress, Scheduled)):
            raise declined(admission)
        # A retry's own message is the one that is going to run: it is never dropped.
        if self.once.on_in_progress == "ignore" and (busy or not self.request.retries):
            logger.info("%s is a duplicate: ignored", self.name)
            raise Ignore("a duplicate runs, or is going to")
        self.put_back(admission.due_in if isinstance(admission, Scheduled) else None)

    def put_back(self, due_in: float | None) -> NoReturn:
        """Sends the message again, to look later, and acknowledges this one."""
        delay = self.delay(due_in)
        headers: dict[str, Any] = {**(self.request.headers or {}), LOOKED_AGAIN: self.looks() + 1}
        again: Any = self.task.signature_from_request(
            self.request, countdown=delay, retries=self.request.retries, headers=headers
        )
        try:
            again.apply_async()
        except Exception as error:
            if not self.task.acks_late:
                raise
            raise Reject(error, requeue=True) from error
        self.end_delivery(None)
        logger.info("%s looks again in %.2fs", self.name, delay)
        raise Ignore("put back until its duplicate is done")

    def delay(self, due_in: float | None) -> float:
        """How long until it looks again: less than after what the broker would deliver it again."""
        longest = LONGEST_DELAY
        if self.timeout is not None:
            longest = min(longest, self.timeout / 3)
        if self.once.requeue_delay is not None:
            longest = min(longest, seconds(self.once.requeue_delay))
        if due_in is None:
            due_in = FIRST_DELAY * 2.0 ** min(self.looks(), 10)
        return min(max(due_in, 0.0), longest)

    # -------------------------------------------------------------- this one runs it

    def work(self, lease: Lease) -> Any:
        """Runs the body; whatever comes of it, the record says it."""
        self.lease = lease
        value: Any = _NOTHING
        try:
            lease.keep(self.once.lease_duration)
            with bound_lease(lease):
                value = self.task.run(*self.call.args, **self.call.kwargs)
            self.finish(lease, value)
        except BaseException as error:
            if not lease.ended:
                self.resolve(lease, error, value)
            raise
        return value

    def finish(self, lease: Lease, value: Any) -> None:
        """The body has returned."""
        if self.put_off is not None:
            self.retry_later(lease, self.put_off)
            return
        try:
            finish(lease, value, self.serializer)
        except SerializationError:
            # The record is finished. Whoever wants the result has to hear that there is none.
            # The attribute itself is there in any case, whether it was asked for or not.
            request: dict[str, Any] = self.request.__dict__
            ignored = request.get("ignore_result")
            if not (self.task.ignore_result if ignored is None else ignored):
                raise
        except FencedError:
            logger.error("%s went on beyond its lease, and another attempt was let in", self.name)
            if self.request.is_eager or self.once.on_in_progress == "ignore":
                raise
            self.put_back(None)
        except TierUnavailableError as error:
            # It has run, and the store hears of it when it can be told: as where that is so within
            # the lease. A message that looked again before might be let in, and run it again.
            logger.warning("%s has run beyond its lease: %s", self.name, error)

    def resolve(self, lease: Lease, error: BaseException, value: Any) -> None:
        """The body has raised, or a time limit struck when it had returned."""
        with suppress(*LOST):
            if value is not _NOTHING:
                self.finish(lease, value)
            elif self.put_off is not None:
                self.retry_later(lease, self.put_off)
            elif isinstance(error, Retry):
                # Raised by hand, or eager: whoever raised it sees to the next attempt.
                eager = self.request.is_eager
                lease.fail(Failure.retryable(0 if eager else due_in(error)))
            elif isinstance(error, Ignore):
                lease.complete(Outcome(FINISHED_IGNORED))
            elif isinstance(error, Reject):
                lease.fail(Failure.retryable())
            else:
                settle(lease, error, self.once.errors or ERRORS)

    def retry_later(self, lease: Lease, put_off: Any) -> None:
        """Ends the attempt, and then sends the message of the next one: whether or not the end
        counts, since without it nobody would look again."""
        with suppress(*LOST):
            lease.fail(Failure.retryable(due_in(put_off)))
        try:
            put_off.sig.apply_async()
        except Exception as error:
            # As Celery does: the message goes where the broker puts what is rejected.
            raise Reject(error, requeue=False) from error


def due_in(put_off: Any) -> float:
    """Seconds until a retry is due."""
    when = put_off.when
    if isinstance(when, datetime):
        now = datetime.now(timezone.utc) if when.tzinfo else datetime.now()
        return max((when - now).total_seconds(), 0.0)
    return max(float(when or 0.0), 0.0)


@signals.task_success.connect(weak=False)  # untyped
def _succeeded(sender: Any, **_: object) -> None:
    """The result is stored, and what follows is sent."""
    run = run_of(sender.request)
    if run is not None:
        run.end_delivery(FINISHED)


@signals.task_postrun.connect(weak=False)  # untyped
def _over(sender: Any, state: str | None = None, **_: object) -> None:
    """Celery has done with the message what it does."""
    run = run_of(sender.request)
    if run is not None:
        ends = {"FAILURE": FAILED, "RETRY": FINISHED, "IGNORED": FINISHED}
        # Else it was rejected, interrupted, or has succeeded and could not say so.
        run.end_delivery(ends.get(state or ""))
