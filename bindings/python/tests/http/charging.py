"""A service that Stripe's own client for Python may talk to: charges as in its API v1, meter events
as in v2. `app` is protected, `bare` is not. What they are told comes from the environment.
"""

from __future__ import annotations

import os
import uuid
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from served import charge, engine, ledger, pass_through

from oncegate._policy import OutcomePolicy
from oncegate.fastapi import protect
from oncegate.http import Head, Settings

POLICIES = {
    "v1": OutcomePolicy("stripe-v1"),
    "v2": OutcomePolicy("stripe-v2"),
    "doubtful": OutcomePolicy("stripe-v1", statuses={504: "unknown"}),
}


def account_of(head: Head) -> str | None:
    """As Stripe does it: the API key says whose request it is."""
    scheme, _, key = (head.header("authorization") or "").partition(" ")
    return key if scheme == "Bearer" and key.startswith("sk_test_") else None


async def run(asked: Request) -> JSONResponse | None:
    """The side effect; and an error after it, where one is asked for and it is the first."""
    key = asked.headers["idempotency-key"]
    await pass_through(asked.headers.get("x-gate"))
    charge(key)
    status = asked.headers.get("x-first-status")
    with open(ledger, encoding="ascii") as lines:  # noqa: ASYNC230  # it is short
        runs = sum(line.split()[0] == key for line in lines)
    if status is None or runs > 1:
        return None
    error = {"type": "api_error", "message": "it was charged, and then something broke"}
    return JSONResponse({"error": error}, int(status))


async def charges(asked: Request) -> Any:
    """A charge, of what the form says."""
    form = parse_qs((await asked.body()).decode())
    failed = await run(asked)
    amount = int(form["amount"][0])
    return failed or {"id": f"ch_{uuid.uuid4().hex}", "object": "charge", "amount": amount}


async def meter_events(asked: Request) -> Any:
    """An event, under a name of the service's own."""
    event = await asked.json()
    failed = await run(asked)
    return failed or {
        "object": "v2.billing.meter_event",
        "event_name": event["event_name"],
        "identifier": uuid.uuid4().hex,
    }


def service() -> FastAPI:
    """One without protection."""
    made = FastAPI()
    made.post("/v1/charges")(charges)
    made.post("/v2/billing/meter_events")(meter_events)
    return made


bare = service()
app = service()
policy = POLICIES[os.environ.get("POLICY", "v1")]
protect(app, Settings(engine, scope=account_of, policy=policy, problem_format="stripe"))
