"""A shop that takes money: the same handler without oncegate, and with it.

Start it with ``python serve.py``, which runs several workers. It reads its settings from the
environment: ``PAYMENTS_FOLDER``, where the ledger and the engine's table are, and
``PAYMENTS_NETWORK_MS``, how long the card network takes.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse
from fastapi.security import APIKeyCookie
from fastapi.staticfiles import StaticFiles
from ledger import Entry, Lane, Ledger
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from oncegate import Engine
from oncegate.fastapi import protect
from oncegate.http import Settings

FOLDER = Path(os.environ.get("PAYMENTS_FOLDER", "."))
NETWORK_MS = int(os.environ.get("PAYMENTS_NETWORK_MS", "300"))
PAGE = Path(__file__).parent / "page"
COOKIE = "shopper"


def whole(amount: object) -> object:
    """In JSON, 4900.0 is an integer. Neither "4900" nor true is one."""
    if isinstance(amount, float) and amount.is_integer():
        return int(amount)
    return amount


class Order(BaseModel):
    """What is paid for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    purchase: Annotated[UUID, Field(strict=False, description="Names the purchase.")]
    amount: Annotated[
        int,
        Field(ge=1, le=1_000_000, description="In cents."),
        BeforeValidator(whole),
    ]
    currency: Literal["EUR"]


class Charge(BaseModel):
    """One charge of a card."""

    id: int
    lane: Lane
    purchase: UUID
    amount: Annotated[int, Field(description="In cents.")]
    request: Annotated[str, Field(description="The `X-Request-Id` of the request that charged.")]
    worker: Annotated[int, Field(description="The process that charged.")]
    charged_at: Annotated[float, Field(description="Seconds since 1970.")]


class Charges(BaseModel):
    """A part of the ledger."""

    network_ms: Annotated[int, Field(description="How long the card network takes.")]
    charges: list[Charge]


class Refusal(BaseModel):
    """Why a request was not served."""

    detail: str


ledger = Ledger(FOLDER / "ledger.sqlite")


def shopper_of(request: Request) -> str | None:
    """Who is asking; ``None``: nobody that was here before."""
    shopper = request.cookies.get(COOKIE, "")
    return shopper if ledger.knows(shopper) else None


def known_shopper(
    request: Request,
    _documented: Annotated[
        str | None, Depends(APIKeyCookie(name=COOKIE, scheme_name="shopper", auto_error=False))
    ],
) -> str:
    """Who is asking."""
    shopper = shopper_of(request)
    if shopper is None:
        raise HTTPException(403, "nobody knows you; fetch / first, and keep its cookie")
    return shopper


Shopper = Annotated[str, Depends(known_shopper)]
"""Who is asking."""

RequestId = Annotated[
    str, Header(pattern="^[A-Za-z0-9-]{0,64}$", description="Names this request, in the ledger.")
]


def lane(name: Lane) -> APIRouter:
    """The handler, at a path of its own."""
    router = APIRouter(prefix=f"/{name}", tags=[name])

    @router.post(
        "/charges",
        status_code=201,
        responses={
            400: {"model": Refusal, "description": "The body is not JSON."},
            403: {"model": Refusal, "description": "Nobody knows who is asking."},
        },
    )
    async def pay(order: Order, shopper: Shopper, x_request_id: RequestId = "") -> Charge:
        """Charges the card. Whoever gets here twice pays twice."""
        await asyncio.sleep(NETWORK_MS / 1000)  # sleep: the card network takes its time
        entry = await asyncio.to_thread(
            ledger.charge, shopper, name, str(order.purchase), order.amount, x_request_id
        )
        return charge_of(entry)

    return router


def charge_of(entry: Entry) -> Charge:
    """As clients see it."""
    return Charge.model_validate(entry._asdict())


app = FastAPI(title="Payments", description="The same handler without oncegate, and with it.")
app.include_router(lane("plain"))
app.include_router(lane("once"))

engine = Engine(path=FOLDER / "table", capacity=10_000)
"""All workers share it, by its file."""

protect(
    app,
    Settings(
        engine,
        scope=lambda head: shopper_of(Request(head.connection)),
        exempt=["/plain/*", "/ledger"],
        # The card is charged even if the client has hung up: the charge must have its record.
        detached=True,
        # Nobody knows whether a worker that died has charged: then none charges a second time.
        on_lapse="unknown",
    ),
)


@app.get("/ledger", responses={403: {"model": Refusal, "description": "Nobody knows you."}})
def read_ledger(
    shopper: Shopper,
    after: Annotated[int, Query(ge=0, lt=1 << 62, description="Only what came later.")] = 0,
) -> Charges:
    """The charges of the shopper who asks, the oldest first, and at most 1,000 of them."""
    entries = ledger.entries(shopper, after, 1_000)
    return Charges(network_ms=NETWORK_MS, charges=[charge_of(entry) for entry in entries])


@app.get("/", include_in_schema=False)
def page(request: Request) -> Response:
    """The page, and a name for who has none."""
    response = FileResponse(PAGE / "index.html")
    if shopper_of(request) is None:
        response.set_cookie(COOKIE, ledger.welcome(), httponly=True, samesite="strict")
    return response


app.mount("/page", StaticFiles(directory=PAGE))
