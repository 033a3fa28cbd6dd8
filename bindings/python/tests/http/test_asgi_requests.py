"""The middleware for ASGI: how the head and the body of a request are read."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from asking import Asking, ask
from conftest import Handler, run
from test_leaving import Work

from oncegate import Engine, ManualClock
from oncegate.asgi import AsgiHead, IdempotencyMiddleware, fields_of
from oncegate.http import Polling, Settings

Make = Callable[..., IdempotencyMiddleware]


def test_the_key_may_have_another_header(protected: Make, handler: Handler) -> None:
    """Goal: the settings name the header of the key. Method: another one, with the usual one
    beside it."""
    app = protected(key_header="X-Request-Key")
    named = [("x-request-key", "key-9")]
    assert run(ask(app, "key-1", headers=named)).body == b"run 1"
    assert run(ask(app, "key-2", headers=named)).is_replay
    assert run(ask(app, "key-1")).code == "missing-key"


@pytest.mark.parametrize("values", [("key-1", "key-1"), ("key-1", "key-2"), ('"key-1"', "key-1")])
def test_two_headers_are_no_key(protected: Make, handler: Handler, values: tuple[str, str]) -> None:
    """Goal: a key that comes twice is refused, even if both say the same: who forwards the request
    may keep the other one. Method: two lines, in either order."""
    app = protected()
    for first, second in (values, values[::-1]):
        refused = run(ask(app, first, headers=[("idempotency-key", second)]))
        assert (refused.status, refused.code) == (400, "invalid-key")
    assert handler.runs == 0


def test_heads_are_read_as_they_came() -> None:
    """Goal: a scope or an operation is decided by what was sent: a header that came twice is joined
    by commas, and the path is as it was written. Method: a head with and without a raw path."""
    scope: dict[str, Any] = {
        "method": "POST",
        "path": "/a b/ü;v=1",
        "query_string": b"x=%20",
        "headers": [(b"x-role", b"a"), (b"x-role", b"b"), (b"x-one", b"c")],
    }
    made = AsgiHead(scope, fields_of(scope["headers"]))
    assert (made.header("X-Role"), made.header("x-one"), made.header("x-none")) == (
        "a, b",
        "c",
        None,
    )
    assert made.target == "/a%20b/%C3%BC;v=1?x=%20"
    sent = AsgiHead({**scope, "raw_path": b"/%61%20b"}, {})
    assert sent.target == "/%61%20b?x=%20"
    assert AsgiHead({**scope, "query_string": b""}, {}).target == "/a%20b/%C3%BC;v=1"


def test_bodies_that_are_encoded_are_compared_byte_by_byte(protected: Make) -> None:
    """Goal: what the body says is not read where it is encoded. Method: two spellings of a value,
    plain and encoded."""
    app = protected()
    plain: list[tuple[str, str]] = []
    for key, headers in (("key-1", plain), ("key-2", [("content-encoding", "x-own")])):
        assert run(ask(app, key, body=b"[1]", headers=headers)).status == 201
        again = run(ask(app, key, body=b"[ 1 ]", headers=headers))
        assert again.status == (422 if headers else 201)


def test_an_announced_body_is_not_read(protected: Make, handler: Handler) -> None:
    """Goal: a body that says that it is too large is refused before it comes.
    Method: a request of which nothing but its head has arrived."""

    async def scenario() -> None:
        asking = Asking(protected(payload_limit=10), body=[], headers=[("content-length", "11")])
        refused = await asking.answered()
        assert (refused.status, refused.code) == (413, "payload-too-large")

    run(scenario())
    assert handler.runs == 0


def test_conflicts_say_when_to_come_again(
    protected: Make, handler: Handler, clock: ManualClock
) -> None:
    """Goal: who meets a running attempt is told to come when its lease may be over, if that is
    sooner than the settings' time; a problem is never kept by a cache.
    Method: a lease of 30 seconds, at its beginning and near its end."""

    async def scenario() -> None:
        handler.work = work = Work(handler)
        app = protected(poll_after=20.0, keep_lease=False)
        asking = Asking(app)
        await work.inside.wait()
        told = await ask(app)
        assert (told.code, told.header("retry-after")) == ("in-progress", "20")
        assert told.header("cache-control") == "no-store"
        clock.advance(25)
        assert (await ask(app)).header("retry-after") == "5"
        work.go_on.set()
        await asking.answered()

    run(scenario())


def test_a_full_table_is_told(handler: Handler) -> None:
    """Goal: a table without room says so, and when to come again; nothing runs.
    Method: one that evicts nothing, filled."""
    with Engine(private=True, capacity=16, on_full="reject") as engine:
        app = IdempotencyMiddleware(handler, Settings(engine, single_tenant=True, poll_after=7.0))
        for number in range(1_000):
            refused = run(ask(app, f"key-{number}"))
            if refused.status != 201:
                break
        assert (refused.status, refused.code) == (503, "full")
        assert refused.header("retry-after") == "7"
        assert handler.runs == number


def test_what_is_detached_is_held_by_somebody(protected: Make, handler: Handler) -> None:
    """Goal: a detached handler is not collected as garbage in its middle: event loops hold tasks
    weakly. Method: one that waits for what only it knows, whose server has gone; collect."""

    async def scenario() -> None:
        alive: list[weakref.ref[Any]] = []

        async def work(scope: Any, receive: Any, send: Any) -> None:
            own = asyncio.get_running_loop().create_future()
            alive.append(weakref.ref(own))
            await own

        handler.work = work
        app = protected(detached=True)
        asking = Asking(app)
        while not alive:
            await asyncio.sleep(0)
        asking.task.cancel()
        await asyncio.wait((asking.task,))
        del asking
        gc.collect()
        own = alive[0]()
        assert own is not None
        own.set_result(None)
        del own
        while app._running:
            await asyncio.sleep(0)

    run(scenario())


def test_only_who_gets_is_told(protected: Make, handler: Handler) -> None:
    """Goal: the place to poll at answers GET and nothing else.
    Method: other safe methods go to the application, and others need a key."""
    app = protected(polling=Polling(b"0123456789abcdef", path="/requests"))
    path = "/requests/" + "A" * 64
    assert run(ask(app, None, method="GET", path=path)).code == "no-such-request"
    for number, method in enumerate(("OPTIONS", "HEAD"), 1):
        assert run(ask(app, None, method=method, path=path)).body == b"run %d" % number
    assert run(ask(app, None, path=path)).code == "missing-key"
