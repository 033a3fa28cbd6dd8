"""A storm of clients on both lanes, and what the ledger says afterwards.

``python storm.py http://127.0.0.1:8000/`` prints it. Each purchase is sent several times at once,
by clients that hang up on slow answers and send again what they have no answer to.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import uuid
from collections import Counter
from typing import NamedTuple

import httpx

LANES = ("plain", "once")
PRICE = 4900
PAUSE = 0.05
MOST_SENDS = 30


class Sums(NamedTuple):
    """What became of a lane's purchases."""

    lane: str
    purchases: int
    requests: int
    charges: int
    charged_twice: int
    """Purchases with more than one charge."""
    not_charged: int
    """Purchases without one."""
    answers: dict[str, int]
    """How often each kind of answer was given."""
    contradictions: int
    """Purchases whose clients were told of different charges."""

    @property
    def is_right(self) -> bool:
        """Whether each purchase was charged once, and each of its clients was told so."""
        return not self.charged_twice and not self.not_charged and not self.contradictions


class Storm:
    """The clients of one lane."""

    def __init__(self, client: httpx.AsyncClient, lane: str, seed: int) -> None:
        self.client = client
        self.lane = lane
        self.random = random.Random(seed)  # noqa: S311  # no secret is made of it
        self.requests = 0
        self.answers: Counter[str] = Counter()
        self.told: dict[str, set[int]] = {}

    async def rage(self, purchases: int, copies: int) -> Sums:
        """Sends each purchase ``copies`` times at once, and again until each copy is answered."""
        names = [str(uuid.UUID(int=self.random.getrandbits(128))) for _ in range(purchases)]
        self.told = {name: set() for name in names}
        # No TaskGroup: Python 3.10 has none.
        await asyncio.gather(*(self._settle(name) for name in names for _ in range(copies)))
        charged = Counter(dict.fromkeys(names, 0))
        for purchase in await self._charged():
            charged[purchase] += 1
        return Sums(
            self.lane,
            purchases,
            self.requests,
            charged.total(),
            sum(count > 1 for count in charged.values()),
            sum(count < 1 for count in charged.values()),
            dict(self.answers),
            sum(len(ids) != 1 for ids in self.told.values()),
        )

    async def _settle(self, purchase: str) -> None:
        """One copy: sent until it has an answer that stays."""
        await asyncio.sleep(self.random.uniform(0, 0.2))  # sleep: copies come one after another
        for _ in range(MOST_SENDS):
            patience = self.random.choice((0.05, 0.15, 5.0))
            try:
                response = await asyncio.wait_for(self._send(purchase), patience)
            except (asyncio.TimeoutError, httpx.TransportError):
                self.answers["none"] += 1
                await asyncio.sleep(PAUSE)  # sleep: as clients do before they send again
                continue
            kind = str(response.status_code)
            if response.headers.get("idempotent-replayed") == "true":
                kind = "replayed"
            self.answers[kind] += 1
            if response.status_code == 201:
                self.told[purchase].add(response.json()["id"])
                return
            if response.status_code not in (409, 503):
                raise RuntimeError(f"{response.status_code}: {response.text}")
            # As the server asks for.
            await asyncio.sleep(float(response.headers.get("retry-after", 1)))  # sleep: see above
        raise RuntimeError(f"no answer to {MOST_SENDS} requests")

    async def _send(self, purchase: str) -> httpx.Response:
        self.requests += 1
        return await self.client.post(
            f"/{self.lane}/charges",
            json={"purchase": purchase, "amount": PRICE, "currency": "EUR"},
            headers={"Idempotency-Key": f'"{purchase}"'},
        )

    async def _charged(self) -> list[str]:
        """The purchases of all charges: one for each."""
        purchases: list[str] = []
        after = 0
        while True:
            response = await self.client.get("/ledger", params={"after": after})
            charges = response.raise_for_status().json()["charges"]
            if not charges:
                return purchases
            purchases += [charge["purchase"] for charge in charges]
            after = charges[-1]["id"]


async def storm(address: str, purchases: int, copies: int, seed: int) -> list[Sums]:
    """Both lanes, one after the other, each with a shopper of its own."""
    sums = []
    for lane in LANES:
        # No connection is left to wait for another: the storm is to reach the server.
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=address, limits=limits, timeout=30) as client:
            (await client.get("/")).raise_for_status()
            sums.append(await Storm(client, lane, seed).rage(purchases, copies))
    return sums


def main() -> int:
    parser = argparse.ArgumentParser(description="A storm on the payments demo.")
    parser.add_argument("address", help="where it is served")
    parser.add_argument("--purchases", type=int, default=40)
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    sums = asyncio.run(storm(options.address, options.purchases, options.copies, options.seed))
    for lane in sums:
        print(
            f"{lane.lane:5} {lane.purchases} purchases, {lane.requests} requests: "
            f"{lane.charges} charges, {lane.charged_twice} purchases charged more than once; "
            + ", ".join(f"{count} x {kind}" for kind, count in sorted(lane.answers.items()))
        )
    plain, once = sums
    return 0 if once.is_right and plain.charged_twice else 1


if __name__ == "__main__":
    sys.exit(main())
