"""What a replay holds, what it never holds, and how long it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asking import Asking, ask
from conftest import Handler, run
from test_leaving import Work

from oncegate import Engine, Lease, ManualClock, Outcome, Request, Scope
from oncegate.asgi import IdempotencyMiddleware
from oncegate.http import ATTEMPT

Make = Callable[..., IdempotencyMiddleware]

KEPT = {
    "cache-control": "no-cache",
    "content-disposition": "attachment",
    "content-encoding": "identity",
    "content-language": "en",
    "content-location": "/charges/1",
    "content-type": "text/plain",
    "etag": '"1"',
    "last-modified": "Fri, 27 Nov 2026 20:00:00 GMT",
    "link": "</charges>; rel=up",
    "location": "/charges/1",
    "vary": "accept",
}
NEVER = {
    "set-cookie": "session=1",
    "set-cookie2": "session=1",
    "authorization": "Bearer 1",
    "authentication-info": "nextnonce=1",
    "proxy-authentication-info": "nextnonce=1",
    "www-authenticate": "Basic",
    "proxy-authenticate": "Basic",
    "proxy-authorization": "Basic 1",
    "cookie": "session=1",
    "connection": "x-charge",
    "keep-alive": "timeout=5",
    "proxy-connection": "keep-alive",
    "te": "trailers",
    "trailer": "x-sum",
    "transfer-encoding": "identity",
    "upgrade": "h2c",
    "date": "Fri, 27 Nov 2026 20:00:00 GMT",
    "age": "1",
}


def test_each_header_is_replayed_or_not(protected: Make, handler: Handler) -> None:
    """Goal: a replay repeats what describes the result, and nothing that belongs to one client,
    connection or message. Method: a response with every one of them, in mixed case."""
    sent = {**KEPT, **NEVER, "x-request-id": "7"}
    handler.headers = [(name.title().encode(), value.encode()) for name, value in sent.items()]
    app = protected()
    first, again = run(ask(app)), run(ask(app))
    assert (first.headers, again.is_replay) == (handler.headers, True)
    # In the letters of HTTP/2, in which all servers have them.
    replayed = {name.decode(): value.decode() for name, value in again.headers}
    assert replayed == {**KEPT, "idempotent-replayed": "true", "content-length": "5"}


def test_a_record_of_other_origin_is_replayed_by_the_list(
    protected: Make, handler: Handler, engine: Engine
) -> None:
    """Goal: a record that was finished elsewhere, or by hand, gives away no credentials, and no
    status that HTTP has not. Method: outcomes with such headers, and with such a status."""
    app = protected()
    metadata = {"location": "/1", "set-cookie": "a=b", "Authorization": "x", "x-charge": "7"}
    for key, status, expected in (("key-1", 200, 200), ("key-2", 7, 500), ("key-3", 1_000, 500)):
        request = Request("POST /charges", key, scope=Scope.SINGLE_TENANT)
        admitted: Any = engine.begin(request)
        admitted.lease.complete(Outcome(status, b"by hand", metadata))
        told = run(ask(app, key, body=b""))
        assert (told.status, told.body, told.is_replay) == (expected, b"by hand", True)
        names = [name for name, _ in told.headers]
        assert names == [b"location", b"idempotent-replayed", b"content-length"]
    assert handler.runs == 0


@pytest.mark.parametrize("status", [204, 304])
def test_responses_without_a_body_are_replayed(
    protected: Make, handler: Handler, status: int
) -> None:
    """Goal: a status that has no body is replayed without one, and without a length of its own; the
    length that 304 may announce is not taken for a body that is missing.
    Method: both statuses, one with such a length."""
    handler.status = status
    if status == 304:
        handler.headers = [(b"content-length", b"8"), (b"etag", b'"1"')]

    async def work(scope: Any, receive: Any, send: Any) -> None:
        await handler.answer(send, b"")

    handler.work = work
    app = protected()
    first, again = run(ask(app)), run(ask(app))
    assert (first.status, again.status, again.is_replay) == (status, status, True)
    assert (again.body, again.header("content-length")) == (b"", None)
    assert handler.runs == 1


@pytest.mark.parametrize("header", [(b"location", b"/\xff"), (b"link", b"x" * 9_000)])
def test_headers_that_cannot_be_kept(
    protected: Make, handler: Handler, header: tuple[bytes, bytes]
) -> None:
    """Goal: a response whose headers cannot all be replayed reaches its client, is not replayed in
    part, and does not run again. Method: a header that is no text, and one that is too long."""
    handler.headers = [header]
    app = protected()
    first, again = run(ask(app)), run(ask(app))
    assert (first.status, first.body, first.headers) == (201, b"run 1", [header])
    assert (again.status, again.code) == (409, "outcome-gone")
    assert handler.runs == 1


def test_the_window_is_the_settings_own(
    protected: Make, handler: Handler, clock: ManualClock
) -> None:
    """Goal: a response is replayed as long as the settings say. Method: just before, and after."""
    app = protected(dedup_window=60)
    assert run(ask(app)).body == b"run 1"
    clock.advance(59)
    assert run(ask(app)).is_replay
    clock.advance(2)
    assert run(ask(app)).body == b"run 2"


def test_leases_are_as_the_settings_say(
    protected: Make, handler: Handler, clock: ManualClock
) -> None:
    """Goal: the settings say how long an attempt has, and what becomes of one that lapsed.
    Method: a lease of its own length, with and without renewal; let it lapse, and ask again."""

    async def scenario() -> None:
        leases: list[Lease] = []
        for keep in (True, False):
            app = protected(lease_duration=300, keep_lease=keep, on_lapse="unknown")
            work = Work(handler)

            async def noting(scope: Any, receive: Any, send: Any, work: Any = work) -> None:
                leases.append(scope[ATTEMPT])
                await work(scope, receive, send)

            handler.work = noting
            key = f"key-{keep}"
            asking = Asking(app, key)
            await work.inside.wait()
            # The clock that leases are read by is a coarse one.
            assert 299 <= leases[-1].remaining <= 300
            clock.advance(250)
            if keep:
                while leases[-1].remaining < 299:
                    await asyncio.sleep(0)
                assert (await ask(app, key)).code == "in-progress"
            else:
                assert (await ask(app, key)).code == "in-progress"
                clock.advance(51)
                assert (await ask(app, key)).code == "unresolved"
            work.go_on.set()
            # No other attempt took over: who comes late resolves the doubt.
            assert (await asking.answered()).status == 201
            assert (await ask(app, key)).is_replay

    run(scenario())
