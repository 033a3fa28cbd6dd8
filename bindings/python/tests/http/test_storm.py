"""A storm on real servers: wrk, and clients of httpx that hang up and send again."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import socket
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest
from conftest import run
from serving import HERE, Gate, Server, client, headers, started

KEYS = [f"key-{number}" for number in range(40)]
SLOW = KEYS[:4]
"""Those that run while half of the storm passes."""
REPLAYED, RUNNING = "201-replayed", "409-in-progress"
"""The answers to duplicates that the preset allows."""
COPIES = 2
PATIENCES = (0.02, 0.1, 30.0)
"""Seconds after which a client hangs up."""


class Storm:
    """What the clients were told."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.random = random.Random(seed)  # noqa: S311  # no secret is made of it
        self.answers: Counter[str] = Counter()
        self.receipts: dict[str, set[str]] = {key: set() for key in KEYS}
        self.refused: set[str] = set()
        """The keys of which a client was told that they run."""
        self.all_refused = asyncio.Event()
        """Whether all slow ones are among them."""

    async def wrk(self) -> int:
        """Asks from 16 connections for a second, whose end cuts what is under way. Gives how many
        answers there were.
        """
        command = ["wrk", "-t", "2", "-c", "16", "-d", "1s", "--timeout", "1s"]
        command += ["-s", str(HERE / "storm.lua"), self.server.url, "--", str(len(KEYS))]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
        said, wrong = await process.communicate()
        assert process.returncode == 0, wrong.decode()
        heard = 0
        for line in said.decode().splitlines():
            if line.startswith("answer "):
                _, kind, count = line.split()
                self.answers[kind] += int(count)
                heard += int(count)
            elif line.startswith("receipt "):
                _, key, receipt = line.split()
                self.receipts[key].add(receipt)
        return heard

    async def settle(self, http: httpx.AsyncClient, key: str) -> None:
        """Sends a request until it is done, and hangs up now and then."""
        while True:
            patience = self.random.choice(PATIENCES)
            asked = http.post("/charges", json={"key": key}, headers=headers(key), timeout=patience)
            try:
                reply = await asked
            except httpx.TransportError:
                self.answers["none"] += 1
                continue
            self.answers[kind_of(reply)] += 1
            if reply.status_code == 201:
                self.receipts[key].add(reply.json()["receipt"])
                return
            assert kind_of(reply) == RUNNING, reply.text
            self.refused.add(key)
            if self.refused.issuperset(SLOW):
                self.all_refused.set()
            await asyncio.sleep(0.02)  # sleep: as clients do before they send again


def kind_of(reply: httpx.Response) -> str:
    """What it says: its status, with the code of a problem, or that it is a replay."""
    kind = str(reply.status_code)
    if reply.headers.get("idempotent-replayed") == "true":
        kind += "-replayed"
    if reply.headers.get("content-type") == "application/problem+json":
        kind += f"-{reply.json()['code']}"
    return kind


async def leave(http: httpx.AsyncClient, key: str, gate: Gate) -> socket.socket:
    """Hangs up in the middle of a request; gives what holds its handler."""
    asked = asyncio.ensure_future(
        http.post("/charges", json={"key": key}, headers=headers(key, gate))
    )
    inside = await asyncio.to_thread(gate.arrival)
    asked.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asked
    return inside


@pytest.mark.parametrize("name", ["uvicorn-4", "gunicorn-flask", "gunicorn-flask-preload"])
def test_a_storm_has_one_effect_for_each_key(tmp_path: Path, name: str) -> None:
    """Goal: whatever the clients do, each key has one effect and one result, and every answer is
    one that the preset allows. Method: four clients leave while their handlers wait; wrk and
    clients of httpx with timeouts ask for all keys, half of the time while those wait. The ledger,
    the answers and the receipts are counted."""
    if not shutil.which("wrk"):
        pytest.skip("there is no wrk; install it, as in: apt-get install wrk")
    seed = random.SystemRandom().getrandbits(32)
    print("seed", seed)

    async def scenario(server: Server, gate: Gate) -> None:
        storm = Storm(server, seed)
        async with client(server) as http:
            with ExitStack() as held:
                for key in SLOW:
                    held.enter_context(await leave(http, key, gate))
                asked = asyncio.gather(*(storm.settle(http, key) for key in KEYS * COPIES))
                while not await storm.wrk():
                    pass
                # Nothing is to be waited for where a client has failed.
                asked.add_done_callback(lambda _: storm.all_refused.set())
                await storm.all_refused.wait()
            while not await storm.wrk():
                pass
            await asked
        print(dict(storm.answers))
        assert sorted(server.effects()) == sorted(KEYS)
        assert [len(receipts) for receipts in storm.receipts.values()] == [1] * len(KEYS)
        assert set(storm.answers) <= {"201", REPLAYED, RUNNING, "none", "timeout"}
        assert storm.answers["201"] <= len(KEYS) - len(SLOW)
        assert storm.answers[RUNNING] >= len(SLOW)
        assert storm.answers[REPLAYED] >= len(KEYS)

    with started(tmp_path, name) as server, closing(Gate(tmp_path)) as gate:
        run(scenario(server, gate))
