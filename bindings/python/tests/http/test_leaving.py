"""Clients that leave, and servers that cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from asking import Asking, ask
from conftest import Handler, run

from oncegate import Engine
from oncegate.asgi import IdempotencyMiddleware
from oncegate.http import ATTEMPT, Settings

if TYPE_CHECKING:
    from oncegate._core import OnDrop

Make = Callable[..., IdempotencyMiddleware]


class Work:
    """A handler's work that says when it runs, and goes on when it may."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.inside = asyncio.Event()
        self.go_on = asyncio.Event()
        self.attempts: list[int] = []
        self.heard: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.attempts.append(scope[ATTEMPT].attempt)
        self.inside.set()
        await self.go_on.wait()
        await self.handler.answer(send, b"half ", b"and half")


def test_a_cancelled_handler_is_resolved_by_policy(handler: Handler) -> None:
    """Goal: a server that cancels a handler, as for a time-out, leaves no key stuck: the record
    is resolved as `on_drop` says. Method: cancel under each policy, and ask again."""

    async def scenario() -> None:
        policies: tuple[tuple[OnDrop, str | None], ...]
        policies = (("retry", None), ("unknown", "unresolved"))
        for on_drop, code in policies:
            with Engine(private=True, capacity=16, on_drop=on_drop) as engine:
                app = IdempotencyMiddleware(handler, Settings(engine, single_tenant=True))
                handler.work = work = Work(handler)
                asking = Asking(app)
                await work.inside.wait()
                asking.task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking.task
                work.go_on.set()
                again = await ask(app)
                if code is None:
                    assert (again.status, work.attempts) == (201, [1, 2])
                else:
                    assert again.code == code

    run(scenario())


def test_a_cancelled_stream_is_never_stored(protected: Make, handler: Handler) -> None:
    """Goal: an aborted stream is never replayed. Method: cancel one in its middle; one that was
    not final ends by its status; ask again."""

    async def scenario() -> None:
        app = protected()
        for status in (201, 503):
            inside = asyncio.Event()

            async def work(scope: Any, receive: Any, send: Any, inside: Any = inside) -> None:
                await handler.start(send)
                body = {"type": "http.response.body", "body": b"half", "more_body": True}
                await send(body)
                inside.set()
                await asyncio.Event().wait()

            handler.status, handler.work = status, work
            asking = Asking(app, f"key-{status}")
            await inside.wait()
            asking.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking.task
            handler.status, handler.work = 201, None
            again = await ask(app, f"key-{status}")
            assert (again.status, again.is_replay) == (201, False)

    run(scenario())


def test_a_handler_that_stops_when_its_client_leaves(protected: Make, handler: Handler) -> None:
    """Goal: a handler that hears of the disconnect and returns without a response leaves the next
    attempt free. Method: what Starlette does to a stream."""

    async def scenario() -> None:
        app = protected()
        inside = asyncio.Event()

        async def work(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            inside.set()
            assert (await receive())["type"] == "http.disconnect"

        handler.work = work
        asking = Asking(app)
        await inside.wait()
        asking.leave()
        await asking.task
        assert asking.sent == []
        handler.work = None
        assert (await ask(app)).body == b"run 2"

    run(scenario())


def test_what_was_finished_for_nobody_is_replayed(protected: Make, handler: Handler) -> None:
    """Goal: a handler that works on after its client has left has its whole response stored; one
    that is stopped in the middle of a stream has not.
    Method: leave while it runs, on a server that says so when something is sent."""

    async def scenario() -> None:
        app = protected(keep_headers=["x-run"])
        for pieces, is_replay in (((b"whole",), True), ((b"half ", b"and half"), False)):
            inside, go_on = asyncio.Event(), asyncio.Event()

            async def work(
                scope: Any,
                receive: Any,
                send: Any,
                pieces: Any = pieces,
                inside: Any = inside,
                go_on: Any = go_on,
            ) -> None:
                inside.set()
                await go_on.wait()
                await handler.answer(send, *pieces)

            handler.work = work
            asking = Asking(app, f"key-{is_replay}")
            await inside.wait()
            asking.leave()
            go_on.set()
            with pytest.raises(OSError, match="left"):
                await asking.task
            handler.work = None
            again = await ask(app, f"key-{is_replay}")
            assert (again.status, again.is_replay) == (201, is_replay)

    run(scenario())


def test_a_detached_handler_runs_to_its_end(protected: Make, handler: Handler) -> None:
    """Goal: detached, a handler and the body of its response outlive their client and the
    server's cancellation, and its response is stored.
    Method: leave, or cancel, while it runs; it does not hear of either; ask again."""

    async def scenario() -> None:
        app = protected(detached=True)
        for how in ("leave", "cancel"):
            work = Work(handler)
            listeners: list[asyncio.Future[Any]] = []

            async def listening(
                scope: Any,
                receive: Any,
                send: Any,
                work: Any = work,
                listeners: Any = listeners,
            ) -> None:
                await receive()
                listeners.append(asyncio.ensure_future(receive()))
                await work(scope, receive, send)
                work.heard.append((await listeners[0])["type"])

            handler.work = listening
            key = f"key-{how}"
            asking = Asking(app, key)
            await work.inside.wait()
            if how == "leave":
                asking.leave()
            else:
                asking.task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking.task
            assert (await ask(app, key)).code == "in-progress"
            for _ in range(10):
                await asyncio.sleep(0)
            assert not listeners[0].done()
            work.go_on.set()
            while not (again := await ask(app, key)).is_replay:
                assert again.code == "in-progress"
            assert again.body == b"half and half"
            if how == "leave":
                await asking.task
            while not work.heard:
                await asyncio.sleep(0)
            assert (work.attempts, work.heard) == ([1], ["http.disconnect"])
            assert asking.reply.status == 0

    run(scenario())


def test_a_detached_handler_writes_to_nobody(protected: Make, handler: Handler) -> None:
    """Goal: a detached handler that does not listen is not stopped by writing to a client that has
    left, in the middle of its response either. Method: leave before it, and after its first piece;
    the server says so when something is sent."""

    async def scenario() -> None:
        app = protected(detached=True)
        for after_first in (False, True):
            go_on, inside = asyncio.Event(), asyncio.Event()

            async def writes(
                scope: Any,
                receive: Any,
                send: Any,
                go_on: Any = go_on,
                inside: Any = inside,
                after_first: bool = after_first,
            ) -> None:
                await handler.start(send)
                first = {"type": "http.response.body", "body": b"one ", "more_body": True}
                if after_first:
                    await send(first)
                inside.set()
                await go_on.wait()
                if not after_first:
                    await send(first)
                for body, more in ((b"two ", True), (b"three", False)):
                    await send({"type": "http.response.body", "body": body, "more_body": more})

            handler.work = writes
            key = f"key-{after_first}"
            asking = Asking(app, key)
            await inside.wait()
            asking.leave()
            go_on.set()
            await asking.task
            again = await ask(app, key)
            assert (again.body, again.is_replay) == (b"one two three", True)

    run(scenario())


def test_who_listens_for_a_detached_handler_is_told_of_its_end(
    protected: Make, handler: Handler
) -> None:
    """Goal: what a handler has started to listen for its client ends with it, even if there was no
    response. Method: a handler that returns with nothing, and leaves a listener."""

    async def scenario() -> None:
        listeners: list[asyncio.Future[Any]] = []

        async def returns(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            listeners.append(asyncio.ensure_future(receive()))

        handler.work = returns
        assert (await ask(protected(detached=True))).code == "aborted"
        assert (await listeners[0])["type"] == "http.disconnect"

    run(scenario())


def test_a_detached_handler_answers_its_client(protected: Make, handler: Handler) -> None:
    """Goal: detached, whoever stays gets the response, the exception, or why there is none.
    Method: one of each."""

    async def scenario() -> None:
        app = protected(detached=True)
        assert (await ask(app, "key-1")).body == b"run 1"

        async def bug(scope: Any, receive: Any, send: Any) -> None:
            raise KeyError("bug")

        async def nothing(scope: Any, receive: Any, send: Any) -> None:
            pass

        handler.work = bug
        with pytest.raises(KeyError):
            await ask(app, "key-2")
        handler.work = nothing
        assert (await ask(app, "key-2")).code == "aborted"

    run(scenario())


def test_detached_events_end_with_their_client(protected: Make, handler: Handler) -> None:
    """Goal: an event stream may have no end, and so goes with its client. Method: cancel the
    server's task, and leave; both are heard."""

    async def scenario() -> None:
        app = protected(detached=True)
        for how in ("leave", "cancel"):
            ended: list[str] = []
            inside = asyncio.Event()

            async def events(
                scope: Any, receive: Any, send: Any, ended: Any = ended, inside: Any = inside
            ) -> None:
                handler.headers = [(b"content-type", b"text/event-stream")]
                await receive()
                await handler.start(send)
                inside.set()
                try:
                    ended.append((await receive())["type"])
                except asyncio.CancelledError:
                    ended.append("cancelled")
                    raise

            handler.work = events
            asking = Asking(app, f"key-{how}")
            await inside.wait()
            if how == "leave":
                asking.leave()
                await asking.task
            else:
                asking.task.cancel()
            while not ended:
                await asyncio.sleep(0)
            assert ended == ["http.disconnect" if how == "leave" else "cancelled"]

    run(scenario())
