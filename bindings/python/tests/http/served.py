"""The apps that the tests start real servers with. What they are told comes from the environment.

A handler that is asked to wait connects to a socket of the test: by that the test knows that it
runs, and says when it goes on.
"""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from flask import Flask, Response, request

from oncegate import Engine
from oncegate.fastapi import protect
from oncegate.http import ATTEMPT, Settings
from oncegate.wsgi import IdempotencyMiddleware

ledger = os.environ["LEDGER"]
# Unrelated processes meet in a file; forked ones inherit the memory.
engine = Engine(path=os.environ.get("TABLE"), capacity=1_000)
settings = Settings(
    engine,
    scope=lambda head: head.header("x-account"),
    wait=float(os.environ.get("WAIT", "0")),
    detached=bool(os.environ.get("DETACHED")),
)


# Held to the end of the process: what ends an attempt is the middleware, and not that it is freed.
attempts: list[Any] = []


def charge(key: str) -> dict[str, str]:
    """The side effect: a line that nobody else's line can cut in two. Gives a receipt of its own
    for each.
    """
    line = f"{key} {os.getpid()}\n".encode()
    handle = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, line)
    os.close(handle)
    return {"charged": key, "receipt": uuid.uuid4().hex}


async def pass_through(gate: str | None) -> None:
    """Waits until the test says so."""
    if gate is not None:
        reader, writer = await asyncio.open_unix_connection(gate)
        await reader.read()
        writer.close()


app = FastAPI()
protect(app, settings)


@app.post("/charges", status_code=201)
async def charges(asked: Request) -> dict[str, str]:
    """Charges, where it is not stopped before."""
    attempts.append(asked.scope[ATTEMPT])
    await pass_through(asked.headers.get("x-gate"))
    return charge(asked.headers["idempotency-key"])


@app.post("/report")
async def report(asked: Request) -> StreamingResponse:
    """Streams four lines; the last two when it may."""
    attempts.append(asked.scope[ATTEMPT])

    async def lines() -> AsyncIterator[str]:
        yield "first\n"
        yield "another\n"
        await pass_through(asked.headers.get("x-gate"))
        charge(asked.headers["idempotency-key"])
        yield "second\n"
        yield "third\n"

    return StreamingResponse(lines(), media_type="text/plain")


@app.get("/waiting")
async def waiting() -> list[int]:
    """This process, and how many duplicates wait in it now."""
    return [os.getpid(), engine.stats().waiters]


def wait_at(gate: str | None) -> None:
    """As above."""
    if gate is not None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(gate)
            connection.recv(1)


flask = Flask("served")


@flask.post("/charges")
def flask_charges() -> tuple[dict[str, str], int]:
    """As above."""
    attempts.append(request.environ[ATTEMPT])
    wait_at(request.headers.get("x-gate"))
    return charge(request.headers["idempotency-key"]), 201


@flask.post("/report")
def flask_report() -> Response:
    """As above."""
    attempts.append(request.environ[ATTEMPT])
    gate, key = request.headers.get("x-gate"), request.headers["idempotency-key"]

    def lines() -> Iterator[str]:
        yield "first\n"
        yield "another\n"
        wait_at(gate)
        charge(key)
        yield "second\n"
        yield "third\n"

    return Response(lines(), mimetype="text/plain")


@flask.get("/waiting")
def flask_waiting() -> list[int]:
    """As above."""
    return [os.getpid(), engine.stats().waiters]


flask_app = IdempotencyMiddleware(flask.wsgi_app, settings)


def make_django_app() -> Any:
    """An app of Django with the same endpoint."""
    import django
    from django.conf import settings as of_django
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpRequest, JsonResponse
    from django.urls import path

    def view(asked: HttpRequest) -> JsonResponse:
        attempts.append(asked.META[ATTEMPT])
        wait_at(asked.headers.get("x-gate"))
        return JsonResponse(charge(asked.headers["idempotency-key"]), status=201)

    urls = type("urls", (), {"urlpatterns": [path("charges", view)]})
    of_django.configure(ROOT_URLCONF=urls, ALLOWED_HOSTS=["*"])
    django.setup()
    return IdempotencyMiddleware(WSGIHandler(), settings)
