"""Waits on an event loop: one descriptor for all of a loop's, and no thread."""

from __future__ import annotations

import asyncio
import os
import weakref
from typing import TYPE_CHECKING, Any

from . import _core
from ._core import Admitted
from ._errors import NoEventLoopError

if TYPE_CHECKING:
    from ._core import Admission, Prepared, Request

_loops: weakref.WeakKeyDictionary[_core.Engine, dict[asyncio.AbstractEventLoop, LoopWaits]]
_loops = weakref.WeakKeyDictionary()


def _forget_in_child() -> None:
    """The loops, and their descriptors, are the parent's."""
    _loops.clear()


os.register_at_fork(after_in_child=_forget_in_child)


class LoopWaits:
    """What one event loop waits for, of one engine."""

    def __init__(self, engine: _core.Engine, loop: asyncio.AbstractEventLoop) -> None:
        self._native = _core.Waits(engine)
        self._loop = loop
        self._waiting: dict[int, _Waiting] = {}
        self._last = 0

    async def begin(
        self, request: Request | Prepared, limit: float, options: dict[str, Any]
    ) -> Admission:
        """The answer of an engine with a tier; a running attempt is waited for as long as that."""
        answer = await self.ask(request, limit, options) if limit > 0 else None
        while answer is None:
            answer = await self.ask(request, None, options, joins=False)
        return answer

    async def ask(
        self,
        request: Request | Prepared,
        limit: float | None,
        options: dict[str, Any],
        joins: bool = True,
    ) -> Admission | None:
        """The answer; ``None``: the limit has passed.

        ``joins``: it waits for a running attempt; else it waits for a tier alone.
        """
        self._last += 1
        number = self._last
        asked = self._native.ask(number, request, joins=joins, **options)
        answer = asked.poll()
        if answer is not None:
            return answer
        future: asyncio.Future[Admission | None] = self._loop.create_future()
        waiting = _Waiting(self._loop, asked, future, limit)
        if not self._waiting:
            self._loop.add_reader(self._native.fileno(), self._look)
        self._waiting[number] = waiting
        try:
            # It may have been woken between the poll and the reader.
            self._look()
            return await future
        except BaseException:
            if future.done() and not future.cancelled() and future.exception() is None:
                # Admitted to somebody who has left: it never started.
                answer = future.result()
                if isinstance(answer, Admitted):
                    answer.lease.fail_soon()
            raise
        finally:
            waiting.end()
            del self._waiting[number]
            if not self._waiting:
                self._loop.remove_reader(self._native.fileno())

    def _look(self) -> None:
        for number in self._native.ready():
            waiting = self._waiting.get(number)
            if waiting is not None:
                waiting.look()


class _Waiting:
    """One request that is waited for."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        asked: _core.Wait,
        future: asyncio.Future[Admission | None],
        limit: float | None,
    ) -> None:
        self._loop = loop
        self._asked = asked
        self._future = future
        self._over = None if limit is None else loop.time() + limit
        self._timer: asyncio.TimerHandle | None = None
        self._set_timer()

    def look(self) -> None:
        """Polls it, and hands its answer over."""
        if self._future.done():
            return
        try:
            answer = self._asked.poll()
        except Exception as error:
            self._future.set_exception(error)
            return
        if answer is not None:
            self._future.set_result(answer)
        elif self._over is not None and self._loop.time() >= self._over:
            self._future.set_result(None)
        else:
            self._set_timer()

    def end(self) -> None:
        """Leaves the queue, where it is in it still."""
        if self._timer is not None:
            self._timer.cancel()
        self._asked.cancel()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        again = self._asked.looks_again_in()
        at = None if again is None else self._loop.time() + again
        if self._over is not None and (at is None or self._over < at):
            at = self._over
        if at is not None:
            self._timer = self._loop.call_at(at, self.look)


def running_loop() -> asyncio.AbstractEventLoop:
    """The loop that runs here. ``NoEventLoopError``: none of asyncio's does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise NoEventLoopError(
            "a wait needs a running event loop of asyncio, and there is none here: under trio call "
            "the blocking method in a thread, as by trio.to_thread.run_sync, or do not wait",
            name="NoEventLoop",
            field="wait",
        ) from None


def waits_of(engine: _core.Engine) -> LoopWaits:
    """Those of the loop that runs."""
    loop = running_loop()
    of_engine = _loops.setdefault(engine, {})
    waits = of_engine.get(loop)
    if waits is None:
        for other in [other for other in of_engine if other.is_closed()]:
            del of_engine[other]
        waits = of_engine[loop] = LoopWaits(engine, loop)
    return waits
