"""Responses in pieces, too long, without an end, broken off, or late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asking import Asking, ask
from conftest import Handler, run

from oncegate import Engine, ManualClock, Outcome
from oncegate.asgi import IdempotencyMiddleware
from oncegate.http import ATTEMPT, BrokenOffError

Make = Callable[..., IdempotencyMiddleware]


def piece(body: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


def test_pieces_go_to_the_client_as_they_come(protected: Make, handler: Handler) -> None:
    """Goal: a stream is not held up, its end comes when it is stored, and it is replayed whole.
    Method: a handler that goes on when the client has its first piece."""

    async def scenario() -> None:
        go_on = asyncio.Event()

        async def work(scope: Any, receive: Any, send: Any) -> None:
            await handler.start(send)
            await send(piece(b"one "))
            await go_on.wait()
            await send(piece(b"two", more=False))

        handler.work = work
        app = protected()
        asking = Asking(app)
        await asking.has_head.wait()
        await asyncio.sleep(0)
        assert (asking.reply.pieces, asking.reply.is_whole) == ([b"one "], False)
        assert (await ask(app)).code == "in-progress"
        go_on.set()
        assert (await asking.answered()).body == b"one two"
        again = await ask(app)
        assert (again.body, again.is_replay) == (b"one two", True)

    run(scenario())
    assert handler.runs == 1


def test_streams_may_be_held_back(protected: Make, handler: Handler) -> None:
    """Goal: with `hold_streams`, the client gets nothing before the record has ended.
    Method: a stream in two pieces, looked at between them."""
    askings: list[Asking] = []

    async def work(scope: Any, receive: Any, send: Any) -> None:
        await handler.start(send)
        await send(piece(b"one "))
        assert askings[0].sent == []
        await send(piece(b"two", more=False))

    handler.work = work

    async def scenario() -> None:
        askings.append(Asking(protected(hold_streams=True)))
        assert (await askings[0].answered()).body == b"one two"
        assert len(askings[0].sent) == 2

    run(scenario())


@pytest.mark.parametrize("announced", [False, True])
def test_what_is_too_long_is_not_kept(protected: Make, handler: Handler, announced: bool) -> None:
    """Goal: a response beyond the limit reaches its client, and never runs again.
    Method: a limit of ten bytes, with and without a length that says so; one at the limit."""
    app = protected(response_limit=10)

    async def work(scope: Any, receive: Any, send: Any) -> None:
        await handler.answer(send, b"12345", b"678901")

    if announced:
        handler.headers.append((b"content-length", b"11"))
    handler.work = work
    first, again = run(in_turn(app, app))
    assert (first.status, first.body) == (201, b"12345678901")
    assert (again.status, again.code) == (409, "outcome-gone")
    handler.work = None
    handler.headers = [(b"content-length", b"10")]

    async def at_limit(scope: Any, receive: Any, send: Any) -> None:
        await handler.answer(send, b"12345", b"67890")

    handler.work = at_limit
    assert run(ask(app, "key-2")).body == run(ask(app, "key-2")).body == b"1234567890"
    assert handler.runs == 2


LONG = (b"content-length", b"20")
EVENTS = (b"content-type", b"text/event-stream")


def test_a_record_ends_before_a_long_body_does(protected: Make, handler: Handler) -> None:
    """Goal: a final response that cannot be kept ends its record at once; one that is to be
    retried holds it until its body has ended. Method: look while the body is open, of one that is
    too long, of one that says so, and of an event stream."""

    async def scenario() -> None:
        go_on = asyncio.Event()

        async def work(scope: Any, receive: Any, send: Any) -> None:
            await handler.start(send)
            await send(piece(b"x" * 20))
            await go_on.wait()
            await send(piece(b"", more=False))

        app = protected(response_limit=10)
        for number, header in enumerate(((b"x", b"y"), LONG, EVENTS)):
            for status, code in ((200, "outcome-gone"), (503, "in-progress")):
                handler.work, handler.status, handler.headers = work, status, [header]
                go_on.clear()
                key = f"key-{number}-{status}"
                asking = Asking(app, key)
                await asking.has_head.wait()
                assert (await ask(app, key)).code == code
                go_on.set()
                await asking.answered()
            handler.work, handler.headers = None, []
            assert not (await ask(app, key)).is_replay
        assert handler.runs == 9

    run(scenario())


def test_an_announced_length_is_believed(protected: Make, handler: Handler) -> None:
    """Goal: a response that says that it is too long is not held back, and its record ends before
    its first byte is beyond the limit. Method: a stream of eleven bytes with a limit of ten, held
    back, looked at after five."""

    async def scenario() -> None:
        go_on = asyncio.Event()

        async def work(scope: Any, receive: Any, send: Any) -> None:
            handler.headers = [(b"content-length", b"11")]
            await handler.start(send)
            await send(piece(b"12345"))
            await go_on.wait()
            await send(piece(b"678901", more=False))

        handler.work = work
        app = protected(response_limit=10, hold_streams=True)
        asking = Asking(app)
        await asking.has_head.wait()
        assert (await ask(app)).code == "outcome-gone"
        go_on.set()
        assert (await asking.answered()).body == b"12345678901"

    run(scenario())


def test_events_are_passed_on_at_once(protected: Make, handler: Handler) -> None:
    """Goal: an event stream is not held up, and never stored. Method: wait for its head alone,
    then for an event, and ask again."""

    async def scenario() -> None:
        go_on = asyncio.Event()

        async def work(scope: Any, receive: Any, send: Any) -> None:
            handler.headers = [(b"content-type", b"Text/Event-Stream; charset=utf-8")]
            await handler.start(send)
            await go_on.wait()
            await handler_pieces(send)

        async def handler_pieces(send: Any) -> None:
            await send(piece(b"data: 1\n\n"))
            await send(piece(b"", more=False))

        handler.work = work
        app = protected()
        asking = Asking(app)
        await asking.has_head.wait()
        assert (await ask(app)).code == "outcome-gone"
        go_on.set()
        assert (await asking.answered()).body == b"data: 1\n\n"

    run(scenario())
    assert handler.runs == 1


def test_what_only_names_events_is_kept(protected: Make, handler: Handler) -> None:
    """Goal: only the type itself makes an event stream. Method: the word in a parameter."""
    handler.headers = [(b"content-type", b"text/plain; note=text/event-stream")]
    app = protected()
    assert run(ask(app)).body == run(ask(app)).body == b"run 1"


def test_trailers_are_passed_on_and_not_kept(protected: Make, handler: Handler) -> None:
    """Goal: a response with trailers reaches its client with them, and is not replayed without.
    Method: one, and a duplicate; files that go past the body are not offered."""
    trailers = {"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")]}
    offered: list[Any] = []

    async def work(scope: Any, receive: Any, send: Any) -> None:
        offered.append(scope["extensions"])
        await handler.start(send, trailers=True)
        await send(piece(b"done", more=False))
        await send(trailers)

    handler.work = work
    past_the_body: dict[str, Any] = {"http.response.pathsend": {}, "http.response.zerocopysend": {}}
    extensions: dict[str, Any] = {"http.response.trailers": {}, **past_the_body}

    async def scenario() -> None:
        app = protected()
        asking = Asking(app, scope={"extensions": extensions})
        await asking.answered()
        assert asking.sent[0]["trailers"] is True
        assert asking.sent[-1] == trailers
        assert (await ask(app)).code == "outcome-gone"
        # What the server offers is the server's.
        assert asking.scope["extensions"] == extensions

    run(scenario())
    assert offered == [{"http.response.trailers": {}}]


def test_a_handler_that_raises_may_be_tried_again(protected: Make, handler: Handler) -> None:
    """Goal: an exception ends the attempt by the policy, and reaches the server.
    Method: raise before, in the middle of, and after a response."""

    async def scenario() -> None:
        app = protected()
        for number, pieces in enumerate(([], [b"half"])):

            async def work(scope: Any, receive: Any, send: Any, pieces: Any = pieces) -> None:
                if pieces:
                    await handler.start(send)
                for part in pieces:
                    await send(piece(part))
                raise KeyError("bug")

            handler.work = work
            with pytest.raises(KeyError):
                await ask(app, f"key-{number}")
            handler.work = None
            assert not (await ask(app, f"key-{number}")).is_replay
            assert (await ask(app, f"key-{number}")).is_replay

        async def late(scope: Any, receive: Any, send: Any) -> None:
            await handler.answer(send, b"done")
            raise KeyError("in what comes after the response")

        handler.work = late
        with pytest.raises(KeyError):
            await ask(app, "key-late")
        assert (await ask(app, "key-late")).body == b"done"

    run(scenario())


def test_exceptions_may_leave_doubt(handler: Handler, engine: Engine, protected: Make) -> None:
    """Goal: the policy may say that nobody knows what a handler did that raised.
    Method: such a policy; the duplicate is told, and nothing runs again."""
    from oncegate._policy import OutcomePolicy

    async def work(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError("bug")

    handler.work = work
    app = protected(policy=OutcomePolicy("ietf", on_error="unknown"))
    with pytest.raises(KeyError):
        run(ask(app))
    assert run(ask(app)).code == "unresolved"
    assert handler.runs == 1


@pytest.mark.parametrize("pieces", [(), (b"half",)])
def test_no_whole_response_is_none(
    protected: Make, handler: Handler, pieces: tuple[bytes, ...]
) -> None:
    """Goal: a handler that returns without a whole response has failed.
    Method: return with nothing, and with half of a response that was held back."""

    async def work(scope: Any, receive: Any, send: Any) -> None:
        if pieces:
            await handler.start(send)
        for part in pieces:
            await send(piece(part))

    handler.work = work
    app = protected(hold_streams=True)
    first = run(ask(app))
    assert (first.status, first.code) == (500, "aborted")
    handler.work = None
    assert not run(ask(app)).is_replay


@pytest.mark.parametrize("body", [b"short", b"much too long"])
def test_a_wrong_length_is_no_response(protected: Make, handler: Handler, body: bytes) -> None:
    """Goal: what the server would refuse to send is not stored as a result.
    Method: a body that is shorter or longer than its length says."""
    handler.headers = [(b"content-length", b"8")]

    async def work(scope: Any, receive: Any, send: Any) -> None:
        await handler.answer(send, body)

    handler.work = work
    app = protected()
    assert run(ask(app)).code == "aborted"
    handler.work = None
    handler.headers = []
    assert not run(ask(app)).is_replay


def test_a_late_response_is_discarded(
    protected: Make, handler: Handler, engine: Engine, clock: ManualClock
) -> None:
    """Goal: two clients never hold two results: a response that comes after the lease was lost is
    discarded, and a stream that has begun is broken off before its end.
    Method: let the lease lapse while the handler works, and another attempt finish."""

    async def scenario() -> None:
        for streams in (False, True):
            key = f"key-{streams}"
            go_on, inside = asyncio.Event(), asyncio.Event()

            async def slow(
                scope: Any,
                receive: Any,
                send: Any,
                go_on: Any = go_on,
                inside: Any = inside,
                streams: bool = streams,
            ) -> None:
                await handler.start(send)
                if streams:
                    await send(piece(b"slow "))
                inside.set()
                await go_on.wait()
                await send(piece(b"result", more=False))

            app = protected(keep_lease=False)
            handler.work = slow
            asking = Asking(app, key)
            await inside.wait()
            clock.advance(31)
            handler.work = None
            second = await ask(app, key)
            assert second.status == 201
            go_on.set()
            if streams:
                with pytest.raises(BrokenOffError):
                    await asking.answered()
                assert not asking.reply.is_whole
            else:
                late = await asking.answered()
                assert (late.status, late.code) == (409, "fenced")
            assert (await ask(app, key)).body == second.body

    run(scenario())


# What a handler sends after its lease was lost: status, pieces before and after; what comes of it.
LATE: dict[str, tuple[int, list[bytes], list[tuple[bytes, bool]], str]] = {
    "in one piece": (201, [], [(b"late", False)], "fenced"),
    "in two pieces, whole": (201, [], [(b"in full ", True), (b"", False)], "fenced"),
    "in a stream": (201, [b"half "], [(b"late", False)], "broken off"),
    "too long": (201, [], [(b"x" * 200, True), (b"", False)], "fenced"),
    "too long, in a stream": (201, [b"half "], [(b"x" * 200, True), (b"", False)], "broken off"),
    "no result": (503, [], [(b"late", False)], "fenced"),
    "no result, in a stream": (503, [b"half "], [(b"late", False)], "half late"),
}


@pytest.mark.parametrize("name", LATE)
def test_every_late_response_is_judged(
    protected: Make, handler: Handler, clock: ManualClock, name: str
) -> None:
    """Goal: of a response that comes after another attempt took over, nobody has the end: its
    client is told, or is broken off; what is no result cannot differ from one, and goes on.
    Method: each kind, with another attempt that finished meanwhile."""
    status, before, after, expected = LATE[name]
    length = {"in two pieces, whole": b"8"}.get(name)

    async def scenario() -> None:
        go_on, inside = asyncio.Event(), asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            handler.status = status
            handler.headers = [] if length is None else [(b"content-length", length)]
            await handler.start(send)
            for body in before:
                await send(piece(body))
            inside.set()
            await go_on.wait()
            for body, more in after:
                await send(piece(body, more))

        app = protected(keep_lease=False, response_limit=100)
        handler.work = slow
        asking = Asking(app)
        await inside.wait()
        clock.advance(31)
        handler.work, handler.status, handler.headers = None, 201, []
        second = await ask(app)
        assert (second.status, second.is_replay) == (201, False)
        go_on.set()
        if expected == "broken off":
            with pytest.raises(BrokenOffError):
                await asking.answered()
            assert not asking.reply.is_whole
        elif expected == "fenced":
            late = await asking.answered()
            assert (late.status, late.code, late.is_whole) == (409, "fenced", True)
        else:
            late = await asking.answered()
            assert (late.status, late.body.decode()) == (status, expected)
        assert (await ask(app)).body == second.body

    run(scenario())


def test_a_handler_that_ends_its_attempt_is_fenced(protected: Make, handler: Handler) -> None:
    """Goal: the middleware ends attempts, and nobody else. Method: a handler that does."""

    async def work(scope: Any, receive: Any, send: Any) -> None:
        scope[ATTEMPT].complete(Outcome(200, b"its own"))
        await handler.answer(send, b"another")

    handler.work = work
    app = protected()
    assert run(ask(app)).code == "fenced"
    assert run(ask(app)).body == b"its own"


def test_a_problem_has_no_trailers(protected: Make, handler: Handler) -> None:
    """Goal: what takes the place of a response is not followed by that response's trailers.
    Method: a handler that ends its attempt itself, with a response that has some."""

    async def work(scope: Any, receive: Any, send: Any) -> None:
        scope[ATTEMPT].complete(Outcome(200, b"its own"))
        await handler.start(send, trailers=True)
        await send(piece(b"another", more=False))
        await send({"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")]})

    handler.work = work

    async def scenario() -> None:
        asking = Asking(protected())
        assert (await asking.answered()).code == "fenced"
        kinds = [message["type"] for message in asking.sent]
        assert kinds == ["http.response.start", "http.response.body"]
        assert "trailers" not in asking.sent[0]

    run(scenario())


def test_a_kept_lease_does_not_lapse(protected: Make, handler: Handler, clock: ManualClock) -> None:
    """Goal: a slow handler keeps its lease, and not for ever.
    Method: three leases long, looked at after each; and with a limit of one lease."""

    async def scenario() -> None:
        for at_most, codes in ((3_600, ["in-progress"] * 3), (20, ["in-progress"] * 1)):
            go_on, inside = asyncio.Event(), asyncio.Event()
            leases: list[Any] = []

            async def slow(
                scope: Any,
                receive: Any,
                send: Any,
                go_on: Any = go_on,
                inside: Any = inside,
                leases: Any = leases,
            ) -> None:
                leases.append(scope[ATTEMPT])
                inside.set()
                await go_on.wait()
                await handler.answer(send, b"slow")

            handler.work = slow
            key = f"key-{at_most}"
            app = protected(keep_at_most=at_most)
            asking = Asking(app, key)
            await inside.wait()
            for code in codes:
                for _ in range(3):
                    clock.advance(10)
                    if at_most == 3_600:
                        # The keeper is a thread: it has renewed when it lasts long again.
                        while leases[0].remaining < 21:
                            await asyncio.sleep(0)
                if at_most == 3_600:
                    assert (await ask(app, key)).code == code
            if at_most == 20:
                clock.advance(30)
                handler.work = None
                assert (await ask(app, key)).status == 201
            go_on.set()
            assert (await asking.answered()).status == (201 if at_most == 3_600 else 409)

    run(scenario())


async def in_turn(first: Any, second: Any) -> tuple[Any, Any]:
    return await ask(first), await ask(second)
