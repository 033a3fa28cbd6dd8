"""Hosts that serve by an event loop: what asks the store never holds the loop up.

Where a store is stopped, turns of the loop are counted, and no time is measured: a call that held
the loop up would have come to its deadline before the first of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from stores import PATIENCE, Hosts, Store, asked, lease_of

import oncegate
from oncegate import (
    Admitted,
    Engine,
    ErrorPolicy,
    Failure,
    FencedError,
    InProgress,
    Lease,
    Outcome,
    Replayed,
    RetryPolicy,
    TierOptions,
    idempotent,
)
from oncegate.asgi import IdempotencyMiddleware
from oncegate.http import Settings
from oncegate.webhooks import Delivery, Receiver

TURNS = 500
"""Turns of the loop, of which one takes some microseconds."""


async def turns(task: asyncio.Future[Any]) -> None:
    """The loop turns, and the task does not end meanwhile."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
    assert not task.done(), task


async def beside(store: Store, work: Awaitable[Any]) -> Any:
    """What comes of `work`, which has to begin and end with the store."""
    store.pause()
    task = asyncio.ensure_future(work)
    try:
        await turns(task)
    finally:
        store.resume()
    return await asyncio.wait_for(task, PATIENCE)


async def _run(engine: Engine, lease: Lease) -> None:
    lease.release()

    async def work() -> int:
        return 7

    assert await engine.run_async(asked("new"), work) == 7


async def _decorated(engine: Engine, lease: Lease) -> None:
    lease.release()

    @idempotent(engine, key="order", scope="acme")
    async def charge(order: str) -> str:
        return order

    assert await charge("1") == "1"


async def _block(engine: Engine, lease: Lease) -> None:
    lease.release()
    async with engine.lease(asked("new")) as own:
        assert own.attempt == 1


async def _attempts(engine: Engine, lease: Lease) -> None:
    lease.retry_later("busy", "charge")
    attempt = await engine.next_attempt_async(PATIENCE)
    assert attempt is not None and attempt.lease.attempt == 2


CALLS: dict[str, Callable[[Engine, Lease], Awaitable[Any]]] = {
    "begin": lambda engine, _: engine.begin_async(asked("new")),
    "begin-and-wait": lambda engine, _: engine.begin_async(asked("new"), wait=PATIENCE),
    "complete": lambda _, lease: lease.complete_async(b"7"),
    "fail": lambda _, lease: lease.fail_async(Failure.unknown()),
    "run": _run,
    "decorated": _decorated,
    "block": _block,
    "attempts": _attempts,
}


@pytest.mark.parametrize("call", CALLS)
def test_the_loop_turns_while_the_store_is_asked(store: Store, hosts: Hosts, call: str) -> None:
    """Goal: no coroutine holds the loop up while it asks the store. Method: each of them, while
    the store is stopped."""
    policy = RetryPolicy(backoff="constant", initial=0, jitter="none")
    options = TierOptions(deadline=20, quarantine=0)
    engine = hosts.host(tier_options=options, retry_policy=policy)
    lease = lease_of(engine.begin(asked()))
    answer = asyncio.run(beside(store, CALLS[call](engine, lease)))
    if call.startswith("begin"):
        assert isinstance(answer, Admitted)
    if call == "complete":
        assert answer == "stored" and lease.ended
    told = engine.tier_stats()
    assert told is not None and (told.unknown, told.refused) == (0, 0)


async def _run_fails(engine: Engine, stop: Callable[[], None]) -> None:
    async def work() -> None:
        stop()
        raise ValueError("busy")

    with pytest.raises(ValueError, match="busy"):
        await engine.run_async(asked(), work)


async def _run_ends(engine: Engine, stop: Callable[[], None]) -> None:
    async def work() -> int:
        stop()
        return 7

    assert await engine.run_async(asked(), work) == 7


async def _unkept(engine: Engine, stop: Callable[[], None]) -> None:
    async def work() -> object:
        stop()
        return object()

    with pytest.raises(oncegate.SerializationError):
        await engine.run_async(asked(), work)


async def _block_ends(engine: Engine, stop: Callable[[], None]) -> None:
    async with engine.lease(asked()):
        stop()


async def _block_fails(engine: Engine, stop: Callable[[], None]) -> None:
    with pytest.raises(ValueError, match="busy"):
        async with engine.lease(asked()):
            stop()
            raise ValueError("busy")


async def _retried(engine: Engine, stop: Callable[[], None]) -> None:
    tries: list[int] = []

    async def work() -> int:
        tries.append(1)
        if len(tries) == 1:
            stop()
            raise ValueError("busy")
        return 7

    policy = RetryPolicy(backoff="constant", initial=0, jitter="none")
    assert await engine.run_with_retries_async(asked(), work, policy=policy) == 7


async def _response(engine: Engine, stop: Callable[[], None]) -> None:
    sent: list[Any] = []
    body = {"type": "http.request", "body": b"{}", "more_body": False}

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 201, "headers": []})
        stop()
        await send({"type": "http.response.body", "body": b"charged"})

    async def receive() -> Any:
        return body

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/charges",
        "query_string": b"",
        "headers": [(b"idempotency-key", b"key-1")],
    }
    middleware = IdempotencyMiddleware(app, Settings(engine, single_tenant=True))
    await middleware(scope, receive, send)
    assert sent[0]["status"] == 201 and sent[1]["body"] == b"charged"


async def _delivery(engine: Engine, stop: Callable[[], None], fails: bool = False) -> None:
    async def handler(_delivery: Any) -> None:
        stop()
        if fails:
            raise ValueError("busy")

    receiver = Receiver(engine, lambda _headers, _body: Delivery("1", "paid", b"{}"))
    reply = await receiver.receive_async({}, b"{}", handler)
    assert reply.status == (500 if fails else 204)


async def _delivery_fails(engine: Engine, stop: Callable[[], None]) -> None:
    await _delivery(engine, stop, True)


ENDS: dict[str, Callable[[Engine, Callable[[], None]], Awaitable[None]]] = {
    "run": _run_ends,
    "run-fails": _run_fails,
    "unkept": _unkept,
    "block": _block_ends,
    "block-fails": _block_fails,
    "retried": _retried,
    "response": _response,
    "delivery": _delivery,
    "delivery-fails": _delivery_fails,
}


@pytest.mark.parametrize("end", ENDS)
def test_the_loop_turns_while_an_attempt_ends(store: Store, hosts: Hosts, end: str) -> None:
    """Goal: nothing that ends an attempt for a coroutine holds the loop up. Method: the work stops
    the store as it ends, and only the loop lets it go on, after some turns: an end that held the
    loop up would come to its deadline, and nobody would know what became of it."""
    engine = hosts.host(tier_options=TierOptions(deadline=10, quarantine=0))

    async def resume() -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)
        store.resume()

    async def scenario() -> None:
        tasks: list[asyncio.Future[None]] = []

        def stop() -> None:
            store.pause()
            tasks.append(asyncio.ensure_future(resume()))

        try:
            await ENDS[end](engine, stop)
        finally:
            store.resume()
        await asyncio.gather(*tasks)
        assert len(tasks) == 1

    asyncio.run(scenario())
    told = engine.tier_stats()
    assert told is not None and (told.unknown, told.delivered_late) == (0, 0)


def test_duplicates_on_two_hosts_run_once(hosts: Hosts) -> None:
    """Goal: of many duplicates on two loops one runs, and the others get its result. Method: ten on
    each host, which wait for each other."""
    one, other = hosts.host(), hosts.host()
    effects: list[str] = []

    async def charge() -> str:
        effects.append("charged")
        await asyncio.sleep(0)
        return "7"

    async def scenario() -> list[str]:
        calls = [
            engine.run_async(asked(), charge, wait=PATIENCE)
            for engine in (one, other)
            for _ in range(10)
        ]
        return list(await asyncio.gather(*calls))

    assert asyncio.run(scenario()) == ["7"] * 20
    assert effects == ["charged"]


def test_a_wait_for_another_host_ends_in_time(hosts: Hosts) -> None:
    """Goal: a limit of a wait counts for an attempt of another host, and the answer is the one of
    then. Method: a short limit; then one that the end of the attempt comes before."""
    one, other = hosts.host(), hosts.host()
    lease = lease_of(one.begin(asked()))

    async def scenario() -> None:
        assert isinstance(await other.begin_async(asked(), wait=0.05), InProgress)
        waiting = asyncio.ensure_future(other.begin_async(asked(), wait=PATIENCE))
        await turns(waiting)
        assert await lease.complete_async(b"7") == "stored"
        replayed = await waiting
        assert isinstance(replayed, Replayed) and replayed.body == b"7"

    asyncio.run(scenario())


def test_whoever_is_cancelled_gives_back(store: Store, hosts: Hosts) -> None:
    """Goal: a cancelled request holds nothing, and an end that was under way comes to pass. Method:
    both are cancelled while the store is stopped, and the other host asks afterwards."""
    engine, other = hosts.host(), hosts.host()
    lease = lease_of(engine.begin(asked("ending")))

    async def scenario() -> None:
        store.pause()
        tasks = [
            asyncio.ensure_future(engine.begin_async(asked("beginning"))),
            asyncio.ensure_future(lease.complete_async(b"7")),
        ]
        await asyncio.sleep(0)
        for task in tasks:
            await turns(task)
            task.cancel()
        store.resume()
        for task in tasks:
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(scenario())
    engine.flush_tier(PATIENCE)
    replayed = other.begin(asked("ending"))
    assert isinstance(replayed, Replayed) and replayed.body == b"7"
    lease_of(other.begin(asked("beginning"), wait=PATIENCE))


def test_ends_say_what_came_of_them(hosts: Hosts) -> None:
    """Goal: the coroutines say what the calls say. Method: each answer and error, with a tier and
    without one."""
    for engine in (hosts.host(), Engine(private=True, capacity=1_000)):

        async def scenario(engine: Engine = engine) -> None:
            lease = lease_of(engine.begin(asked("1")))
            await lease.fail_async()
            lease = lease_of(await engine.begin_async(asked("1")))
            assert lease.attempt == 2
            with pytest.raises(oncegate.InvalidInputError):
                await lease.fail_async(Failure.retryable(10**9))
            assert not lease.ended
            large = Outcome(200, b"x" * 100_000)
            assert await lease.complete_async(large) == "without_bytes"
            with pytest.raises(FencedError):
                await lease.complete_async(b"again")
            lease = lease_of(await engine.begin_async(asked("2")))
            lease.fail_soon(Failure.terminal(b"no"))
            assert isinstance(engine.begin(asked("2")), Replayed)

            async def fails() -> None:
                raise ValueError("declined")

            for _ in range(2):
                with pytest.raises((ValueError, oncegate.RunFailedError)):
                    await engine.run_async(asked("3"), fails, errors=ErrorPolicy(final=ValueError))

        asyncio.run(scenario())
