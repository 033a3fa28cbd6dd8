"""The middleware for WSGI, with applications that are plain functions, and Flask's and Django's."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from oncegate import Engine, ManualClock
from oncegate.http import ATTEMPT, BrokenOffError, Polling, Settings
from oncegate.wsgi import IdempotencyMiddleware

Make = Callable[..., IdempotencyMiddleware]


class Reply:
    """What a server would have sent."""

    def __init__(self) -> None:
        self.line = ""
        self.headers: list[tuple[str, str]] = []
        self.pieces: list[bytes] = []

    @property
    def status(self) -> int:
        return int(self.line[:3])

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["code"])

    def header(self, name: str) -> str | None:
        return {known.lower(): value for known, value in self.headers}.get(name)

    @property
    def is_replay(self) -> bool:
        return self.header("idempotent-replayed") == "true"


def call(app: Any, key: str | None = "key-1", **options: Any) -> tuple[Reply, Iterable[bytes]]:
    """Calls an application as a server does."""
    body: bytes = options.get("body", b'{"amount":1}')
    environ: dict[str, Any] = {
        "REQUEST_METHOD": options.get("method", "POST"),
        "SCRIPT_NAME": "",
        "PATH_INFO": options.get("path", "/charges"),
        "QUERY_STRING": options.get("query", ""),
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **options.get("environ", {}),
    }
    if key is not None:
        environ["HTTP_IDEMPOTENCY_KEY"] = key
    reply = Reply()

    def start_response(line: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        assert not reply.line or exc_info is not None, "started twice"
        reply.line, reply.headers = line, headers

    return reply, app(environ, start_response)


def ask(app: Any, key: str | None = "key-1", **options: Any) -> Reply:
    """Calls an application, and takes all of its body."""
    reply, made = call(app, key, **options)
    try:
        reply.pieces.extend(made)
    finally:
        close = getattr(made, "close", None)
        if close is not None:
            close()
    return reply


class Site:
    """An application that answers with the number of its run."""

    def __init__(self) -> None:
        self.runs = 0
        self.closed = 0
        self.line = "201 Made"
        self.headers = [("Content-Type", "text/plain"), ("Set-Cookie", "a=b")]
        self.make: Callable[[dict[str, Any], Any], Iterable[bytes]] | None = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.runs += 1
        if self.make is not None:
            return Closing(self, self.make(environ, start_response))
        start_response(self.line, self.headers)
        return Closing(self, [b"run %d" % self.runs])


class Closing:
    """A body that has to be closed."""

    def __init__(self, site: Site, pieces: Iterable[bytes]) -> None:
        self.site = site
        self.pieces = iter(pieces)

    def __iter__(self) -> Iterator[bytes]:
        return self.pieces

    def close(self) -> None:
        self.site.closed += 1


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


def test_duplicates_get_the_first_response(guarded: Make, site: Site) -> None:
    """Goal: a resend gets what the first request got, without its cookie, and runs nothing.
    Method: two requests; each body is closed once."""
    app = guarded()
    first, again = ask(app), ask(app, '"key-1"')
    assert (first.line, first.body, first.header("set-cookie")) == ("201 Made", b"run 1", "a=b")
    assert (again.line, again.body, again.is_replay) == ("201 Created", b"run 1", True)
    assert again.headers[-1] == ("Content-Length", "5")
    assert again.header("set-cookie") is None
    assert (site.runs, site.closed) == (1, 1)


def test_what_is_refused(guarded: Make, site: Site) -> None:
    """Goal: keys, scopes and bodies are refused as with ASGI. Method: one of each."""
    app = guarded(scope=lambda head: head.header("x-account"), payload_limit=20)
    known = {"HTTP_X_ACCOUNT": "a"}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"key": None, "environ": known}, "missing-key"),
        ({"key": "a b", "environ": known}, "invalid-key"),
        ({"key": "a,b", "environ": known}, "invalid-key"),
        ({}, "no-scope"),
        ({"body": b"x" * 21, "environ": known}, "payload-too-large"),
        ({"body": b"{", "environ": known}, "invalid-payload"),
        ({"environ": {**known, "CONTENT_LENGTH": "13"}}, "payload-incomplete"),
        ({"path": "/" + "x" * 1_100, "environ": known}, "operation-too-long"),
    ]
    for options, code in cases:
        assert ask(app, **options).code == code
    assert site.runs == 0
    assert ask(app, environ=known).status == 201
    assert ask(app, body=b'{"amount":2}', environ=known).code == "mismatched"
    assert ask(app, None, method="GET").body == b"run 2"
    assert ask(guarded(exempt=["/charges"]), None).body == b"run 3"
    with pytest.raises(TypeError, match="scope"):
        guarded(scope=coroutine)


async def coroutine(_head: Any) -> str:
    return "a"


def test_bodies_reach_the_application(guarded: Make, site: Site) -> None:
    """Goal: the body is there to be read again, with its length, and the attempt with it.
    Method: bodies with a length, in chunks, and without an end that anybody knows."""
    bodies: list[tuple[bytes, str, int]] = []

    def make(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        attempt = environ[ATTEMPT].attempt
        bodies.append((environ["wsgi.input"].read(), environ["CONTENT_LENGTH"], attempt))
        start_response("200 OK", [])
        return []

    site.make = make
    app = guarded(payload_limit=12)
    assert ask(app, "key-1").body == b""
    chunked = {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}
    ask(app, "key-2", environ=chunked)
    assert ask(app, "key-3", environ=chunked, body=b"x" * 13).code == "payload-too-large"
    ask(app, "key-4", environ={"CONTENT_LENGTH": ""})
    whole = b'{"amount":1}'
    assert bodies == [(whole, "12", 1), (whole, "12", 1), (b"", "0", 1)]
    assert ask(app, "key-1").is_replay


def test_targets_tell_requests_apart(guarded: Make, site: Site) -> None:
    """Goal: the path as it was sent counts, where the server tells; else the one that it has made
    of it. Method: the same one in both ways, and others."""
    app = guarded()
    assert ask(app, path="/a b", query="x=1").body == b"run 1"
    assert ask(app, path="/a b", query="x=1", environ={"RAW_URI": "/a%20b?x=1"}).is_replay
    assert ask(app, environ={"REQUEST_URI": "/a%20b?x=1"}).is_replay
    assert ask(app, environ={"SCRIPT_NAME": "/a b", "PATH_INFO": ""}, query="x=1").is_replay
    assert ask(app, path="/a b", query="x=2").body == b"run 2"


def test_pieces_go_to_the_client_as_they_come(guarded: Make, site: Site) -> None:
    """Goal: a stream is not held up but by one piece, and is stored when it has ended; one that
    is closed before is never stored; detached, it is made to its end.
    Method: take one piece, look, and take the rest, or close it."""
    made: list[int] = []

    def make(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        for number in range(3):
            made.append(number)
            yield b"%d " % number

    site.make = make
    app = guarded()
    reply, body = call(app)
    pieces = iter(body)
    assert (reply.status, next(pieces), made) == (200, b"0 1 ", [0, 1])
    assert ask(app).code == "in-progress"
    assert list(pieces) == [b"2 "]
    body.close()  # type: ignore[attr-defined]  # a server has looked whether it has one
    assert (ask(app).body, ask(app).is_replay) == (b"0 1 2 ", True)
    for detached in (False, True):
        made.clear()
        app = guarded(detached=detached)
        _, body = call(app, f"key-{detached}")
        next(iter(body))
        body.close()  # type: ignore[attr-defined]  # as above
        assert made == ([0, 1, 2] if detached else [0, 1])
        again = ask(app, f"key-{detached}")
        assert (again.body, again.is_replay) == (b"0 1 2 ", detached)


def test_old_ways_of_answering(guarded: Make, site: Site) -> None:
    """Goal: what WSGI allows is taken: the function that writes, a head that is made late, and
    one that is made anew after an error. Method: one of each."""

    def make(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        write(b"written ")
        yield b""
        try:
            raise KeyError("bug")
        except KeyError:
            import sys

            start_response("500 Oh", [], sys.exc_info())
        yield b"yielded"

    site.make = make
    app = guarded(hold_streams=True, policy="stripe-v1")
    first = ask(app)
    assert (first.line, first.body) == ("500 Oh", b"written yielded")
    assert (ask(app).status, ask(app).body) == (500, b"written yielded")


def test_applications_that_fail(guarded: Make, site: Site) -> None:
    """Goal: an exception ends the attempt and reaches the server, and so does no response.
    Method: raise before and in a body; return without a head; leave by `SystemExit`."""

    def raises(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        raise KeyError("bug")

    def breaks_off(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"half"
        raise KeyError("bug")

    def exits(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        raise SystemExit

    for make, error in ((raises, KeyError), (breaks_off, KeyError), (exits, SystemExit)):
        site.make = make
        app = guarded()
        with pytest.raises(error):
            ask(app, f"key-{make.__name__}")
        site.make = None
        assert not ask(app, f"key-{make.__name__}").is_replay

    def says_nothing(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return []

    site.make = says_nothing
    assert ask(app, "key-nothing").code == "aborted"

    def has_no_head(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return [b"body"]

    site.make = has_no_head
    with pytest.raises(RuntimeError):
        ask(app, "key-nothing")


def test_late_responses_are_discarded(guarded: Make, site: Site, clock: ManualClock) -> None:
    """Goal: what comes after the lease was lost is discarded, or broken off before its end.
    Method: let another attempt finish while an application works."""
    app = guarded(keep_lease=False)

    def late(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        clock.advance(31)
        site.make = None
        assert ask(app, "key-late").status == 201
        return [b"late"]

    site.make = late
    assert ask(app, "key-late").code == "fenced"

    def stream(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"one "
        yield b"two "
        clock.advance(31)
        site.make = None
        assert ask(app, "key-stream").status == 201

    site.make = stream
    with pytest.raises(BrokenOffError):
        ask(app, "key-stream")


def test_who_waits_and_who_polls(guarded: Make, site: Site) -> None:
    """Goal: duplicates wait as the settings say, and are told where to ask.
    Method: from within the application, while it runs."""
    polling = Polling(b"0123456789abcdef", path="/requests")
    app = guarded(wait=0, polling=polling)
    told: list[Reply] = []

    def make(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        told.append(ask(app))
        told.append(ask(app, None, method="GET", path=told[0].header("location")))
        start_response("200 OK", [])
        return [b"done"]

    site.make = make
    assert ask(app).body == b"done"
    assert [reply.status for reply in told] == [202, 202]
    seen = ask(app, None, method="GET", path=told[0].header("location"))
    assert (seen.body, seen.is_replay) == (b"done", True)
    assert site.runs == 1
