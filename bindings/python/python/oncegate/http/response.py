"""Response: what a handler answers, held back until it may go to its client."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from .._core import Outcome
from .._errors import OncegateError
from .gate import failure, has_body, new_tuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._core import Lease, ResponseHead
    from .gate import Gate
    from .problem import Answer


class BrokenOffError(Exception):
    """The client has a part of a response that may not be finished: break the connection.

    Another attempt took over, and two clients must not hold two results of one request; or the
    handler sent less or more than it had announced.
    """


class Piece(NamedTuple):
    """What goes to the client."""

    head: tuple[int, list[tuple[bytes, bytes]]] | None
    """Status and headers, with the first piece."""
    body: bytes
    more: bool


class Response:
    """Takes what a handler answers, ends the attempt by it, and tells what the client gets.

    A response in one piece goes to its client when its record has ended. One in more pieces goes
    as it comes, all but its end, so that nobody has a whole response that was not stored; or it is
    held back, as the settings say.
    """

    __slots__ = (
        "_gate",
        "_head",
        "_head_sent",
        "_held",
        "_is_dropped",
        "_is_final",
        "_is_passing",
        "_kept",
        "_lease",
        "_length",
        "_size",
        "ended",
        "has_trailers",
        "headers",
        "is_done",
        "is_endless",
        "status",
    )

    def __init__(self, gate: Gate, lease: Lease) -> None:
        self._gate = gate
        self._lease = lease
        self.status = 0
        self.ended = False
        """Whether the attempt has ended."""
        self.is_done = False
        """Whether the client gets nothing more."""
        self.is_endless = False
        """Whether it is a stream of events, for whose end nobody can wait."""
        self._is_dropped = False
        self._head_sent = False

    def start(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], has_trailers: bool = False
    ) -> None:
        """Status and headers are known. They may change until the first piece is taken."""
        self.status = status
        self.headers = headers = list(headers)
        self.has_trailers = has_trailers
        self._held: list[bytes] = []
        self._size = 0
        self._is_passing = False
        gate = self._gate
        self._head: ResponseHead = gate.intake.read_head(headers)
        self._length = self._head.length
        self.is_endless = self._head.is_events
        self._is_final = gate.judge(status) == "final"
        self._kept: list[bytes] | None = [] if self._is_final else None
        if self.is_endless or (self._length or 0) > gate.settings.response_limit:
            self._let_go()

    def take(self, data: bytes, more: bool) -> Piece | None:
        """A piece of the body, and what of it goes to the client now.

        Raises :class:`BrokenOffError`.
        """
        if self._is_dropped:
            return self._problem_now()
        self._size += len(data)
        self._held.append(data)
        settings = self._gate.settings
        is_over = self._size > settings.response_limit
        if self._kept is not None:
            if is_over:
                if not self._let_go():
                    return self._problem_now()
            else:
                self._kept.append(data)
        if not more:
            return self._last()
        is_held = self._size == self._length or (settings.hold_streams and not is_over)
        return None if is_held and not self._is_passing else self._pass(True)

    @property
    def head_sent(self) -> bool:
        """Whether the client has status and headers."""
        return self._head_sent

    @property
    def has_length(self) -> bool:
        """Whether it says how long it is."""
        return self._length is not None

    def head_at_once(self) -> tuple[int, list[tuple[bytes, bytes]]] | None:
        """The head, where it need not wait for the first piece of the body."""
        if not self.is_endless or self._is_dropped or self._head_sent:
            return None
        self._head_sent = True
        return self.status, self.headers

    def broke(self) -> None:
        """The handler raised, or returned without a whole response."""
        if not self.ended:
            self.ended = True
            # An effect that is unknown does not become known by that.
            is_unknown = self.status and self._gate.judge(self.status) == "unknown"
            # Nobody is told, whether or not another attempt took over meanwhile.
            with suppress(OncegateError):
                self._lease.fail_soon(failure("unknown") if is_unknown else self._gate.on_error)

    def left(self) -> None:
        """The handler was cancelled, or its client has left: the record is resolved by policy."""
        if not self.ended:
            self.ended = True
            with suppress(OncegateError):
                if self.status and not self._is_final:
                    self._lease.fail_soon(failure(self._gate.judge(self.status)))
                else:
                    self._lease.release()

    def aborted(self) -> Answer | None:
        """What the client is told of a handler that returned without a whole response."""
        if self._head_sent or self.is_done:
            return None
        self.is_done = True
        return self._gate.problems.answer("aborted")

    def _last(self) -> Piece | None:
        """The body is whole: ends the attempt."""
        if self._length is not None and self._size != self._length and has_body(self.status):
            self.broke()
            self._refuse(self._gate.problems.answer("aborted"))
            return self._problem_now()
        if not self.ended:
            self.ended = True
            try:
                if self._is_final:
                    self._complete()
                else:
                    self._lease.fail(failure(self._gate.judge(self.status)))
            except OncegateError as error:
                # What is no result cannot differ from another one.
                if self._is_final or not self._head_sent:
                    self._refuse(self._gate.refusal(error))
                    return self._problem_now()
        return self._pass(False)

    def _complete(self) -> None:
        kept = self._kept
        # Trailers may hold the result itself, and cannot be kept.
        if kept is None or self.has_trailers:
            self._lease.complete(Outcome.withheld(self.status))
        else:
            body = kept[0] if len(kept) == 1 else b"".join(kept)
            self._gate.intake.complete(self._lease, self.status, body, self._head)

    def _let_go(self) -> bool:
        """It cannot be kept. One that is final finishes its record before its body has ended:
        nothing runs again. One that is not keeps its lease, since its handler may work on.
        False: another attempt took over.
        """
        self._kept = None
        self._is_passing = True
        if self._is_final and not self.ended:
            self.ended = True
            try:
                self._lease.complete(Outcome.withheld(self.status))
            except OncegateError as error:
                self._refuse(self._gate.refusal(error))
                return False
        return True

    def _refuse(self, answer: Answer) -> None:
        """The client gets this instead."""
        self._is_dropped = True
        self.has_trailers = False
        self.status, self.headers, body = answer
        self._held = [body]

    def _problem_now(self) -> Piece | None:
        if self.is_done:
            return None
        self.is_done = True
        if self._head_sent:
            raise BrokenOffError("the response may not be finished: its attempt was not stored")
        return self._pass(False)

    def _pass(self, more: bool) -> Piece:
        held, self._held = self._held, []
        head = None
        if not self._head_sent:
            self._head_sent = True
            head = (self.status, self.headers)
        self.is_done = not more
        body = held[0] if len(held) == 1 else b"".join(held)
        return new_tuple(Piece, (head, body, more))
