"""Real servers: parallel duplicates, clients that leave, streams, and workers that are killed.

Whatever happens, there is exactly one side effect for each key, and every duplicate gets an answer
that the preset allows.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import httpx
import pytest
from conftest import run
from serving import SERVERS, Gate, Server, client, headers, kill, pid_of, started

LINES = "first\nanother\nsecond\nthird\n"

Start = Callable[..., AbstractContextManager[Server]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts a server by its name."""
    return partial(started, tmp_path)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path)
    yield gate
    gate.close()


@pytest.mark.parametrize("name", [name for name in SERVERS if name != "gunicorn-time-out"])
def test_parallel_duplicates_have_one_effect(start: Start, gate: Gate, name: str) -> None:
    """Goal: of ten parallel duplicates one runs, the others are told, and afterwards all get its
    response, from every worker. Method: the handler goes on when nine have their answers."""

    async def scenario(server: Server) -> None:
        async with client(server) as http:
            asked = [
                asyncio.ensure_future(
                    http.post("/charges", json={"a": 1}, headers=headers("key-1", gate))
                )
                for _ in range(10)
            ]
            inside = await asyncio.to_thread(gate.arrival)
            waiting = set(asked)
            while len(waiting) > 1:
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            inside.close()
            replies = await asyncio.gather(*asked)
            told = [reply for reply in replies if reply.status_code == 409]
            assert len(told) == 9
            assert {reply.json()["code"] for reply in told} == {"in-progress"}
            assert {reply.headers["retry-after"] for reply in told} == {"1"}
            again = [
                await http.post("/charges", json={"a": 1}, headers=headers("key-1", gate))
                for _ in range(20)
            ]
            [first] = [reply for reply in replies if reply.status_code != 409]
            assert first.status_code == 201, (server.folder / "log").read_text()
            assert {reply.status_code for reply in again} == {201}
            assert {reply.content for reply in again} == {first.content}
            assert {reply.headers["idempotent-replayed"] for reply in again} == {"true"}
            other = await http.post("/charges", json={"a": 2}, headers=headers("key-1"))
            assert (other.status_code, other.json()["code"]) == (422, "mismatched")
        assert gate.arrivals() == 0
        assert server.effects() == ["key-1"]

    with start(name) as server:
        run(scenario(server))


@pytest.mark.parametrize("name", ["uvicorn", "uvicorn-4", "gunicorn-flask-preload"])
def test_many_keys_have_one_effect_each(start: Start, name: str) -> None:
    """Goal: a burst of clients that all send everything thrice, with waiting duplicates, has one
    effect for each key. Method: 40 keys, three requests each, all at once."""

    async def scenario(server: Server) -> None:
        keys = [f"key-{number}" for number in range(40)]
        async with client(server) as http:
            replies = await asyncio.gather(
                *(
                    http.post("/charges", json={"key": key}, headers=headers(key))
                    for key in keys * 3
                )
            )
        assert {reply.status_code for reply in replies} == {201}
        replayed = sum("idempotent-replayed" in reply.headers for reply in replies)
        assert replayed == 80
        assert sorted(server.effects()) == sorted(keys)

    with start(name, WAIT="60") as server:
        run(scenario(server))


@pytest.mark.parametrize("name", ["uvicorn", "uvicorn-4", "gunicorn-flask-preload"])
def test_duplicates_wait_for_the_response(start: Start, gate: Gate, name: str) -> None:
    """Goal: duplicates of running requests wait, in whichever process, and get the response.
    Method: two keys, three requests each, for which one worker has threads enough; the handlers go
    on when four wait. Each process counts its own, and whichever of them take a question answer it.
    """

    async def scenario(server: Server) -> None:
        keys = [f"key-{number}" for number in range(2)]
        async with client(server) as http:
            asked = [
                asyncio.ensure_future(http.post("/charges", json={}, headers=headers(key, gate)))
                for key in keys * 3
            ]
            inside = [await asyncio.to_thread(gate.arrival) for _ in keys]
            waiting: dict[int, int] = {}
            while sum(waiting.values()) < 4:
                told = await asyncio.gather(*(http.get("/waiting") for _ in range(4)))
                waiting.update(reply.json() for reply in told)
                assert not any(one.done() for one in asked), "answered, and did not wait"
            for connection in inside:
                connection.close()
            replies = await asyncio.gather(*asked)
        assert {reply.status_code for reply in replies} == {201}
        assert sum("idempotent-replayed" in reply.headers for reply in replies) == 4
        assert sorted(server.effects()) == keys

    with start(name, WAIT="60") as server:
        run(scenario(server))


@pytest.mark.parametrize("name", ["uvicorn-4", "gunicorn-flask", "gunicorn-flask-preload"])
def test_a_killed_worker_leaves_the_key_free(start: Start, gate: Gate, name: str) -> None:
    """Goal: a worker that is killed in the middle of a request leaves nothing stuck: the resend
    runs at once, as the lease of the dead is taken over. Method: SIGKILL while the handler waits,
    and the resend through another worker."""

    async def scenario(server: Server) -> None:
        async with client(server) as http:
            first = asyncio.ensure_future(
                http.post("/charges", json={}, headers=headers("key-1", gate))
            )
            inside = await asyncio.to_thread(gate.arrival)
            kill(pid_of(inside))
            with pytest.raises(httpx.TransportError):
                await first
            assert server.effects() == []
            reply = await resent(http, headers("key-1"))
            assert "idempotent-replayed" not in reply.headers
            assert (await resent(http, headers("key-1"))).headers["idempotent-replayed"] == "true"
        assert server.effects() == ["key-1"]

    with start(name) as server:
        run(scenario(server))


def test_a_server_that_gives_up_leaves_the_key_free(start: Start, gate: Gate) -> None:
    """Goal: a handler that takes longer than its server allows leaves nothing stuck: the resend
    runs at once. Method: a server that ends its workers after some seconds, and a handler that
    waits for as long as that takes."""

    async def scenario(server: Server) -> None:
        async with client(server) as http:
            first = asyncio.ensure_future(
                http.post("/charges", json={}, headers=headers("key-1", gate))
            )
            inside = await asyncio.to_thread(gate.arrival)
            with contextlib.suppress(httpx.TransportError):
                assert (await first).status_code >= 500
            inside.close()
            assert server.effects() == []
            reply = await resent(http, headers("key-1"))
            assert "idempotent-replayed" not in reply.headers
            assert (await resent(http, headers("key-1"))).headers["idempotent-replayed"] == "true"
        assert server.effects() == ["key-1"]

    with start("gunicorn-time-out") as server:
        run(scenario(server))


async def resent(
    http: httpx.AsyncClient, named: dict[str, str], path: str = "/charges"
) -> httpx.Response:
    """As a client does that was not answered: again, until it is, or has been told to come back."""
    while True:
        try:
            reply = await http.post(path, json={}, headers=named)
        except httpx.TransportError:
            # What the dead worker had accepted went with it.
            continue
        if reply.status_code < 300:
            return reply
        assert reply.json()["code"] == "in-progress"


def test_a_client_that_leaves_gets_its_response_later(start: Start, gate: Gate) -> None:
    """Goal: a client that gives up half way finds, on its resend, that its request runs, and then
    its response; there is one effect. Method: a time-out while the handler waits, with a handler
    that is detached, and one that is not."""

    async def scenario(server: Server) -> None:
        async with client(server) as http:
            hurried = asyncio.ensure_future(
                http.post("/charges", json={}, headers=headers("key-1", gate))
            )
            inside = await asyncio.to_thread(gate.arrival)
            hurried.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await hurried
            running = await http.post("/charges", json={}, headers=headers("key-1", gate))
            assert (running.status_code, running.json()["code"]) == (409, "in-progress")
            inside.close()
            while True:
                reply = await http.post("/charges", json={}, headers=headers("key-1", gate))
                if reply.status_code != 409:
                    break
            assert (reply.status_code, reply.headers["idempotent-replayed"]) == (201, "true")
        assert server.effects() == ["key-1"]

    for detached in ("", "1"):
        with start("uvicorn", DETACHED=detached) as server:
            run(scenario(server))
        (server.folder / "ledger").unlink()


@pytest.mark.parametrize("name", ["uvicorn", "gunicorn-flask"])
def test_streams_come_as_they_are_made(start: Start, gate: Gate, name: str) -> None:
    """Goal: a stream reaches its client piece by piece, and is replayed whole; one whose client
    left is never replayed in part. Method: read the first piece while the handler waits; leave
    another one there, and ask again."""

    async def scenario(server: Server) -> None:
        async with client(server) as http:
            named = headers("key-1", gate)
            async with http.stream("POST", "/report", json={}, headers=named) as stream:
                pieces = stream.aiter_text()
                body = await pieces.__anext__()
                assert body.startswith("first\n")
                (await asyncio.to_thread(gate.arrival)).close()
                async for piece in pieces:
                    body += piece
            again = await http.post("/report", json={}, headers=named)
            assert (again.text, again.headers["idempotent-replayed"]) == (body, "true")
            named = headers("key-2", gate)
            async with http.stream("POST", "/report", json={}, headers=named) as stream:
                await stream.aiter_text().__anext__()
                left = await asyncio.to_thread(gate.arrival)
            # What was sent before is known to the server when this is answered.
            for _ in range(3):
                await http.get("/waiting")
            left.close()
            # Once the one that was left is over: from its beginning, or its whole response.
            reply = await resent(http, headers("key-2"), "/report")
            assert reply.text == LINES

    with start(name) as server:
        run(scenario(server))


@pytest.mark.parametrize("name", ["uvicorn", "gunicorn-flask"])
def test_a_detached_stream_outlives_its_client(start: Start, gate: Gate, name: str) -> None:
    """Goal: with `detached`, a stream whose client left is made to its end, and replayed whole; it
    has one effect. Method: leave while it waits, and ask again until it is there."""

    async def scenario(server: Server) -> None:
        async with client(server) as http:
            named = headers("key-1", gate)
            async with http.stream("POST", "/report", json={}, headers=named) as stream:
                await stream.aiter_text().__anext__()
                left = await asyncio.to_thread(gate.arrival)
            # What was sent before is known to the server when this is answered.
            for _ in range(3):
                await http.get("/waiting")
            left.close()
            reply = await resent(http, headers("key-1"), "/report")
            assert reply.text == LINES
            assert reply.headers["idempotent-replayed"] == "true"
        assert server.effects() == ["key-1"]

    with start(name, DETACHED="1") as server:
        run(scenario(server))
