"""Ends of attempts on an event loop: one descriptor for all of a loop's, and no thread."""

from __future__ import annotations

import asyncio
import os
import weakref
from typing import TYPE_CHECKING, Any

from . import _core
from ._core import Failure, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._core import Ending, Lease

_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopEndings]
_loops = weakref.WeakKeyDictionary()


def _forget_in_child() -> None:
    """The loops, and their descriptors, are the parent's."""
    _loops.clear()


os.register_at_fork(after_in_child=_forget_in_child)


class LoopEndings:
    """The ends that one event loop waits for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._native = _core.Endings()
        self._loop = weakref.ref(loop)
        self._waiting: dict[int, tuple[Ending, asyncio.Future[str]]] = {}
        self._last = 0

    async def told(self, begin: Callable[[_core.Endings, int], Ending]) -> str:
        """What came of it. Whoever is cancelled meanwhile has ended the attempt all the same."""
        self._last += 1
        number = self._last
        ending = begin(self._native, number)
        answer = ending.poll()
        if answer is not None:
            return answer
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()
        if not self._waiting:
            loop.add_reader(self._native.fileno(), self._look)
        self._waiting[number] = (ending, future)
        try:
            # It may have been told between the poll and the reader.
            self._look()
            return await future
        finally:
            ending.cancel()
            del self._waiting[number]
            if not self._waiting:
                loop.remove_reader(self._native.fileno())

    def _look(self) -> None:
        for number in self._native.ready():
            ending, future = self._waiting.get(number, (None, None))
            if ending is None or future is None or future.done():
                continue
            try:
                answer = ending.poll()
            except Exception as error:
                future.set_exception(error)
                continue
            if answer is not None:
                future.set_result(answer)


def _endings() -> LoopEndings | None:
    """Those of the loop that runs; ``None``: none of asyncio's does."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    endings = _loops.get(loop)
    if endings is None:
        endings = _loops[loop] = LoopEndings(loop)
    return endings


async def complete_async(lease: Lease, outcome: Outcome | bytes | None = None) -> Any:
    """:meth:`Lease.complete_async`."""
    # Without a loop there is nobody to hold up but the caller, and the work has been done.
    endings = _endings() if lease.has_tier else None
    if endings is None:
        return lease.complete(outcome)
    return await endings.told(lambda native, number: native.complete(number, lease, outcome))


async def fail_async(lease: Lease, failure: Failure | None = None) -> None:
    """:meth:`Lease.fail_async`."""
    endings = _endings() if lease.has_tier else None
    if endings is None:
        lease.fail(failure)
    else:
        await endings.told(lambda native, number: native.fail(number, lease, failure))
