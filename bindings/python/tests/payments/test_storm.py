"""Clients without a browser: many at once, which hang up and send again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import storm

PURCHASES = 25
COPIES = 4


def test_a_storm_charges_each_purchase_once(serve: Callable[..., str]) -> None:
    """Goal: whatever clients do, a purchase is charged once, all of them are told of the same
    charge, and the handler alone charges more. Method: each purchase sent by four clients at once
    to two worker processes, with timeouts and resends, in both lanes; the ledger is counted."""
    plain, once = asyncio.run(storm.storm(serve(100), PURCHASES, COPIES, seed=7))
    assert plain.charged_twice == PURCHASES, plain
    assert once.is_right, once
    assert (once.charges, once.not_charged, once.contradictions) == (PURCHASES, 0, 0)
    assert once.requests > PURCHASES * COPIES
    assert set(once.answers) <= {"201", "replayed", "409", "none"}
    assert once.answers.get("201", 0) <= PURCHASES
    assert once.answers["replayed"] + once.answers.get("201", 0) == PURCHASES * COPIES
