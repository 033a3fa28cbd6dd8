"""What an interpreter without any other package can do with the one under test; fails if it cannot.

Goal: the wheel works on every interpreter that its tag names. Method: a request of each answer that
needs no waiting, from a thread, from an event loop and from a forked child.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading

import oncegate
from oncegate import Admitted, Engine, InProgress, Mismatched, Outcome, Payload, Replayed, Request


def request(key: str, amount: int = 100) -> Request:
    payload = Payload.json(b'{"amount": %d}' % amount)
    return Request("POST /charges", key, scope="acme", payload=payload)


def complete(engine: Engine, key: str) -> None:
    admission = engine.begin(request(key))
    assert isinstance(admission, Admitted), admission
    assert isinstance(engine.begin(request(key)), InProgress)
    admission.lease.complete(Outcome(201, b"charged"))


def replayed(engine: Engine, key: str) -> bool:
    admission = engine.begin(request(key))
    return isinstance(admission, Replayed) and admission.outcome.body == b"charged"


def main() -> None:
    with Engine(capacity=1_000) as engine:
        complete(engine, "a")
        assert replayed(engine, "a")
        assert isinstance(engine.begin(request("a", 200)), Mismatched)

        thread = threading.Thread(target=complete, args=(engine, "b"))
        thread.start()
        thread.join()
        assert replayed(engine, "b")

        answer = asyncio.run(engine.begin_async(request("b")))
        assert isinstance(answer, Replayed), answer

        child = os.fork()
        if child == 0:
            complete(engine, "c")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert replayed(engine, "c")
    print(f"oncegate on {sys.version.split()[0]}: {os.path.dirname(oncegate.__file__)}")


main()
