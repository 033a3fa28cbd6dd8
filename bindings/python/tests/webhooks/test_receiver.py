"""A receiver of webhooks: how deliveries end, in both kinds of functions, and what is answered."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from test_webhooks import SECRET, STANDARD, of_github, of_standard, of_stripe

from oncegate import Engine, Failure, Lease, ManualClock, Quota, webhooks
from oncegate._core import Admitted
from oncegate.webhooks import Delivery, Receiver, Reply

COME_AGAIN = (("retry-after", "1"),)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(clock: ManualClock) -> Iterator[Engine]:
    """One where an attempt that nobody ended is in doubt, and whose time is moved by hand."""
    with Engine(private=True, capacity=1_000, on_drop="unknown", clock=clock) as engine:
        yield engine


@pytest.fixture
def leases(monkeypatch: pytest.MonkeyPatch) -> list[Lease]:
    """Those of all deliveries, which are held here: nothing ends because it is freed."""
    held: list[Lease] = []

    def noting(made: Callable[..., Any]) -> Callable[..., Any]:
        def begin(*arguments: Any, **options: Any) -> Any:
            admission = made(*arguments, **options)
            if isinstance(admission, Admitted):
                held.append(admission.lease)
            return admission

        return begin

    # What both forms of beginning come from.
    monkeypatch.setattr(Engine, "begin", noting(Engine.begin))
    return held


class Deliver:
    """Gives deliveries to a receiver, by a plain function or by a coroutine function."""

    def __init__(self, is_async: bool) -> None:
        self.is_async = is_async

    def __call__(
        self, receiver: Receiver, handler: Callable[[Delivery], object], body: bytes = b"{}"
    ) -> Reply:
        if not self.is_async:
            return receiver.receive(of_github(body, "d1"), body, handler)

        async def handle(delivery: Delivery) -> None:
            handler(delivery)

        return asyncio.run(receiver.receive_async(of_github(body, "d1"), body, handle))


@pytest.fixture(params=["plain", "async"])
def deliver(request: pytest.FixtureRequest) -> Deliver:
    return Deliver(request.param == "async")


def fine(_: Delivery) -> None:
    """It does what it has to."""


def test_each_end_of_a_handler(engine: Engine, leases: list[Lease], deliver: Deliver) -> None:
    """Goal: a delivery that was handled is done, one whose handler raised is tried again, and one
    whose handler was broken off is resolved by `on_drop`, whoever holds the lease.
    Method: a handler of each kind, then a second delivery, then a third."""

    def bug(_: Delivery) -> None:
        raise KeyError("bug")

    def stopped(_: Delivery) -> None:
        raise SystemExit

    receiver = Receiver(engine, webhooks.github(SECRET))
    assert deliver(receiver, bug).status == 500
    assert [lease.ended for lease in leases] == [True]
    assert deliver(receiver, fine) == Reply(204)
    assert [lease.ended for lease in leases] == [True, True]
    assert deliver(receiver, bug) == Reply(204, replayed=True)
    other = Receiver(engine, webhooks.github(SECRET), scope="another endpoint")
    with pytest.raises(SystemExit):
        deliver(other, stopped)
    assert [lease.ended for lease in leases] == [True] * 3
    # Nobody knows what was done: no `Retry-After`, since it does not come right by itself.
    assert deliver(other, fine) == Reply(409)


def test_a_slow_handler_keeps_its_lease(
    engine: Engine, clock: ManualClock, leases: list[Lease], deliver: Deliver
) -> None:
    """Goal: a duplicate does not run beside a handler that is slow. Method: two leases pass within
    the handler; the engine's thread has renewed when it lasts long again."""
    receiver = Receiver(engine, webhooks.github(SECRET))
    again: list[Reply] = []

    def slow(_: Delivery) -> None:
        for _step in range(6):
            clock.advance(10)
            while leases[0].remaining < 21:
                # Other threads go on meanwhile.
                engine.stats()
        again.append(receiver.receive(of_github(b"{}", "d1"), b"{}", fine))

    assert deliver(receiver, slow) == Reply(204)
    assert again == [Reply(409, COME_AGAIN)]


@pytest.mark.parametrize("fails", [False, True])
def test_another_attempt_counts(
    engine: Engine, leases: list[Lease], deliver: Deliver, fails: bool
) -> None:
    """Goal: an attempt that was taken over says neither that it is done nor that it has failed.
    Method: its lease ends meanwhile, and another delivery is handled."""
    receiver = Receiver(engine, webhooks.github(SECRET))
    inner: list[Reply] = []

    def late(_: Delivery) -> None:
        leases[0].fail(Failure.retryable())
        inner.append(receiver.receive(of_github(b"{}", "d1"), b"{}", fine))
        if fails:
            raise KeyError("bug")

    assert deliver(receiver, late) == Reply(409, COME_AGAIN)
    assert inner == [Reply(204)]


def test_deliveries_are_remembered_as_long_as_they_are_sent(
    engine: Engine, clock: ManualClock, deliver: Deliver
) -> None:
    """Goal: a delivery has no second effect while its provider may send it, whatever the engine's
    window is; or as long as the receiver says. Method: just before and after a week, and a minute.
    """
    own: dict[str, Any] = {"dedup_window": 60.0}
    for window, options in ((webhooks.WEEK, {}), (60.0, own)):
        receiver = Receiver(engine, webhooks.github(SECRET), scope=str(window), **options)
        assert deliver(receiver, fine) == Reply(204)
        clock.advance(window - 2)
        assert deliver(receiver, fine) == Reply(204, replayed=True)
        clock.advance(4)
        assert deliver(receiver, fine) == Reply(204)


def test_what_cannot_be_looked_up_comes_again(clock: ManualClock, deliver: Deliver) -> None:
    """Goal: a receiver that cannot know whether it has run says so, and when to come again; nothing
    runs. Method: a quota that fills by time, and a closed engine."""
    quota = Quota(rate=0.1, burst=1)
    with Engine(private=True, capacity=16, default_quota=quota, clock=clock) as engine:
        receiver = Receiver(engine, webhooks.github(SECRET))
        assert deliver(receiver, fine) == Reply(204)
        refused = receiver.receive(of_github(b"{}", "d2"), b"{}", fine)
        assert refused == Reply(503, (("retry-after", "10"),))
    assert deliver(receiver, fine) == Reply(503, COME_AGAIN)


def test_receivers_are_kept_apart(engine: Engine, deliver: Deliver) -> None:
    """Goal: two endpoints whose providers use the same ids do not take each other's deliveries.
    Method: one id, two scopes; and the same scope again."""
    first = Receiver(engine, webhooks.github(SECRET), scope="first")
    assert deliver(first, fine) == Reply(204)
    assert deliver(Receiver(engine, webhooks.github(SECRET), scope="second"), fine) == Reply(204)
    assert deliver(Receiver(engine, webhooks.github(SECRET), scope="first"), fine).replayed


def test_a_duplicate_may_wait(engine: Engine, deliver: Deliver) -> None:
    """Goal: the receiver says how long a duplicate waits for the running delivery, whatever the
    engine says. Method: an engine that notes it, where the time stands still."""
    waits: list[Any] = []

    class Noting:
        """It begins, and notes how long that may take."""

        def begin(self, request: Any, *, wait: float, **options: Any) -> Any:
            waits.append(wait)
            return engine.begin(request, wait=0, **options)

        async def begin_async(self, request: Any, **options: Any) -> Any:
            return self.begin(request, **options)

    again: list[Reply] = []
    receiver = Receiver(engine, webhooks.github(SECRET), wait=7)
    receiver._engine = Noting()  # type: ignore[assignment]  # it begins, and does no more
    assert deliver(receiver, fine) == Reply(204)
    other = Receiver(engine, webhooks.github(SECRET))
    other._engine = receiver._engine
    assert deliver(other, lambda _: again.append(Reply(500))).replayed
    assert (waits, again) == ([7, 0.0], [])


def of(provider: str, body: bytes) -> tuple[dict[str, str], webhooks.Verifier]:
    """Headers that are right for a body, and what verifies them."""
    if provider == "stripe":
        return of_stripe(body), webhooks.stripe(SECRET)
    return of_standard(body, "m1"), webhooks.standard_webhooks(STANDARD)


@pytest.mark.parametrize("provider", ["stripe", "standard"])
@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"id":7,"type":"x"}', b'{"id":"","type":"x"}'])
def test_signed_and_strange(engine: Engine, provider: str, body: bytes) -> None:
    """Goal: a signed body that is no event is refused where its id is in the body, and is an event
    of no name where it is not; nothing breaks. Method: bodies that lack what an event has."""
    headers, verify = of(provider, body)
    handled: list[Delivery] = []
    reply = Receiver(engine, verify).receive(headers, body, handled.append)
    if provider == "stripe":
        assert (reply, handled) == (Reply(400), [])
    else:
        assert reply == Reply(204)
        assert [(delivery.id, delivery.event) for delivery in handled] == [
            ("m1", "x" if b"type" in body else "")
        ]


def test_what_is_signed_is_what_is_handled(engine: Engine) -> None:
    """Goal: neither an id nor a time can be put to a signature that was made for others, nor is a
    delivery taken without an id. Method: Standard Webhooks sign both; GitHub's id has to be there.
    """
    receiver = Receiver(engine, webhooks.standard_webhooks(STANDARD))
    headers = of_standard(b"{}", "m1")
    for name, value in (("webhook-id", "m2"), ("webhook-timestamp", "1")):
        assert receiver.receive({**headers, name: value}, b"{}", fine).status == 400
    other = webhooks.standard_webhooks("whsec_" + base64.b64encode(b"x" * 32).decode())
    assert Receiver(engine, other).receive(headers, b"{}", fine).status == 400
    github = of_github(b"{}", "d1")
    del github["X-GitHub-Delivery"]
    receiver = Receiver(engine, webhooks.github(SECRET.encode()))
    assert receiver.receive(github, b"{}", fine).status == 400
    verify = webhooks.github(SECRET)
    with pytest.raises(webhooks.VerificationError, match="x-github-delivery"):
        verify({name.lower(): value for name, value in github.items()}, b"{}")
    assert receiver.receive(of_github(b"{}", "x" * 256), b"{}", fine).status == 400
    stale = of_stripe(b'{"id":"evt_1","type":"x"}', 1)
    assert Receiver(engine, webhooks.stripe(SECRET)).receive(stale, b"{}", fine).status == 400
    assert engine.stats().created == 0


def test_applications_read_no_more_than_the_limit(engine: Engine) -> None:
    """Goal: a body without an end does not fill the memory. Method: one that is counted, for both
    kinds of applications; the second one with and without a length that tells the truth."""
    receiver = Receiver(engine, webhooks.github(SECRET), limit=100)
    parts = 0

    async def receive() -> dict[str, Any]:
        nonlocal parts
        parts += 1
        assert parts < 100, "read without an end"
        return {"type": "http.request", "body": b"x" * 50, "more_body": True}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def handle(_: Delivery) -> None:
        raise AssertionError("nothing runs")

    scope = {"type": "http", "method": "POST", "headers": []}
    application: Any = receiver.asgi(handle)
    asyncio.run(application(scope, receive, send))
    assert (sent[0]["status"], parts) == (413, 3)

    statuses: list[str] = []
    for length in ("1000000", "", "7", "-1"):
        stream = BytesIO(b"x" * 1_000_000)
        environ = {"REQUEST_METHOD": "POST", "wsgi.input": stream, "CONTENT_LENGTH": length}
        receiver.wsgi(fine)(environ, lambda status, headers: statuses.append(status))
        assert stream.tell() <= 101
    large, bad = "413 Content Too Large", "400 Bad Request"
    assert statuses == [large, large, bad, large]


def test_a_provider_that_leaves_delivers_nothing(engine: Engine) -> None:
    """Goal: a body that breaks off is not taken for a delivery, and a receiver takes HTTP alone.
    Method: a disconnect in the middle; a websocket."""
    receiver = Receiver(engine, webhooks.github(SECRET))
    application: Any = receiver.asgi(lambda _: asyncio.sleep(0))
    messages = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    pairs = [(k.lower().encode(), v.encode()) for k, v in of_github(b"{", "d1").items()]
    scope = {"type": "http", "method": "POST", "headers": pairs}
    asyncio.run(application(scope, receive, send))
    assert (sent, messages) == ([], [])
    with pytest.raises(ValueError, match="websocket"):
        asyncio.run(application({"type": "websocket"}, receive, send))


def test_a_reply_is_sent_with_its_headers(engine: Engine) -> None:
    """Goal: providers that heed `Retry-After` get it, and 405 says what is taken. Method: a running
    delivery and a GET, through both kinds of applications."""
    receiver = Receiver(engine, webhooks.github(SECRET))
    seen: list[tuple[str, dict[str, str]]] = []

    def start(status: str, headers: list[tuple[str, str]]) -> None:
        seen.append((status, dict(headers)))

    def environ(method: str) -> dict[str, Any]:
        made: dict[str, Any] = {"REQUEST_METHOD": method, "wsgi.input": BytesIO(b"{}")}
        for name, value in of_github(b"{}", "d1").items():
            made["HTTP_" + name.upper().replace("-", "_")] = value
        return {**made, "CONTENT_LENGTH": "2"}

    def handle(_: Delivery) -> None:
        receiver.wsgi(fine)(environ("POST"), start)
        receiver.wsgi(fine)(environ("GET"), start)
        asyncio.run(ask_both())

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            pairs = {name.decode(): value.decode() for name, value in message["headers"]}
            seen.append((str(message["status"]), pairs))

    async def ask_both() -> None:
        async def receive() -> Any:
            return {"type": "http.request", "body": b"{}"}

        pairs = [(k.lower().encode(), v.encode()) for k, v in of_github(b"{}", "d1").items()]
        for method in ("POST", "GET"):
            scope = {"type": "http", "method": method, "headers": pairs}
            await receiver.asgi(lambda _: asyncio.sleep(0))(scope, receive, send)

    receiver.wsgi(handle)(environ("POST"), start)
    plain = {"content-type": "text/plain", "content-length": "0"}
    assert seen == [
        ("409 Conflict", {"retry-after": "1", **plain}),
        ("405 Method Not Allowed", {"Allow": "POST", **plain}),
        ("409", {"retry-after": "1", **plain}),
        ("405", {"allow": "POST", **plain}),
        ("204 No Content", {}),
    ]
    assert json.loads(Delivery("d1", "push", b"{}").body) == {}
