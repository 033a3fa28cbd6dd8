"""The middleware for WSGI: what servers and applications may do, and seldom do."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from test_wsgi import Reply, Site, ask, call

from oncegate import Engine, Lease, ManualClock
from oncegate.http import ATTEMPT, Polling, Settings
from oncegate.wsgi import IdempotencyMiddleware

Make = Callable[..., IdempotencyMiddleware]


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def guarded(engine: Engine, site: Site) -> Make:
    def make(**options: Any) -> IdempotencyMiddleware:
        if "scope" not in options:
            options["single_tenant"] = True
        return IdempotencyMiddleware(site, Settings(engine, **options))

    return make


def test_a_request_below_another_middleware_passes(
    guarded: Make, site: Site, engine: Engine
) -> None:
    """Goal: a second middleware below the first one finds the record of the first, and leaves the
    request alone. Method: the same engine twice; the environment of the server stays as it was."""
    outer = IdempotencyMiddleware(guarded(), Settings(engine, single_tenant=True))
    assert ask(outer).body == b"run 1"
    assert ask(outer).is_replay
    seen: list[Any] = []

    def server(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        before = dict(environ)
        body = outer(environ, start_response)
        seen.append(environ == before)
        return body

    assert ask(server, "key-2").body == b"run 2"
    assert seen == [True]


def test_methods_and_names_of_headers(guarded: Make, site: Site) -> None:
    """Goal: safe methods pass, a header of another name may hold the key, and replays are marked by
    another one. Method: one of each."""
    app = guarded(key_header="X-Request-Key", replay_header="X-Again")
    for method in ("GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "REPORT", "SEARCH"):
        assert ask(app, method=method).header("x-again") is None
        assert ask(app, None, method=method).status == 201
    site.runs = 0
    assert ask(app).code == "missing-key"
    named = {"HTTP_X_REQUEST_KEY": "key-1"}
    assert ask(app, None, environ=named).body == b"run 1"
    assert ask(app, None, environ=named).header("x-again") == "true"


def test_paths_are_read_as_they_are_meant(guarded: Make, site: Site) -> None:
    """Goal: a path outside of ASCII is exempt as it is written in the settings. Method: one, as
    servers give it."""
    app = guarded(exempt=["/größe"])
    assert ask(app, None, path="/größe".encode().decode("latin-1")).status == 201
    assert ask(app, None, path="/größe").code == "missing-key"


def test_bodies_that_are_encoded_are_compared_byte_by_byte(guarded: Make) -> None:
    """Goal: what the body says is not read where it is encoded. Method: two spellings of a value,
    plain and encoded."""
    app = guarded()
    for key, environ in (("key-1", {}), ("key-2", {"HTTP_CONTENT_ENCODING": "x-own"})):
        assert ask(app, key, body=b"[1]", environ=environ).status == 201
        assert ask(app, key, body=b"[ 1 ]", environ=environ).status == (422 if environ else 201)


class Trickle(io.BytesIO):
    """A body that comes byte by byte, and may break off."""

    def __init__(self, body: bytes, breaks: bool) -> None:
        super().__init__(body)
        self.breaks = breaks

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(1)
        if not data and self.breaks:
            raise OSError("the client has left")
        return data


def test_bodies_that_come_in_parts(guarded: Make, site: Site) -> None:
    """Goal: a body is read until it is whole, and one that breaks off runs nothing. Method: byte by
    byte; with a length that it has, and with one that it has not, by its end and by an error."""
    app = guarded()
    told = [
        ask(app, key, environ={"wsgi.input": Trickle(b"[1,2]", breaks), "CONTENT_LENGTH": length})
        for key, breaks, length in (
            ("key-1", False, "6"),
            ("key-1", True, "6"),
            ("key-1", True, "5"),
            ("key-1", False, "5"),
        )
    ]
    assert [reply.code for reply in told[:2]] == ["payload-incomplete"] * 2
    assert [reply.is_replay for reply in told[2:]] == [False, True]
    assert site.runs == 1


def test_nothing_goes_past_what_is_stored(guarded: Make, site: Site) -> None:
    """Goal: an application cannot hand a file to the server past the middleware.
    Method: a server that offers to take it."""
    offered: list[bool] = []

    def make(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        offered.append("wsgi.file_wrapper" in environ)
        start_response("200 OK", [])
        return [b"done"]

    site.make = make
    ask(guarded(), environ={"wsgi.file_wrapper": lambda *_: [b"a file"]})
    assert offered == [False]


def test_a_length_tells_whether_more_comes(guarded: Make, site: Site) -> None:
    """Goal: with a length, the first piece does not wait for the second; a piece that is the whole
    of it waits for the record. Method: see what was made when the server has a piece."""
    made: list[int] = []

    def make(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "4")])
        for number in range(2):
            made.append(number)
            yield b"%d " % number

    site.make = make
    app = guarded()
    _, body = call(app)
    pieces = iter(body)
    assert (next(pieces), made) == (b"0 ", [0])
    assert list(pieces) == [b"1 "]
    assert ask(app).is_replay

    def whole(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "4")])
        return [b"1234"]

    site.make = whole
    _, body = call(app, "key-2")
    assert list(body) == [b"1234"]
    assert ask(app, "key-2").is_replay


def test_events_are_passed_on_at_once(guarded: Make, site: Site) -> None:
    """Goal: an event stream is not held up, never stored, and ends with its client though handlers
    are detached. Method: take one event, ask again, and leave."""
    made: list[int] = []

    def make(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        for number in range(3):
            made.append(number)
            yield b"data: %d\n\n" % number

    site.make = make
    app = guarded(detached=True)
    _, body = call(app)
    assert (next(iter(body)), made) == (b"data: 0\n\n", [0])
    assert ask(app).code == "outcome-gone"
    body.close()  # type: ignore[attr-defined]  # a server has looked whether it has one
    assert (made, site.closed) == ([0], 1)


def test_an_error_after_the_head_is_raised(guarded: Make, site: Site) -> None:
    """Goal: an application that begins anew after its head was sent is told so, as PEP 3333 asks
    for, and its attempt has failed. Method: one that does."""

    def make(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one "
        yield b"two "
        error = KeyError("bug")
        start_response("500 Oh", [], (KeyError, error, None))
        raise AssertionError("start_response has to raise what it was given")

    site.make = make
    app = guarded()
    with pytest.raises(KeyError, match="bug"):
        ask(app)
    site.make = None
    assert ask(app).body == b"run 2"


def test_reasons_are_of_their_status(guarded: Make, site: Site) -> None:
    """Goal: an application's own words for a status are not put beside another status.
    Method: a response that is replaced by a problem, as its lease was ended by the application."""

    def make(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ[ATTEMPT].abandon()
        start_response("201 Mine", [])
        return [b"done"]

    site.make = make
    refused = ask(guarded())
    assert (refused.line, refused.code) == ("409 Conflict", "fenced")


def test_a_kept_lease_does_not_lapse(guarded: Make, site: Site, clock: ManualClock) -> None:
    """Goal: a slow application keeps its lease, and not for ever. Method: more than a lease passes
    within the application, renewed by the engine's thread; and a limit that is over."""
    leases: list[Lease] = []

    def make(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        lease = environ[ATTEMPT]
        leases.append(lease)
        for _ in range(4):
            clock.advance(10)
            if is_kept:
                renewed = threading.Event()
                while lease.remaining < 21:
                    renewed.wait(0.001)
        site.make = None
        told.append(ask(app, key))
        start_response("200 OK", [])
        return [b"slow"]

    told: list[Reply] = []
    for is_kept in (True, False):
        app, key = guarded(keep_at_most=3_600 if is_kept else 1), f"key-{is_kept}"
        site.make = make
        reply = ask(app, key)
        if is_kept:
            assert (told[-1].code, reply.body) == ("in-progress", b"slow")
        else:
            assert (told[-1].status, reply.code) == (201, "fenced")


def test_duplicates_may_wait(site: Site) -> None:
    """Goal: a duplicate waits for the running attempt, and gets its response; an engine whose own
    duplicates wait does not make one wait that is not to. Method: a thread that asks while the
    application runs, which goes on when the engine counts it."""
    told: list[Reply] = []

    def wait() -> None:
        told.append(ask(patient))

    def make(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        told.append(ask(hurried))
        thread.start()
        seen = threading.Event()
        while engine.stats().waiters < 1:
            assert len(told) == 1, "answered, and did not wait"
            seen.wait(0.001)
        start_response("200 OK", [])
        return [b"done"]

    with Engine(private=True, capacity=16, wait=1_000) as engine:
        hurried = IdempotencyMiddleware(site, Settings(engine, single_tenant=True))
        patient = IdempotencyMiddleware(site, Settings(engine, single_tenant=True, wait=60))
        site.make = make
        thread = threading.Thread(target=wait)
        assert ask(patient).body == b"done"
        thread.join()
    assert told[0].code == "in-progress"
    assert (told[1].body, told[1].is_replay, site.runs) == (b"done", True, 1)


def test_only_who_gets_is_told(guarded: Make, site: Site) -> None:
    """Goal: the place to poll at answers GET and nothing else. Method: another safe method; and
    somebody without an identity."""
    polling = Polling(b"0123456789abcdef", path="/requests")
    app = guarded(polling=polling, scope=lambda head: head.header("x-account"))
    path = "/requests/" + "A" * 64
    known = {"HTTP_X_ACCOUNT": "a"}
    assert ask(app, None, method="GET", path=path).code == "no-scope"
    assert ask(app, None, method="GET", path=path, environ=known).code == "no-such-request"
    assert ask(app, None, method="OPTIONS", path=path, environ=known).body == b"run 1"
