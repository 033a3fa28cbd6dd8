"""How attempts end, where the handler's lease is held by somebody else, too.

A lease that is freed resolves its record by itself. A log, a traceback or a task may hold it for
long: the middlewares have to end it. Here every handler holds its lease to the end of the test, and
`on_drop` is `unknown`, so that it shows who ended the attempt, and how.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import pytest
from asking import Asking, ask
from conftest import Handler, run
from test_wsgi import Site, call
from test_wsgi import ask as ask_wsgi

from oncegate import Engine, Lease
from oncegate._policy import OutcomePolicy
from oncegate.asgi import IdempotencyMiddleware
from oncegate.http import ATTEMPT, BrokenOffError, Settings
from oncegate.wsgi import IdempotencyMiddleware as WsgiMiddleware


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(private=True, capacity=100, on_drop="unknown") as engine:
        yield engine


POLICY = OutcomePolicy("ietf", statuses={504: "unknown"})


class Kept:
    """A handler that does one thing, and whose lease stays."""

    def __init__(self, handler: Handler, work: Callable[..., Awaitable[None]]) -> None:
        self.handler = handler
        self.work = work
        self.leases: list[Lease] = []
        self.inside = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.leases.append(scope[ATTEMPT])
        await self.work(self, receive, send)

    async def half(self, send: Any, status: int = 201) -> None:
        """The head, and half a body."""
        self.handler.status = status
        await self.handler.start(send)
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    async def stay(self) -> None:
        """It runs, until somebody cancels it."""
        self.inside.set()
        await asyncio.Event().wait()

    async def hear(self, receive: Any) -> None:
        """It waits until its client leaves."""
        await receive()
        self.inside.set()
        assert (await receive())["type"] == "http.disconnect"


async def stays(kept: Kept, receive: Any, send: Any) -> None:
    await kept.stay()


async def stays_in_a_stream(kept: Kept, receive: Any, send: Any) -> None:
    await kept.half(send)
    await kept.stay()


async def stays_in_an_error(kept: Kept, receive: Any, send: Any) -> None:
    await kept.half(send, 503)
    await kept.stay()


async def stays_in_doubt(kept: Kept, receive: Any, send: Any) -> None:
    await kept.half(send, 504)
    await kept.stay()


async def hears_and_returns(kept: Kept, receive: Any, send: Any) -> None:
    await kept.hear(receive)


async def hears_and_raises(kept: Kept, receive: Any, send: Any) -> None:
    await kept.hear(receive)
    raise KeyError("gone")


async def hears_in_a_stream(kept: Kept, receive: Any, send: Any) -> None:
    await kept.half(send)
    await kept.hear(receive)


async def sends_to_nobody(kept: Kept, receive: Any, send: Any) -> None:
    kept.inside.set()
    while True:
        await kept.half(send)
        await asyncio.sleep(0)


async def raises(kept: Kept, receive: Any, send: Any) -> None:
    raise KeyError("bug")


async def raises_in_a_stream(kept: Kept, receive: Any, send: Any) -> None:
    await kept.half(send)
    raise KeyError("bug")


async def raises_in_doubt(kept: Kept, receive: Any, send: Any) -> None:
    await kept.half(send, 504)
    raise KeyError("bug")


async def returns_nothing(kept: Kept, receive: Any, send: Any) -> None:
    pass


async def returns_half(kept: Kept, receive: Any, send: Any) -> None:
    await kept.half(send)


async def returns_too_little(kept: Kept, receive: Any, send: Any) -> None:
    kept.handler.headers = [(b"content-length", b"8")]
    await kept.handler.answer(send, b"short")


ENDS: list[tuple[Callable[..., Awaitable[None]], str, str | None]] = [
    (stays, "cancel", "unresolved"),
    (stays_in_a_stream, "cancel", "unresolved"),
    (stays_in_an_error, "cancel", None),
    (stays_in_doubt, "cancel", "unresolved"),
    (hears_and_returns, "leave", "unresolved"),
    (hears_and_raises, "leave", "unresolved"),
    (hears_in_a_stream, "leave", "unresolved"),
    (sends_to_nobody, "leave", "unresolved"),
    (raises, "stay", None),
    (raises_in_a_stream, "stay", None),
    (raises_in_doubt, "stay", "unresolved"),
    (returns_nothing, "stay", None),
    (returns_half, "stay", None),
    (returns_too_little, "stay", None),
]


@pytest.mark.parametrize(("work", "how", "code"), ENDS)
def test_an_attempt_ends_with_its_handler(
    engine: Engine,
    handler: Handler,
    work: Callable[..., Awaitable[None]],
    how: str,
    code: str | None,
) -> None:
    """Goal: a record is resolved when its handler is over, though somebody holds the lease: by
    `on_drop` where the client or the server broke off, by the policy where the handler failed.
    Method: end a handler in each way, look at the lease, and ask again: it runs, or nobody knows.
    """

    async def scenario() -> None:
        settings = Settings(engine, single_tenant=True, policy=POLICY)
        app = IdempotencyMiddleware(handler, settings)
        handler.work = kept = Kept(handler, work)
        asking = Asking(app)
        if how != "stay":
            await kept.inside.wait()
            if how == "leave":
                asking.leave()
            else:
                asking.task.cancel()
        await asyncio.wait((asking.task,))
        assert asking.task.cancelled() == (how == "cancel")
        assert [lease.ended for lease in kept.leases] == [True]
        handler.work, handler.status, handler.headers = None, 201, []
        again = await ask(app)
        if code is None:
            assert (again.status, again.body, again.is_replay) == (201, b"run 2", False)
        else:
            assert (again.status, again.code) == (409, code)

    run(scenario())


def test_what_is_detached_ends_with_the_loop(engine: Engine, handler: Handler) -> None:
    """Goal: a detached handler that the end of the event loop cancels leaves no key stuck.
    Method: the server's task is cancelled, and the loop ends while the handler works."""
    app = IdempotencyMiddleware(handler, Settings(engine, single_tenant=True, detached=True))

    async def scenario() -> Kept:
        handler.work = kept = Kept(handler, stays)
        asking = Asking(app)
        await kept.inside.wait()
        asking.task.cancel()
        await asyncio.wait((asking.task,))
        assert not kept.leases[0].ended
        return kept

    kept = run(scenario())
    assert kept.leases[0].ended
    assert run(ask(app)).code == "unresolved"


def wsgi_raises(start_response: Any) -> Iterable[bytes]:
    raise KeyError("bug")


def wsgi_exits(start_response: Any) -> Iterable[bytes]:
    raise SystemExit


def wsgi_breaks_off(start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield b"one "
    yield b"two "
    raise KeyError("bug")


def wsgi_exits_in_a_stream(start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield b"one "
    yield b"two "
    raise SystemExit


def wsgi_says_nothing(start_response: Any) -> Iterable[bytes]:
    return []


def wsgi_has_no_head(start_response: Any) -> Iterable[bytes]:
    return [b"body"]


def wsgi_says_too_little(start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "8")])
    return [b"short"]


def wsgi_is_left(start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [])
    for _ in range(4):
        yield b"piece "


WSGI_ENDS: list[tuple[Callable[[Any], Iterable[bytes]], type[BaseException] | None, str | None]] = [
    (wsgi_raises, KeyError, None),
    (wsgi_exits, SystemExit, "unresolved"),
    (wsgi_breaks_off, KeyError, None),
    (wsgi_exits_in_a_stream, SystemExit, "unresolved"),
    (wsgi_says_nothing, None, None),
    (wsgi_has_no_head, RuntimeError, None),
    (wsgi_says_too_little, BrokenOffError, None),
    (wsgi_is_left, None, "unresolved"),
]


@pytest.mark.parametrize(("made", "error", "code"), WSGI_ENDS)
def test_an_attempt_ends_with_its_application(
    engine: Engine,
    made: Callable[[Any], Iterable[bytes]],
    error: type[BaseException] | None,
    code: str | None,
) -> None:
    """Goal: the same for WSGI, and what an application gave is closed once.
    Method: end one in each way; the last one is closed by the server after its first piece."""
    site = Site()
    leases: list[Lease] = []

    def make(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        leases.append(environ[ATTEMPT])
        return made(start_response)

    site.make = make
    app = WsgiMiddleware(site, Settings(engine, single_tenant=True))
    if error is not None:
        with pytest.raises(error):
            ask_wsgi(app)
    elif made is wsgi_is_left:
        _, body = call(app)
        next(iter(body))
        body.close()  # type: ignore[attr-defined]  # a server has looked whether it has one
    else:
        assert ask_wsgi(app).code == "aborted"
    assert [lease.ended for lease in leases] == [True]
    assert site.closed == (0 if made in (wsgi_raises, wsgi_exits) else 1)
    site.make = None
    again = ask_wsgi(app)
    if code is None:
        assert (again.status, again.body, again.is_replay) == (201, b"run 2", False)
    else:
        assert (again.status, again.code) == (409, code)
