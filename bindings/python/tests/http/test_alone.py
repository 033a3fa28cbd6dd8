"""Workers with a table each: whoever protects an app in one is warned."""

from __future__ import annotations

import asyncio
import multiprocessing
import warnings
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import run
from making import made
from serving import Server, client, headers, serve

from oncegate import Engine
from oncegate.http import Settings

TEXT = b"this process is one of several workers, and its Engine() has a table of its own"
UVICORN = ("uvicorn", "served:app", "--fd", "{fd}", "--lifespan", "off")
GUNICORN = ("gunicorn", "--bind", "fd://{fd}", "--threads", "4", "served:flask_app")


async def answered(server: Server) -> None:
    """Waits until a worker serves."""
    async with client(server) as http:
        reply = await http.post("/charges", json={}, headers=headers("key"))
        assert reply.status_code == 201, (server.folder / "log").read_text()


@pytest.mark.parametrize(
    ("command", "table", "warned"),
    [
        ((*UVICORN, "--workers", "2"), "", True),
        ((*UVICORN, "--workers", "2"), "table", False),
        ((*UVICORN, "--workers", "1"), "", False),
        ((*UVICORN, "--reload"), "", False),
        ((*GUNICORN, "-w", "2"), "", True),
        ((*GUNICORN, "-w", "2"), "table", False),
        ((*GUNICORN, "-w", "2", "--preload"), "", False),
        ((*GUNICORN, "-w", "1"), "", False),
    ],
)
def test_servers_with_a_table_for_each_worker(
    tmp_path: Path, command: tuple[str, ...], table: str, warned: bool
) -> None:
    """Goal: workers that do not share a table say so, and no others do. Method: real servers with
    one worker and with two, which are spawned, forked, and forked after the app was made; what
    they have written when one of them has answered."""
    environment = {"TABLE": str(tmp_path / table)} if table else {}
    with serve(tmp_path, *command, **environment) as server:
        run(answered(server))
    log = (tmp_path / "log").read_bytes()
    assert (TEXT in log) == warned, log.decode()
    # Told of the line that makes the settings, once in each worker.
    assert log.count(b"RuntimeWarning") == log.count(b"served.py") == log.count(TEXT) <= 2


def test_duplicates_run_in_both(tmp_path: Path) -> None:
    """Goal: what is warned of is so. Method: a request is sent until both workers have run it."""

    async def scenario(server: Server) -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            while len(server.effects()) < 2:
                # A connection for each: the kernel hands them to one of the workers.
                reply = await http.post(
                    "/charges", json={}, headers={**headers("key"), "connection": "close"}
                )
                assert reply.status_code == 201
                await asyncio.sleep(0)
        assert server.effects() == ["key", "key"]
        assert len(server.workers()) == 2

    with serve(tmp_path, *UVICORN, "--workers", "2") as server:
        run(scenario(server))


ONCE = [("RuntimeWarning", "making.py")]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize(
    ("method", "inherits", "options", "expected"),
    [
        ("spawn", False, {}, ONCE),
        ("spawn", False, {"private": True}, []),
        ("fork", False, {}, ONCE),
        ("fork", True, {}, []),
    ],
)
def test_processes_of_other_servers(
    method: str, inherits: bool, options: dict[str, Any], expected: object
) -> None:
    """Goal: whoever starts processes, an engine that was made in one of them is told of, once; not
    one that was inherited, and not one that is meant to be alone. Method: Python's own processes,
    which make settings thrice."""
    # Not every context has a process of its own, as far as the types know.
    context: Any = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    engine = Engine(capacity=64) if inherits else None
    process = context.Process(target=made, args=(queue, engine, options, 3))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert queue.get() == expected


def test_a_process_of_its_own_is_not_told_of(tmp_path: Path) -> None:
    """Goal: a program that is no worker is left in peace. Method: settings for each reach."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for options in ({}, {"private": True}, {"path": tmp_path / "table"}):
            engine = Engine(capacity=64, **options)
            Settings(engine, single_tenant=True)
            assert not engine.inherited
