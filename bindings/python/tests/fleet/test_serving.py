"""Servers of several hosts, each a process with a table of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from stores import PATIENCE, Store

HERE = Path(__file__).parent
COMMAND = ("uvicorn", "shop:app", "--lifespan", "off", "--log-level", "warning", "--fd")


@contextmanager
def served(store: Store, folder: Path) -> Iterator[str]:
    """One host; who connects before it is there waits in the socket's queue."""
    environment = {**os.environ, "STORE": store.url, "LEDGER": str(folder / "ledger")}
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        listener.set_inheritable(True)
        number = listener.fileno()
        command = [sys.executable, "-m", *COMMAND, str(number)]
        process = subprocess.Popen(command, cwd=HERE, env=environment, pass_fds=[number])
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        yield url
    finally:
        process.kill()
        process.wait(PATIENCE)


@pytest.fixture
def urls(store: Store, tmp_path: Path) -> Iterator[list[str]]:
    """Two hosts."""
    with ExitStack() as stack:
        yield [stack.enter_context(served(store, tmp_path)) for _ in range(2)]


HEADERS = {"idempotency-key": "key-1", "x-account": "acme"}


def test_one_key_on_two_servers_has_one_effect(urls: list[str], tmp_path: Path) -> None:
    """Goal: the same request on two hosts has one effect, and both give its response. Method: one
    after the other, and with another body; then ten at once on each host with a second key, until
    none is told that it runs still."""
    with httpx.Client(timeout=PATIENCE, headers=HEADERS) as http:
        first = http.post(f"{urls[0]}/charges", json={"cents": 100})
        again = http.post(f"{urls[1]}/charges", json={"cents": 100})
        other = http.post(f"{urls[1]}/charges", json={"cents": 999})
    assert (first.status_code, again.status_code, other.status_code) == (200, 200, 422)
    assert again.json() == first.json() and again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers

    async def ask(http: httpx.AsyncClient, url: str) -> tuple[int, str]:
        while True:
            reply = await http.post(f"{url}/charges", json={})
            if reply.status_code != 409:
                return reply.json()["process"], reply.headers.get("idempotent-replayed", "")

    async def storm() -> list[tuple[int, str]]:
        headers = {**HEADERS, "idempotency-key": "key-2"}
        async with httpx.AsyncClient(timeout=PATIENCE, headers=headers) as http:
            return list(await asyncio.gather(*(ask(http, url) for url in urls for _ in range(10))))

    answers = asyncio.run(storm())
    assert len({process for process, _ in answers}) == 1
    assert sorted(replayed for _, replayed in answers) == ["", *["true"] * 19]
    assert (tmp_path / "ledger").read_text() == "charged\n" * 2


def test_a_failure_may_be_tried_on_another_host(urls: list[str]) -> None:
    """Goal: a response that is no result leaves the request to whichever host. Method: a 503 on one
    host, and the same request on the other."""
    with httpx.Client(timeout=PATIENCE, headers=HEADERS) as http:
        for url in (*urls, *urls):
            reply = http.post(f"{url}/declined", json={})
            assert reply.status_code == 503 and "idempotent-replayed" not in reply.headers


def test_a_server_answers_others_while_it_asks(store: Store, urls: list[str]) -> None:
    """Goal: a server whose store says nothing goes on serving what needs no record. Method: a
    request that waits for a stopped store; another one is answered before it."""

    async def scenario() -> None:
        async with httpx.AsyncClient(timeout=PATIENCE) as http:
            # Its connections are there.
            warm = {**HEADERS, "idempotency-key": "warm"}
            assert (await http.post(f"{urls[0]}/charges", headers=warm)).status_code == 200
            store.pause()
            try:
                asked = asyncio.ensure_future(http.post(f"{urls[0]}/charges", headers=HEADERS))
                for _ in range(3):
                    assert (await http.get(f"{urls[0]}/alive")).status_code == 200
                assert not asked.done()
            finally:
                store.resume()
            assert (await asked).status_code == 200

    asyncio.run(scenario())
