"""Webhooks: what is signed is handled once, by its provider's id; everything else never."""

from __future__ import annotations

import asyncio
import base64
import datetime
import gzip
import hashlib
import hmac
import json
import pathlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import stripe
from standardwebhooks.webhooks import Webhook

from oncegate import Engine, webhooks
from oncegate.webhooks import Delivery, Receiver

ROOT = pathlib.Path(__file__).resolve().parents[4]
SECRET = "a secret of the provider's"
STANDARD = "whsec_" + base64.b64encode(b"another secret of 32 bytes......").decode()


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(capacity=1_000) as engine:
        yield engine


def of_github(body: bytes, number: str, event: str = "push") -> dict[str, str]:
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {
        "X-Hub-Signature-256": f"sha256={signature}",
        "X-GitHub-Delivery": number,
        "X-GitHub-Event": event,
    }


def of_stripe(body: bytes, at: int | None = None) -> dict[str, str]:
    at = int(time.time()) if at is None else at
    signed = f"{at}.{body.decode()}"
    signature = stripe.WebhookSignature._compute_signature(signed, SECRET)
    return {"Stripe-Signature": f"t={at},v1={signature}"}


def of_standard(body: bytes, number: str) -> dict[str, str]:
    now = datetime.datetime.now(tz=datetime.timezone.utc)
    return {
        "webhook-id": number,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(STANDARD).sign(number, now, body.decode()),
    }


def real_deliveries() -> Iterator[tuple[str, str, bytes]]:
    path = ROOT / "bindings/cli/data/github-webhooks.ndjson.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for at, line in enumerate(lines):
            told = json.loads(line)
            yield f"delivery-{at}", told["event"], json.dumps(told["payload"]).encode()


def test_every_real_delivery_is_handled_once(engine: Engine) -> None:
    """Goal: a redelivered webhook has no second effect.
    Method: 255 real webhooks of GitHub's, each delivered three times."""
    receiver = Receiver(engine, webhooks.github(SECRET))
    handled: list[Delivery] = []
    replies = []
    for number, event, body in real_deliveries():
        for _ in range(3):
            replies.append(receiver.receive(of_github(body, number, event), body, handled.append))
    assert len(handled) == len({delivery.id for delivery in handled}) == 255
    assert [reply.status for reply in replies] == [204] * 765
    assert sum(reply.replayed for reply in replies) == 510
    assert handled[0].json()["action"] == "created"


@pytest.mark.parametrize("provider", ["stripe", "standard", "github"])
def test_what_is_not_signed_is_refused(engine: Engine, provider: str) -> None:
    """Goal: nobody but the provider makes the handler run.
    Method: for each provider the right signature, and then one for another body, and none."""
    body = b'{"id": "evt_1", "type": "invoice.paid", "object": "event"}'
    headers, receiver = {
        "stripe": (of_stripe(body), Receiver(engine, webhooks.stripe(SECRET))),
        "standard": (
            of_standard(body, "m1"),
            Receiver(engine, webhooks.standard_webhooks(STANDARD)),
        ),
        "github": (of_github(body, "d1"), Receiver(engine, webhooks.github(SECRET))),
    }[provider]
    handled: list[Delivery] = []
    assert receiver.receive(headers, body + b" ", handled.append).status == 400
    assert receiver.receive({}, body, handled.append).status == 400
    assert handled == []
    assert receiver.receive(headers, body, handled.append).status == 204
    assert receiver.receive(headers, body, handled.append).replayed
    assert [delivery.body for delivery in handled] == [body]


def test_old_signatures_are_refused(engine: Engine) -> None:
    """Goal: a recorded delivery of Stripe's is of no use later on.
    Method: a signature of an hour ago."""
    body = b'{"id": "evt_1", "type": "invoice.paid", "object": "event"}'
    receiver = Receiver(engine, webhooks.stripe(SECRET))
    old = of_stripe(body, int(time.time()) - 3_600)
    assert receiver.receive(old, body, lambda _: None).status == 400


def test_stripe_sends_again_under_a_new_signature(engine: Engine) -> None:
    """Goal: it is the event that counts, and not how it was signed.
    Method: the same event with signatures of two times."""
    body = b'{"id": "evt_1", "type": "invoice.paid", "object": "event"}'
    receiver = Receiver(engine, webhooks.stripe(SECRET))
    handled: list[Delivery] = []
    now = int(time.time())
    for at in (now - 5, now):
        assert receiver.receive(of_stripe(body, at), body, handled.append).status == 204
    assert [(delivery.id, delivery.event) for delivery in handled] == [("evt_1", "invoice.paid")]


def test_a_failed_delivery_comes_again(engine: Engine) -> None:
    """Goal: a delivery is not lost because its handler failed.
    Method: a handler that fails once; the second delivery runs it, the third does not."""
    receiver = Receiver(engine, webhooks.github(SECRET))
    calls = []

    def handle(delivery: Delivery) -> None:
        calls.append(delivery.id)
        if len(calls) == 1:
            raise RuntimeError("the database is away")

    headers = of_github(b"{}", "d1")
    statuses = [receiver.receive(headers, b"{}", handle).status for _ in range(3)]
    assert (statuses, calls) == ([500, 204, 204], ["d1", "d1"])


def test_the_same_id_with_other_content_is_refused(engine: Engine) -> None:
    """Goal: one event is not taken for another. Method: one id, two signed bodies."""
    receiver = Receiver(engine, webhooks.github(SECRET))
    assert receiver.receive(of_github(b"[1]", "d1"), b"[1]", lambda _: None).status == 204
    assert receiver.receive(of_github(b"[2]", "d1"), b"[2]", lambda _: None).status == 400


def test_a_running_delivery_is_to_come_again(engine: Engine) -> None:
    """Goal: a duplicate does not say "done" for a run that may fail yet.
    Method: a second delivery from within the first one's handler."""
    receiver = Receiver(engine, webhooks.github(SECRET))
    headers = of_github(b"{}", "d1")
    inside = []

    def handle(_: Delivery) -> None:
        inside.append(receiver.receive(headers, b"{}", lambda _: None))

    assert receiver.receive(headers, b"{}", handle).status == 204
    assert [(reply.status, reply.headers) for reply in inside] == [(409, (("retry-after", "1"),))]


def test_many_threads_deliver_once(engine: Engine) -> None:
    """Goal: deliveries at the same time run once. Method: 8 threads, 50 ids, all of them each."""
    receiver = Receiver(engine, webhooks.github(SECRET), wait=30)
    handled: list[str] = []
    start = threading.Barrier(8)

    def deliver() -> None:
        start.wait()
        for number in range(50):
            headers = of_github(b"{}", f"d{number}")
            assert receiver.receive(headers, b"{}", lambda d: handled.append(d.id)).status == 204

    threads = [threading.Thread(target=deliver) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(handled) == sorted(f"d{number}" for number in range(50))


async def call(application: Any, method: str, headers: dict[str, str], body: bytes) -> list[Any]:
    """What an ASGI application sends for a request in two parts."""
    parts = [body[:3], body[3:]]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Any) -> None:
        sent.append(message)

    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "headers": pairs}
    await application(scope, receive, send)
    return sent


def test_as_an_asgi_application(engine: Engine) -> None:
    """Goal: it is mounted as it is. Method: a delivery twice, one that is too large, and a GET."""
    receiver = Receiver(engine, webhooks.github(SECRET), limit=100)
    handled: list[str] = []

    async def handle(delivery: Delivery) -> None:
        handled.append(delivery.id)

    async def deliver() -> list[int]:
        application = receiver.asgi(handle)
        large = b"x" * 101
        answers = [
            await call(application, "POST", of_github(b"[1,2]", "d1"), b"[1,2]"),
            await call(application, "POST", of_github(b"[1,2]", "d1"), b"[1,2]"),
            await call(application, "POST", of_github(large, "d2"), large),
            await call(application, "GET", {}, b""),
        ]
        return [answer[0]["status"] for answer in answers]

    assert asyncio.run(deliver()) == [204, 204, 413, 405]
    assert handled == ["d1"]


def test_as_a_wsgi_application(engine: Engine) -> None:
    """Goal: it is mounted as it is. Method: wsgiref's own checker, a delivery twice, a GET."""
    from io import BytesIO
    from wsgiref.util import setup_testing_defaults
    from wsgiref.validate import validator

    handled: list[str] = []
    receiver = Receiver(engine, webhooks.github(SECRET))
    application = validator(receiver.wsgi(lambda delivery: handled.append(delivery.id)))
    statuses = []
    for method in ("POST", "POST", "GET"):
        environ: dict[str, Any] = {"REQUEST_METHOD": method, "QUERY_STRING": ""}
        setup_testing_defaults(environ)
        environ.update({"wsgi.input": BytesIO(b"{}"), "CONTENT_LENGTH": "2"})
        for name, value in of_github(b"{}", "d1").items():
            environ["HTTP_" + name.upper().replace("-", "_")] = value

        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            statuses.append(status)
            return lambda data: None

        answer = application(environ, start)
        assert b"".join(answer) == b""
        answer.close()  # type: ignore[attr-defined] # the checker's own
    assert statuses == ["204 No Content", "204 No Content", "405 Method Not Allowed"]
    assert handled == ["d1"]
