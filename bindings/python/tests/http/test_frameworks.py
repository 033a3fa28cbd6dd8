"""FastAPI, Flask and Django with the middlewares."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import django
import pytest
from asking import ask
from conftest import run
from django.conf import settings as django_settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, JsonResponse
from django.urls import path
from fastapi import FastAPI, Header
from fastapi.responses import StreamingResponse
from flask import Flask, request
from pydantic import BaseModel
from test_wsgi import ask as ask_wsgi

from oncegate import Engine
from oncegate.asgi import IdempotencyMiddleware
from oncegate.fastapi import Attempt, MaybeAttempt, protect
from oncegate.http import ATTEMPT, Polling, Settings
from oncegate.wsgi import IdempotencyMiddleware as WsgiMiddleware


class Order(BaseModel):
    amount: int
    note: str = ""


def shop(engine: Engine, **options: Any) -> tuple[FastAPI, list[int]]:
    """An app with an endpoint that charges."""
    app = FastAPI()
    charged: list[int] = []
    protect(app, Settings(engine, single_tenant=True, **options))

    @app.post("/charges", status_code=201)
    async def charge(order: Order, attempt: Attempt) -> dict[str, int]:
        charged.append(order.amount)
        return {"charge": len(charged), "attempt": attempt.attempt}

    @app.put("/notes/{name}")
    async def note(name: str, attempt: MaybeAttempt) -> dict[str, bool]:
        return {"runs once": attempt is not None}

    @app.post("/login")
    async def login(attempt: Attempt) -> None:
        raise AssertionError("there is no attempt")

    @app.post("/report")
    async def report() -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            charged.append(0)
            for number in range(3):
                await asyncio.sleep(0)
                yield f"line {number}\n"

        return StreamingResponse(lines(), media_type="text/plain")

    @app.get("/charges")
    async def charges() -> list[int]:
        return charged

    return app, charged


def test_fastapi_runs_once(engine: Engine) -> None:
    """Goal: an endpoint runs once, and gets its attempt; validation errors are results, too.
    Method: duplicates of a charge, of a wrong one, and of a stream."""
    app, charged = shop(engine)
    first, again = run(ask(app)), run(ask(app))
    assert (first.status, first.body) == (201, b'{"charge":1,"attempt":1}')
    assert (again.status, again.body, again.is_replay) == (201, first.body, True)
    wrong: dict[str, Any] = {"body": b'{"amount":"x"}'}
    assert run(ask(app, "key-2", **wrong)).status == 422
    assert run(ask(app, "key-2", **wrong)).is_replay
    stream: dict[str, Any] = {"path": "/report", "key": "key-3", "body": b""}
    assert run(ask(app, **stream)).body == run(ask(app, **stream)).body
    assert charged == [1, 0]


def test_attempts_are_optional_where_keys_are(engine: Engine) -> None:
    """Goal: what is passed on without a record has no attempt, and is told so.
    Method: a PUT with and without a key; a dependency that insists on one."""
    app, _ = shop(engine, exempt=["/login"])
    put: dict[str, Any] = {"method": "PUT", "path": "/notes/a", "body": b""}
    assert run(ask(app, **put)).body == b'{"runs once":true}'
    assert run(ask(app, None, **put)).body == b'{"runs once":false}'
    with pytest.raises(RuntimeError, match="no attempt"):
        run(ask(app, None, path="/login", body=b""))


def test_openapi_says_so(engine: Engine) -> None:
    """Goal: the document tells clients of the header, and of the answers of the middleware.
    Method: look at each kind of operation, twice, since the app keeps its document."""
    app, _ = shop(engine, exempt=["/login"], replay_header="X-Replayed")
    paths = app.openapi()["paths"]
    assert app.openapi()["paths"] == paths
    charge = paths["/charges"]["post"]
    [parameter] = charge["parameters"]
    assert (parameter["name"], parameter["in"]) == ("Idempotency-Key", "header")
    assert parameter["required"] is True
    assert set(charge["responses"]) >= {"201", "400", "409", "422"}
    assert "X-Replayed" in charge["responses"]["201"]["headers"]
    for status in ("400", "409", "422"):
        schema = charge["responses"][status]["content"]["application/problem+json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/IdempotencyProblem"}
    assert "application/json" in charge["responses"]["422"]["content"]
    assert "Retry-After" in charge["responses"]["409"]["headers"]
    put = paths["/notes/{name}"]["put"]["parameters"]
    assert [known["required"] for known in put if known["in"] == "header"] == [False]
    for plain in (paths["/charges"]["get"], paths["/login"]["post"]):
        assert "409" not in plain["responses"]
    lenient, _ = shop(engine, key_required=False, polling=Polling(b"0123456789abcdef"))
    post = lenient.openapi()["paths"]["/charges"]["post"]
    assert post["parameters"][0]["required"] is False
    assert "202" in post["responses"]


def test_a_header_that_is_declared_is_not_told_twice(engine: Engine) -> None:
    """Goal: an endpoint that reads the key itself has it once in the document.
    Method: one that declares the header."""
    app = FastAPI()
    protect(app, Settings(engine, single_tenant=True))

    @app.post("/charges")
    async def charge(idempotency_key: Annotated[str, Header()]) -> str:
        return idempotency_key

    parameters = app.openapi()["paths"]["/charges"]["post"]["parameters"]
    assert [parameter["name"].lower() for parameter in parameters] == ["idempotency-key"]
    assert run(ask(app)).body == b'"key-1"'


def test_openapi_has_the_errors_of_stripe(engine: Engine) -> None:
    """Goal: the document has the format that the answers have, and leaves the app's own errors
    alone. Method: the other format; an operation with an error of its own, and FastAPI's 422."""
    app = FastAPI()
    protect(app, Settings(engine, single_tenant=True, problem_format="stripe"))

    @app.post("/charges", responses={409: {"model": Order}})
    async def charge(order: Order) -> None: ...

    document = app.openapi()
    of_stripe = {"$ref": "#/components/schemas/IdempotencyProblem"}
    responses = document["paths"]["/charges"]["post"]["responses"]
    assert responses["400"]["content"] == {"application/json": {"schema": of_stripe}}
    assert "another payload" in responses["400"]["description"]
    assert responses["409"]["content"]["application/json"]["schema"] != of_stripe
    assert responses["422"]["content"]["application/json"]["schema"] != of_stripe
    error = document["components"]["schemas"]["IdempotencyProblem"]["properties"]["error"]
    assert set(error["properties"]) == {"type", "code", "message"}
    refused = run(ask(app, None))
    assert (refused.status, json.loads(refused.body)["error"]["code"]) == (400, "missing-key")


def test_flask_runs_once(engine: Engine) -> None:
    """Goal: a view of Flask runs once, and finds its attempt. Method: a duplicate."""
    app = Flask("shop")
    runs: list[Any] = []

    @app.post("/charges")
    def charge() -> dict[str, int]:
        runs.append(request.get_json())
        return {"run": len(runs), "attempt": request.environ[ATTEMPT].attempt}

    settings = Settings(engine, single_tenant=True)
    app.wsgi_app = WsgiMiddleware(app.wsgi_app, settings)  # type: ignore[method-assign]  # its way
    client = app.test_client()
    replies = [
        client.post("/charges", json={"amount": 1}, headers={"Idempotency-Key": "key-1"})
        for _ in range(2)
    ]
    assert [reply.json for reply in replies] == [{"run": 1, "attempt": 1}] * 2
    assert replies[1].headers["Idempotent-Replayed"] == "true"
    assert runs == [{"amount": 1}]


django_runs: list[bytes] = []


def django_charge(asked: HttpRequest) -> JsonResponse:
    django_runs.append(asked.body)
    lease = asked.META.get(ATTEMPT) or asked.scope[ATTEMPT]
    return JsonResponse({"run": len(django_runs), "attempt": lease.attempt}, status=201)


urlpatterns = [path("charges", django_charge)]


def test_django_runs_once(engine: Engine) -> None:
    """Goal: a view of Django runs once under WSGI and under ASGI, with the same records.
    Method: a request to one, and its duplicates to both."""
    if not django_settings.configured:
        django_settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], DEBUG=False)
        django.setup()
    settings = Settings(engine, single_tenant=True)
    wsgi, asgi = WsgiMiddleware(WSGIHandler(), settings), IdempotencyMiddleware
    first = ask_wsgi(wsgi)
    assert (first.status, first.body) == (201, b'{"run": 1, "attempt": 1}')
    assert ask_wsgi(wsgi).is_replay
    again = run(ask(asgi(ASGIHandler(), settings)))
    assert (again.status, again.body, again.is_replay) == (201, first.body, True)
    assert run(ask(asgi(ASGIHandler(), settings), "key-2")).body == b'{"run": 2, "attempt": 1}'
    assert django_runs == [b'{"amount":1}'] * 2
