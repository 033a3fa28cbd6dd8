"""Attempts on an event loop: two descriptors for all who wait on a loop, and no thread."""

from __future__ import annotations

import asyncio
import os
import weakref
from typing import TYPE_CHECKING

from . import _core
from ._waits import running_loop

if TYPE_CHECKING:
    from ._core import Attempt

_loops: weakref.WeakKeyDictionary[_core.Engine, dict[asyncio.AbstractEventLoop, LoopAttempts]]
_loops = weakref.WeakKeyDictionary()


def _forget_in_child() -> None:
    """The loops, and their descriptors, are the parent's."""
    _loops.clear()


os.register_at_fork(after_in_child=_forget_in_child)


class LoopAttempts:
    """Those of one event loop who wait for attempts of one engine."""

    def __init__(self, native: _core.Waits, loop: asyncio.AbstractEventLoop) -> None:
        self._native = native
        self._loop = loop
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._due: _core.Due | None = None
        self._last = 0

    async def next(self, engine: _core.Engine, limit: float | None) -> Attempt | None:
        """The next attempt; ``None``: the limit has passed.

        An attempt is taken by whoever goes on with it, in the step in which it goes on. So one who
        is cancelled has none, and what it was woken for is another's.
        """
        self._last += 1
        number = self._last
        over = None if limit is None else self._loop.time() + limit
        place = self._native.attempt(number)
        if not self._waiting:
            self._listen(engine)
        self._waiting[number] = woken = self._loop.create_future()
        try:
            while True:
                attempt = place.poll()
                if attempt is not None or (over is not None and self._loop.time() >= over):
                    return attempt
                timer = None if over is None else self._loop.call_at(over, _wake, woken)
                try:
                    await woken
                finally:
                    if timer is not None:
                        timer.cancel()
                self._waiting[number] = woken = self._loop.create_future()
        finally:
            place.cancel()
            del self._waiting[number]
            if not self._waiting:
                self._rest()

    def _listen(self, engine: _core.Engine) -> None:
        # Nobody looks at it while nobody waits, and so there is none then: the engine would leave
        # to it what is due.
        self._due = _core.Due(engine)
        self._loop.add_reader(self._native.fileno(), self._look)
        descriptor = self._due.fileno()
        if descriptor is not None:
            self._loop.add_reader(descriptor, self._due.advance)

    def _rest(self) -> None:
        self._loop.remove_reader(self._native.fileno())
        due, self._due = self._due, None
        if due is not None:
            descriptor = due.fileno()
            if descriptor is not None:
                self._loop.remove_reader(descriptor)
            due.close()

    def _look(self) -> None:
        for number in self._native.ready():
            woken = self._waiting.get(number)
            if woken is not None:
                _wake(woken)


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


def attempts_of(engine: _core.Engine) -> LoopAttempts:
    """Those of the loop that runs."""
    loop = running_loop()
    of_engine = _loops.setdefault(engine, {})
    attempts = of_engine.get(loop)
    if attempts is None:
        for other in [other for other in of_engine if other.is_closed()]:
            del of_engine[other]
        attempts = of_engine[loop] = LoopAttempts(_core.Waits(engine), loop)
    return attempts
