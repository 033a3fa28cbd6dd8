"""The middleware for ASGI: what runs, what is replayed, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asking import Asking, ask
from conftest import Handler, run

from oncegate import Engine, Failure, KeyRules, Lease, ManualClock, Quota
from oncegate.asgi import IdempotencyMiddleware
from oncegate.http import ATTEMPT, Settings

Make = Callable[..., IdempotencyMiddleware]


def test_duplicates_get_the_first_response(protected: Make, handler: Handler) -> None:
    """Goal: a resend gets what the first request got, without what belonged to its client.
    Method: a response with kept headers, a cookie and a length; bare and quoted key."""
    handler.headers = [
        (b"content-type", b"text/plain"),
        (b"Location", b"/charges/1"),
        (b"link", b"<a>"),
        (b"link", b"<b>"),
        (b"set-cookie", b"session=1"),
        (b"x-request-id", b"7"),
        (b"content-length", b"5"),
    ]
    app = protected()
    first, again = run(both(ask(app, "key-1"), ask(app, '"key-1"')))
    assert (first.status, first.body, first.is_replay) == (201, b"run 1", False)
    assert first.header("set-cookie") == "session=1"
    assert (again.status, again.body, again.is_replay) == (201, b"run 1", True)
    assert again.header("location") == "/charges/1"
    assert again.header("link") == "<a>, <b>"
    assert again.header("content-length") == "5"
    assert again.header("set-cookie") is again.header("x-request-id") is None
    assert handler.runs == 1


def test_a_header_may_be_kept_besides(protected: Make, handler: Handler) -> None:
    """Goal: headers of the application's own are replayed where it says so. Method: one."""
    handler.headers = [(b"x-charge", b"7")]
    app = protected(keep_headers=["X-Charge"], replay_header="X-Replayed")
    _, again = run(both(ask(app), ask(app)))
    assert (again.header("x-charge"), again.header("x-replayed")) == ("7", "true")


def test_what_names_another_request_runs(protected: Make, handler: Handler) -> None:
    """Goal: scope, method, path, query and key tell requests apart, and nothing else does.
    Method: one request, and others that differ in one of them."""
    app = protected(scope=lambda head: head.header("x-account"))
    a, b = [("x-account", "a")], [("x-account", "b")]
    others: list[dict[str, Any]] = [
        {"headers": a},
        {"headers": b},
        {"headers": a, "method": "PATCH"},
        {"headers": a, "path": "/refunds"},
        {"headers": a, "path": "/charges?dry=1"},
        {"headers": a, "key": "key-2"},
    ]
    for other in others:
        assert not run(ask(app, **other)).is_replay, other
    assert handler.runs == len(others)
    assert run(ask(app, headers=[*a, ("user-agent", "another")])).is_replay


def test_the_same_key_with_another_body_is_refused(protected: Make, handler: Handler) -> None:
    """Goal: a key that is used for something else gets 422, while it runs and afterwards.
    Method: the same value in another spelling, and another value."""
    app = protected()
    assert run(ask(app, body=b'{"amount":1,"to":"x"}')).status == 201
    assert run(ask(app, body=b'{ "to": "x", "amount": 1.0 }')).is_replay
    refused = run(ask(app, body=b'{"amount":2,"to":"x"}'))
    assert (refused.status, refused.code) == (422, "mismatched")
    assert handler.runs == 1


def test_the_handler_gets_the_body_and_its_attempt(protected: Make, handler: Handler) -> None:
    """Goal: the body reaches the handler as it was sent, and the attempt with it; what is above
    the middleware does not find the attempt. Method: a body in three parts."""
    attempts: list[Lease] = []

    async def work(scope: Any, receive: Any, send: Any) -> None:
        attempts.append(scope[ATTEMPT])
        message = await receive()
        assert message == {"type": "http.request", "body": b'{"a":1}', "more_body": False}
        await handler.answer(send, b"done")

    handler.work = work

    async def scenario() -> Asking:
        asking = Asking(protected(), body=[b'{"a"', b":", b"1}"])
        await asking.answered()
        return asking

    asking = run(scenario())
    assert (attempts[0].attempt, attempts[0].ended) == (1, True)
    assert ATTEMPT not in asking.scope


def test_methods_decide_what_needs_a_key(protected: Make, handler: Handler) -> None:
    """Goal: safe methods pass, others need a key, and PUT and DELETE need none.
    Method: each without a key, and the safe ones twice with one; with the settings that change it.
    """
    app = protected()
    safe = ("GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "REPORT", "SEARCH")
    for method in (*safe, "PUT", "DELETE"):
        assert run(ask(app, None, method=method)).status == 201, method
    for method in safe * 2:
        assert not run(ask(app, "key-1", method=method)).is_replay, method
    for method in ("POST", "PATCH", "get", "query", "BREW", "MOVE", "MKCOL", "LOCK"):
        refused = run(ask(app, None, method=method))
        assert (refused.status, refused.code) == (400, "missing-key"), method
    assert run(ask(protected(key_required=False), None)).status == 201
    app = protected(dedup_by_payload=True)
    put = {"key": None, "method": "PUT"}
    assert not run(ask(app, **put)).is_replay
    assert run(ask(app, **put)).is_replay
    assert not run(ask(app, body=b'{"amount":2}', **put)).is_replay


def test_exempt_paths_pass(protected: Make, handler: Handler) -> None:
    """Goal: paths that are exempt need no key, and others do. Method: one path, and a folder."""
    app = protected(exempt=["/login", "/hooks/*"])
    for path, status in (
        ("/login", 201),
        ("/login/", 400),
        ("/hooks/a", 201),
        ("/hooks", 400),
    ):
        assert run(ask(app, None, path=path)).status == status, path
    assert handler.runs == 2


def test_malformed_keys_are_refused(protected: Make, handler: Handler) -> None:
    """Goal: a key that is malformed, comes twice, or breaks the engine's rules gets 400.
    Method: one of each; nothing runs."""
    app = protected()
    twice = [("idempotency-key", "key-2")]
    for key, headers in (("a b", []), ('"a', []), ("", []), ("key-1", twice), ("x" * 256, [])):
        refused = run(ask(app, key, headers=headers))
        assert (refused.status, refused.code) == (400, "invalid-key"), key
        assert len(key) < 4 or key.encode() not in refused.body
    with Engine(private=True, capacity=16, key_rules=KeyRules(min_len=16)) as strict:
        app = IdempotencyMiddleware(handler, Settings(strict, single_tenant=True))
        assert run(ask(app, "short")).code == "invalid-key"
    assert handler.runs == 0


def test_bodies_that_cannot_be_compared_are_refused(protected: Make, handler: Handler) -> None:
    """Goal: a body that is too large, announced or not, or no JSON although it says so, is refused
    before anything is admitted. Method: one of each; the largest that is allowed runs."""
    app = protected(payload_limit=10)
    for options in (
        {"body": b'{"a":12345}'},
        {"body": [b'{"a":', b"12345}"]},
        {"headers": [("content-length", "11")]},
    ):
        refused = run(ask(app, **options))
        assert (refused.status, refused.code) == (413, "payload-too-large"), options
    refused = run(ask(app, body=b'{"a":'))
    assert (refused.status, refused.code) == (400, "invalid-payload")
    assert handler.runs == 0
    assert run(ask(app, body=[b'{"a":', b"1234}"])).status == 201


def test_a_body_that_breaks_off_runs_nothing(protected: Make, handler: Handler) -> None:
    """Goal: a request whose client leaves before it was whole never runs.
    Method: half a body, and a disconnect."""

    async def scenario() -> None:
        asking = Asking(protected(), body=[b'{"a"', b""])
        asking._incoming.get_nowait()
        asking._incoming.get_nowait()
        asking._incoming.put_nowait({"type": "http.request", "body": b"{", "more_body": True})
        asking.leave()
        await asking.answered()

    run(scenario())
    assert handler.runs == 0


def test_who_is_unknown_is_refused(protected: Make, handler: Handler) -> None:
    """Goal: nobody without an identity makes records; coroutine functions may tell who it is.
    Method: a scope from a header, by a function of each kind."""

    async def account_of(head: Any) -> str | None:
        await asyncio.sleep(0)
        account: str | None = head.header("X-Account")
        return account

    class Accounts:
        async def __call__(self, head: Any) -> str | None:
            account: str | None = head.header("X-Account")
            return account

    for number, scope in enumerate((account_of, Accounts(), lambda head: head.header("x-account"))):
        app = protected(scope=scope)
        refused = run(ask(app))
        assert (refused.status, refused.code) == (403, "no-scope")
        allowed = run(ask(app, f"key-{number}", headers=[("x-account", "a")]))
        assert allowed.status == 201


def test_mistakes_of_the_service_are_its_own(protected: Make, handler: Handler) -> None:
    """Goal: a scope or an operation that no record can have is answered with 500, and one that is
    too long with 414. Method: one of each."""
    for options, code in (
        ({"scope": lambda head: ""}, "misconfigured"),
        ({"operation": lambda head: ""}, "misconfigured"),
        ({"operation": lambda head: "x" * 1_025}, "operation-too-long"),
    ):
        assert run(ask(protected(**options))).code == code
    assert run(ask(protected(), path="/" + "x" * 1_100)).status == 414
    app = protected(operation=lambda head: f"v2 {head.method} {head.connection['path']}")
    assert not run(ask(app, path="/charges?a=1")).is_replay
    assert run(ask(app, path="/charges?a=2")).is_replay
    assert handler.runs == 1


def test_no_room_is_told(handler: Handler) -> None:
    """Goal: a quota that is used up gets 429, a full table and a closed engine 503, and nothing
    runs. Method: engines that are small, strict and closed."""
    with Engine(private=True, capacity=16, default_quota=Quota(max_live=1)) as engine:
        app = IdempotencyMiddleware(handler, Settings(engine, scope=lambda head: "a"))
        assert run(ask(app, "key-1")).status == 201
        refused = run(ask(app, "key-2"))
        assert (refused.status, refused.code) == (429, "quota-exceeded")
        assert int(refused.header("retry-after") or 0) >= 1
    refused = run(ask(app, "key-3"))
    assert (refused.status, refused.code) == (503, "unavailable")
    assert handler.runs == 1


@pytest.mark.parametrize("preset", ["ietf", "stripe-v1", "stripe-v2"])
def test_presets_decide_what_is_replayed(protected: Make, handler: Handler, preset: str) -> None:
    """Goal: what is final is replayed, and what is not runs again as the next attempt.
    Method: statuses that the three presets judge differently."""
    app = protected(policy=preset)
    final = {"ietf": {201, 402}, "stripe-v1": {201, 402, 500}, "stripe-v2": {201}}[preset]
    for status in (201, 402, 409, 500):
        handler.status, handler.runs = status, 0
        first, again = run(both(ask(app, f"key-{status}"), ask(app, f"key-{status}")))
        assert first.status == again.status == status
        assert again.is_replay == (status in final), status
        assert handler.runs == (1 if status in final else 2)


def test_conflicts_are_told(
    protected: Make, handler: Handler, engine: Engine, clock: ManualClock
) -> None:
    """Goal: each state of a record that runs nothing has its answer. Method: an attempt that runs,
    one that is due later, one whose effect nobody knows, and one that was not kept."""
    app = protected(poll_after=5.0)

    async def scenario() -> None:
        inside, go_on = asyncio.Event(), asyncio.Event()
        leases: list[Lease] = []

        async def work(scope: Any, receive: Any, send: Any) -> None:
            leases.append(scope[ATTEMPT])
            inside.set()
            await go_on.wait()

        handler.work = work
        first = Asking(app)
        await inside.wait()
        running = await ask(app)
        assert (running.status, running.code) == (409, "in-progress")
        assert running.header("retry-after") == "5"
        assert (await ask(app, body=b"2")).code == "mismatched"
        leases[0].fail(Failure.retryable(after=7))
        waiting = await ask(app)
        assert (waiting.code, waiting.header("retry-after")) == ("scheduled", "7")
        clock.advance(7)
        second = Asking(app)
        while len(leases) < 2:
            await asyncio.sleep(0)
        leases[1].fail(Failure.unknown())
        unknown = await ask(app)
        assert (unknown.code, unknown.header("retry-after")) == ("unresolved", None)
        go_on.set()
        for asking in (first, second):
            # Their attempts are over, and neither is told as a result.
            assert (await asking.answered()).code == "aborted"

    run(scenario())


def test_a_request_below_another_middleware_passes(
    protected: Make, handler: Handler, engine: Engine
) -> None:
    """Goal: a second middleware below the first one finds the record of the first, and leaves the
    request alone. Method: the same engine twice, and a websocket besides."""
    inner = protected()
    outer = IdempotencyMiddleware(inner, Settings(engine, single_tenant=True))
    assert run(ask(outer)).body == b"run 1"
    assert run(ask(outer)).is_replay
    scope = {"type": "websocket"}
    handler.work = note = Noted()
    nothing: Any = None
    run(inner(scope, nothing, nothing))
    assert note.scopes == [scope]


class Noted:
    """Notes what it is called with."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)


async def both(first: Any, second: Any) -> tuple[Any, Any]:
    """One after the other."""
    return await first, await second
