"""Waiting: from the end of a run to the answer of the duplicate that waits for it; two threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from itertools import repeat
from typing import Any

import cachetools
import idemkit

import oncegate
from functions import HOT, OUTCOME, fresh
from rounds import WALL, Row
from stores import Locked

PART = "A duplicate that waits, from the end of the run to its answer"
THREADS = "Duplicates on two threads, time for each on the wall"


def rows(loop: asyncio.AbstractEventLoop) -> list[Row]:
    """All of them."""
    engine = oncegate.Engine()
    made = [
        Row(PART, "oncegate, one loop", _measured(loop, engine, _same_loop)),
        Row(PART, "oncegate, ended by another thread", _measured(loop, engine, _other_thread)),
        Row(PART, "oncegate, both are threads", lambda count: _threads_wait(engine, count)),
        Row(PART, "an event of asyncio, one loop", _event(loop, _set_here), base=True),
        Row(PART, "an event of asyncio, set by another thread", _event(loop, _set_elsewhere)),
        Row(PART, "idemkit, in memory, one loop", _idemkit(loop)),
    ]
    return made + _two_threads(engine)


Ending = Callable[[asyncio.AbstractEventLoop, Callable[[], Any]], Any]


async def _same_loop(_loop: asyncio.AbstractEventLoop, end: Callable[[], Any]) -> int:
    begun = WALL()
    end()
    return begun


async def _other_thread(loop: asyncio.AbstractEventLoop, end: Callable[[], Any]) -> int:
    def ended() -> int:
        begun = WALL()
        end()
        return begun

    return await loop.run_in_executor(None, ended)


def _measured(
    loop: asyncio.AbstractEventLoop, engine: oncegate.Engine, end: Ending
) -> Callable[[int], float]:
    async def one(key: str) -> int:
        request = oncegate.Request("charge", key, scope="acme")
        admission = engine.begin(request)
        if not isinstance(admission, oncegate.Admitted):
            raise TypeError("nobody can run it")
        lease = admission.lease

        async def wait() -> int:
            answer = await engine.begin_async(request, wait=30)
            if not isinstance(answer, oncegate.Replayed):
                raise TypeError("it has not ended")
            return WALL()

        waiting = asyncio.ensure_future(wait())
        await _waits()
        begun: int = await end(loop, lambda: lease.complete(OUTCOME))
        return await waiting - begun

    async def many(count: int) -> float:
        return sum([await one(key) for key in fresh(count)])

    return lambda count: loop.run_until_complete(many(count))


async def _waits() -> None:
    """Gives way until whoever was started can but wait."""
    for _ in range(8):
        await asyncio.sleep(0)


async def _set_here(_loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> int:
    begun = WALL()
    event.set()
    return begun


async def _set_elsewhere(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> int:
    def ended() -> int:
        begun = WALL()
        loop.call_soon_threadsafe(event.set)
        return begun

    return await loop.run_in_executor(None, ended)


def _event(loop: asyncio.AbstractEventLoop, end: Any) -> Callable[[int], float]:
    async def one() -> int:
        event = asyncio.Event()

        async def wait() -> int:
            await event.wait()
            return WALL()

        waiting = asyncio.ensure_future(wait())
        await _waits()
        begun: int = await end(loop, event)
        return await waiting - begun

    async def many(count: int) -> float:
        return sum([await one() for _ in range(count)])

    return lambda count: loop.run_until_complete(many(count))


def _idemkit(loop: asyncio.AbstractEventLoop) -> Callable[[int], float]:
    config = idemkit.MethodConfig(key_fields=["order"])
    may_end: dict[str, asyncio.Event] = {}

    @idemkit.idempotent(backend=idemkit.InMemoryBackend(), config=config)
    async def charge(*, order: str) -> str:
        await may_end[order].wait()
        return order

    async def one(key: str) -> int:
        may_end[key] = asyncio.Event()
        running = asyncio.ensure_future(charge(order=key))
        await _waits()

        async def wait() -> int:
            await charge(order=key)
            return WALL()

        waiting = asyncio.ensure_future(wait())
        await _waits()
        begun = WALL()
        may_end.pop(key).set()
        ended = await waiting
        await running
        return ended - begun

    async def many(count: int) -> float:
        return sum([await one(key) for key in fresh(count)])

    return lambda count: loop.run_until_complete(many(count))


def _threads_wait(engine: oncegate.Engine, count: int) -> float:
    """The one that waits blocks in `begin`; the other one ends the run when it does."""
    took = 0
    for key in fresh(count):
        request = oncegate.Request("charge", key, scope="acme")
        admission = engine.begin(request)
        if not isinstance(admission, oncegate.Admitted):
            raise TypeError("nobody can run it")
        answered: list[int] = []
        started = threading.Event()

        def wait(request: Any = request, answered: Any = answered, started: Any = started) -> None:
            started.set()
            engine.begin(request, wait=30)
            answered.append(WALL())

        thread = threading.Thread(target=wait)
        thread.start()
        started.wait()
        # It has said that it waits when others are counted as waiting.
        while not engine.stats().waiters:
            pass
        begun = WALL()
        admission.lease.complete(OUTCOME)
        thread.join()
        took += answered[0] - begun
    return float(took)


def _two_threads(engine: oncegate.Engine) -> list[Row]:
    request = oncegate.Request("charge", HOT, scope="acme")
    admission = engine.begin(request)
    if isinstance(admission, oncegate.Admitted):
        admission.lease.complete(OUTCOME)
    contenders: list[tuple[str, Callable[[], Any]]] = [
        ("oncegate, prepared", engine.prepare(request).begin),
        ("oncegate, `begin(request)`", partial(engine.begin, request)),
    ]
    for name, of in (("dict", {}), ("TTLCache", cachetools.TTLCache(65_536, 86_400))):
        store = Locked(of)
        store.begin(HOT)
        store.complete(HOT, OUTCOME)
        contenders.append((f"{name} under a lock", partial(store.begin, HOT)))
    made = []
    for name, call in contenders:
        for threads in (1, 2):
            measure = _on(threads, call)
            base = name.startswith("dict") and threads == 1
            made.append(Row(THREADS, f"{name}, {threads}", measure, base))
    return made


def _on(threads: int, call: Callable[[], Any]) -> Callable[[int], float]:
    def work(count: int) -> None:
        for _ in repeat(None, count):
            call()

    def measure(count: int) -> float:
        share = max(1, count // threads)
        running = [threading.Thread(target=work, args=(share,)) for _ in range(threads)]
        begun = WALL()
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        return (WALL() - begun) * count / (share * threads)

    return measure
