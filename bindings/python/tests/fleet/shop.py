"""An app that the tests serve on several hosts: each process has a table of its own, and all share
the store.
"""

from __future__ import annotations

import asyncio
import os

from fastapi import FastAPI

from oncegate import Engine, TierOptions
from oncegate.fastapi import Attempt, protect
from oncegate.http import Settings

engine = Engine(
    redis=os.environ["STORE"],
    secret=b"s" * 32,
    private=True,
    capacity=1_000,
    tier_options=TierOptions(deadline=30, quarantine=0),
)
app = FastAPI()
protect(app, Settings(engine, scope=lambda head: head.header("x-account")))


@app.post("/charges")
async def charge(attempt: Attempt) -> dict[str, int]:
    """A side effect, which takes as long as the loop needs for some turns."""
    for _ in range(3):
        await asyncio.sleep(0)
    handle = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, b"charged\n")
    os.close(handle)
    return {"process": os.getpid(), "attempt": attempt.attempt}


@app.post("/declined", status_code=503)
async def decline() -> dict[str, str]:
    """It may be tried again."""
    return {"declined": "for now"}


@app.get("/alive")
async def alive() -> str:
    """What needs no record."""
    return "yes"
