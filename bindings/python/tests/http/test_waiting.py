"""Duplicates that wait, and those that are told where to ask."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asking import Asking, Reply, ask
from conftest import Handler, run
from test_leaving import Work

from oncegate import Engine, Failure, Outcome, Request, Scope
from oncegate.asgi import IdempotencyMiddleware
from oncegate.http import ATTEMPT, Polling, Settings
from oncegate.http.polling import Limiter

Make = Callable[..., IdempotencyMiddleware]


@pytest.fixture
def engine() -> Iterator[Engine]:
    """One whose time passes: what waits gives up by it."""
    with Engine(private=True, capacity=1_000) as engine:
        yield engine


async def they_wait(engine: Engine, *askings: Asking) -> None:
    """Waits until all of them wait."""
    while engine.stats().waiters < len(askings):
        assert not any(asking.task.done() for asking in askings), "answered, and did not wait"
        await asyncio.sleep(0)


def test_duplicates_may_wait(protected: Make, handler: Handler, engine: Engine) -> None:
    """Goal: ten parallel duplicates that wait get the one response. Method: start all, and let
    the handler go on when the others wait."""

    async def scenario() -> None:
        app = protected(wait=30)
        handler.work = work = Work(handler)
        first = Asking(app)
        await work.inside.wait()
        others = [Asking(app) for _ in range(10)]
        await they_wait(engine, *others)
        work.go_on.set()
        replies = [await asking.answered() for asking in (first, *others)]
        assert {reply.body for reply in replies} == {b"half and half"}
        assert [reply.is_replay for reply in replies] == [False] + [True] * 10
        assert work.attempts == [1]

    run(scenario())


def test_one_who_waits_becomes_the_next_attempt(
    protected: Make, handler: Handler, engine: Engine
) -> None:
    """Goal: if the running attempt fails, one of those who wait runs, and the others get its
    response. Method: fail the first while three wait."""

    async def scenario() -> None:
        app = protected(wait=30)
        inside, go_on = asyncio.Event(), asyncio.Event()
        attempts: list[int] = []

        async def work(scope: Any, receive: Any, send: Any) -> None:
            attempts.append(scope[ATTEMPT].attempt)
            inside.set()
            await go_on.wait()
            handler.status = 500 if len(attempts) == 1 else 201
            await handler.answer(send, b"attempt %d" % len(attempts))

        handler.work = work
        first = Asking(app)
        await inside.wait()
        others = [Asking(app) for _ in range(3)]
        await they_wait(engine, *others)
        go_on.set()
        assert (await first.answered()).status == 500
        replies = [await other.answered() for other in others]
        assert {reply.body for reply in replies} == {b"attempt 2"}
        assert sorted(reply.is_replay for reply in replies) == [False, True, True]
        assert attempts == [1, 2]

    run(scenario())


def test_waiting_ends(protected: Make, handler: Handler, engine: Engine) -> None:
    """Goal: a duplicate waits as long as the settings say, or as long as its client stays; and
    no longer. Method: a wait of a moment; a client that leaves; a server that cancels."""

    async def scenario() -> None:
        handler.work = work = Work(handler)
        first = Asking(protected())
        await work.inside.wait()
        given_up = await ask(protected(wait=0.01))
        assert (given_up.status, given_up.code) == (409, "in-progress")
        patient = protected(wait=30)
        leaves, cancelled = Asking(patient), Asking(patient)
        await they_wait(engine, leaves, cancelled)
        leaves.leave()
        await leaves.task
        assert leaves.sent == []
        cancelled.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled.task
        while engine.stats().waiters:
            await asyncio.sleep(0)
        work.go_on.set()
        assert (await first.answered()).status == 201
        assert work.attempts == [1]

    run(scenario())


def unsure(**options: Any) -> Engine:
    """An engine where an attempt that nobody ended is in doubt."""
    return Engine(private=True, capacity=1_000, on_drop="unknown", **options)


@pytest.mark.parametrize("how", ["leave", "cancel"])
@pytest.mark.parametrize("steps", range(8))
def test_who_leaves_as_it_is_admitted_takes_nothing_along(
    handler: Handler, how: str, steps: int
) -> None:
    """Goal: a duplicate that is admitted in the moment in which its client leaves, or its server
    cancels it, gives the attempt back, as it never started, or runs it: nothing is in doubt.
    Method: the running attempt fails, and the client leaves some steps of the loop later, at each
    of the steps at which the news may be on its way; an attempt that is dropped would be unknown.
    """

    async def scenario(engine: Engine) -> None:
        app = IdempotencyMiddleware(handler, Settings(engine, single_tenant=True, wait=30))
        admitted: Any = engine.begin(Request("POST /charges", "key-1", scope=Scope.SINGLE_TENANT))
        waiting = Asking(app, body=b"")
        await they_wait(engine, waiting)
        admitted.lease.fail(Failure.retryable())
        for _ in range(steps):
            await asyncio.sleep(0)
        if how == "leave":
            waiting.leave()
        else:
            waiting.task.cancel()
        await asyncio.wait((waiting.task,))
        again = await ask(app, body=b"")
        assert (again.status, again.body) == (201, b"run 1")
        assert handler.runs == 1
        assert engine.stats().unresolved == 0

    with unsure() as engine:
        run(scenario(engine))


def test_who_waited_hears_its_client_leave(
    protected: Make, handler: Handler, engine: Engine
) -> None:
    """Goal: a duplicate that waited and then runs is told when its client leaves, as the first one
    was: nobody else reads what the server says. Method: the running attempt fails, and the handler
    of the next one listens until its client leaves."""

    async def scenario() -> None:
        app = protected(wait=30)
        scope = Scope.SINGLE_TENANT
        admitted: Any = engine.begin(Request("POST /charges", "key-1", scope=scope))
        inside = asyncio.Event()

        async def listens(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            inside.set()
            assert (await receive())["type"] == "http.disconnect"

        handler.work = listens
        waiting = Asking(app, body=b"")
        await they_wait(engine, waiting)
        admitted.lease.fail(Failure.retryable())
        await inside.wait()
        waiting.leave()
        await waiting.task
        assert handler.runs == 1

    run(scenario())


def test_the_loop_never_waits_for_the_engine(handler: Handler) -> None:
    """Goal: an engine whose own duplicates wait does not have the middleware stop the event loop.
    Method: such an engine, and a duplicate that the settings do not have wait."""

    async def scenario(engine: Engine) -> None:
        app = IdempotencyMiddleware(handler, Settings(engine, single_tenant=True))
        handler.work = work = Work(handler)
        first = Asking(app)
        await work.inside.wait()
        assert (await ask(app)).code == "in-progress"
        work.go_on.set()
        assert (await first.answered()).status == 201

    with unsure(wait=1_000) as engine:
        run(scenario(engine))


def test_closing_ends_a_wait(protected: Make, handler: Handler, engine: Engine) -> None:
    """Goal: who waits when the engine is closed is told so. Method: close it meanwhile."""

    async def scenario() -> None:
        handler.work = work = Work(handler)
        app = protected(wait=30)
        first = Asking(app)
        await work.inside.wait()
        waiting = Asking(app)
        await they_wait(engine, waiting)
        engine.close()
        refused = await waiting.answered()
        assert (refused.status, refused.code) == (503, "unavailable")
        work.go_on.set()
        assert (await first.answered()).status == 201

    run(scenario())


SECRET = b"0123456789abcdef"


def polling(protected: Make, **options: Any) -> IdempotencyMiddleware:
    """The middleware with an endpoint to poll at, for the accounts of a header."""
    settings = {"secret": SECRET, "path": "/requests", "burst": 100, **options}
    return protected(polling=Polling(**settings), scope=lambda head: head.header("x-account"))


def account(name: str, **more: str) -> dict[str, Any]:
    return {"headers": [("x-account", name), *more.items()]}


async def look(app: Any, place: str | None, name: str = "a") -> Reply:
    assert place is not None
    return await ask(app, None, method="GET", path=place, **account(name))


def test_duplicates_are_told_where_to_ask(protected: Make, handler: Handler) -> None:
    """Goal: a duplicate of a running request gets 202 and a place that shows its state, and then
    its outcome. Method: ask there while it runs, while it waits for its next attempt, and after."""

    async def scenario() -> None:
        app = polling(protected)
        handler.work = work = Work(handler)
        first = Asking(app, **account("a"))
        await work.inside.wait()
        told = await ask(app, **account("a"))
        assert (told.status, json.loads(told.body)) == (202, {"state": "running", "attempt": 1})
        assert (told.header("retry-after"), told.header("cache-control")) == ("1", "no-store")
        place = told.header("location")
        assert place is not None
        assert place.startswith("/requests/")
        seen = await look(app, place)
        assert (seen.status, seen.body) == (202, told.body)
        work.go_on.set()
        await first.answered()
        seen = await look(app, place)
        assert (seen.status, seen.body, seen.is_replay) == (201, b"half and half", True)
        handler.work = None
        assert (await look(app, "/requests")).body == b"run 2"
        assert handler.runs == 2

    run(scenario())


def test_each_state_is_told_to_who_polls(protected: Make, handler: Handler, engine: Engine) -> None:
    """Goal: a place tells of each state what a duplicate would hear. Method: a record that waits,
    one that nobody knows of, and one that was not kept."""
    ends: list[tuple[Any, int, str]] = [
        (lambda lease: lease.fail(Failure.retryable(after=60)), 202, "waiting"),
        (lambda lease: lease.fail(Failure.unknown()), 409, "unresolved"),
        (lambda lease: lease.complete(Outcome.withheld(200)), 409, "outcome-gone"),
        (lambda lease: lease.fail(Failure.terminal(Outcome(402, b"no"))), 402, "no"),
    ]

    async def scenario() -> None:
        app = polling(protected)
        for number, (end, status, word) in enumerate(ends):
            key = f"key-{number}"
            admitted: Any = engine.begin(Request("POST /charges", key, scope="a"))
            told = await ask(app, key, body=b"", **account("a"))
            end(admitted.lease)
            seen = await look(app, told.header("location"))
            assert (seen.status, word.encode() in seen.body) == (status, True), word

    run(scenario())


def test_who_may_not_know_learns_nothing(protected: Make, handler: Handler) -> None:
    """Goal: tokens of others, made-up ones and those of what is gone get one and the same answer;
    nothing runs, and nobody without an identity may ask.
    Method: ask for each, and compare the answers byte by byte."""

    async def scenario() -> None:
        app = polling(protected)
        handler.work = work = Work(handler)
        first = Asking(app, **account("a"))
        await work.inside.wait()
        place = (await ask(app, **account("a"))).header("location")
        work.go_on.set()
        await first.answered()
        assert (await look(app, place)).is_replay
        with Engine(private=True, capacity=16) as another:
            settings = Settings(
                another,
                scope=lambda head: head.header("x-account"),
                polling=Polling(SECRET, path="/requests"),
            )
            without = IdempotencyMiddleware(handler, settings)
            gone = await look(without, place)
        assert (gone.status, gone.code) == (404, "no-such-request")
        made_up = "/requests/" + "A" * 64
        for path, name in ((place, "b"), (made_up, "a"), ("/requests/x", "a"), (made_up, "b")):
            answer = await look(app, path, name)
            assert (answer.headers, answer.body) == (gone.headers, gone.body)
        assert (await ask(app, None, method="GET", path=made_up)).code == "no-scope"
        assert handler.runs == 1

    run(scenario())


class Looks:
    """An engine that counts what is looked up."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.seen: list[bool] = []

    def look(self, fingerprint: bytes) -> Any:
        answer = self.engine.look(fingerprint)
        self.seen.append(answer is not None)
        return answer


def test_a_token_that_was_bent_tells_nothing(protected: Make, engine: Engine) -> None:
    """Goal: a token opens the record that it was made for, and cannot be bent to another one, even
    by who knows the fingerprints of both; every token costs the same look at the table.
    Method: two records; the own token, bent by the difference of their fingerprints. It leads to
    a record that there is, and is answered as one that leads nowhere."""

    async def scenario() -> None:
        app = polling(protected, path="/requests")
        mine, other = (Request("POST /charges", "key", scope=name) for name in ("a", "b"))
        leases: list[Any] = [engine.begin(request) for request in (mine, other)]
        told = await ask(app, "key", body=b"", **account("a"))
        place = told.header("location") or ""
        token = urlsafe_b64decode(place.rpartition("/")[2])
        prints = [engine.prepare(request).fingerprint for request in (mine, other)]
        bent = token[:16] + bytes(a ^ b ^ c for a, b, c in zip(token[16:], *prints))
        looks = app._gate.engine = Looks(engine)  # type: ignore[assignment]  # it only looks
        tokens = [token, bent, bytes(48), b"", token[:-1]]
        codes = []
        for asked in tokens:
            told = await look(app, "/requests/" + urlsafe_b64encode(asked).decode())
            codes.append((told.status, told.body if told.status == 404 else b""))
        assert codes[0] == (202, b"")
        assert set(codes[1:]) == {codes[-1]}
        assert codes[-1][0] == 404
        assert looks.seen == [True, True, False, False, False]
        assert len(leases) == 2

    run(scenario())


def test_polling_when_nothing_can_be_looked_up(protected: Make, engine: Engine) -> None:
    """Goal: who polls is told of a service that cannot answer. Method: a closed engine."""
    app = polling(protected)
    engine.close()
    refused = run(look(app, "/requests/" + "A" * 64))
    assert (refused.status, refused.code) == (503, "unavailable")


def test_polling_is_limited(protected: Make) -> None:
    """Goal: a scope that tries tokens is slowed down, and another is not.
    Method: a burst of two, and a third question, at one time."""

    async def scenario() -> None:
        app = polling(protected, burst=2, rate=0.001)
        assert app._gate.poller is not None
        app._gate.poller._limiter = Limiter(0.001, 2, clock=lambda: 0.0)
        path = "/requests/" + "A" * 64
        for code in ("no-such-request", "no-such-request", "too-many-requests"):
            answer = await look(app, path)
            assert answer.code == code
        assert (answer.status, answer.header("retry-after")) == (429, "1000")
        assert (await look(app, path, "b")).code == "no-such-request"

    run(scenario())


def test_a_client_may_ask_not_to_wait(protected: Make, handler: Handler) -> None:
    """Goal: with `Prefer: respond-async` the first request gets 202 at once, and its handler runs.
    Method: follow it; without the setting, and without the header, it is answered as ever."""

    async def scenario() -> None:
        handler.work = work = Work(handler)
        app = polling(protected, respond_async=True)
        prefer = account("a", prefer="wait=5, Respond-Async;x=y")
        told = await ask(app, **prefer)
        assert (told.status, told.header("preference-applied")) == (202, "respond-async")
        await work.inside.wait()
        place = told.header("location")
        assert (await look(app, place)).status == 202
        work.go_on.set()
        while (seen := await look(app, place)).status == 202:
            await asyncio.sleep(0)
        assert (seen.body, seen.is_replay) == (b"half and half", True)
        assert (await ask(app, **prefer)).is_replay
        handler.work = None
        assert (await ask(app, "key-2", **account("a"))).body == b"run 2"
        twice = [("x-account", "a"), ("prefer", "wait=5"), ("prefer", "respond-async")]
        assert (await ask(app, "key-4", headers=twice)).status == 202
        while handler.runs < 3:
            await asyncio.sleep(0)
        app = polling(protected)
        assert (await ask(app, "key-3", **prefer)).body == b"run 4"

    run(scenario())


def test_who_has_its_answer_is_not_asked(protected: Make, handler: Handler) -> None:
    """Goal: a handler whose client got 202 reads nothing more of that client: the connection may
    carry the next request by then. Method: one that listens, and a message that is not for it."""

    async def scenario() -> None:
        heard: list[str] = []
        work = Work(handler)

        async def listening(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            other = asyncio.ensure_future(receive())
            await work(scope, receive, send)
            heard.append((await other)["type"])

        handler.work = listening
        app = polling(protected, respond_async=True)
        asking = Asking(app, **account("a", prefer="respond-async"))
        assert (await asking.answered()).status == 202
        asking._incoming.put_nowait({"type": "http.request", "body": b"of another"})
        await work.inside.wait()
        work.go_on.set()
        while not heard:
            await asyncio.sleep(0)
        assert heard == ["http.disconnect"]
        assert asking._incoming.qsize() == 1

    run(scenario())
