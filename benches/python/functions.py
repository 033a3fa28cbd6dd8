"""Functions: a duplicate that is answered, a new request, batches, and decorators."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterator
from itertools import count, repeat
from typing import Any

import cachetools
import idemkit
from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.persistence.cache import CachePersistenceLayer

import oncegate
from rounds import BUSY, WALL, Clock, Row, coroutine, statement
from servers import RedisServer
from stores import Disk, Locked, Redis, Store, once

OUTCOME = bytes(range(32, 96))
"""64 bytes."""
RESULT = {"charge": "ch_3PqT9x2eZvKYlo2C1aBcDeFgHijk", "state": "succeeded"}
"""64 bytes of JSON, without blanks."""
HOT = "5b1f4c9e-7f3f-4d55-9a7c-2f0f4f1f9b60"
CAPACITY = 65_536

DUPLICATE = "A duplicate, answered with its 64 bytes"
DECORATED = "A duplicate of a decorated function"
NEW = "A new request: begin and complete"
NEW_DECORATED = "A new call of a decorated function"
BATCHES = "Batches of 64 duplicates, each"

_numbers = count(1)


def fresh(number: int) -> list[str]:
    """Keys that nobody has had, as clients make them."""
    return [f"{next(_numbers):08x}{HOT[8:]}" for _ in repeat(None, number)]


def _fresh_keys(names: dict[str, Any], number: int) -> None:
    names["key"] = iter(fresh(number)).__next__


def rows(server: RedisServer, folder: str, loop: asyncio.AbstractEventLoop) -> list[Row]:
    """All of them."""
    warnings.simplefilter("ignore")
    stores = _stores(server, folder)
    return [
        *_duplicates(stores),
        *_new(stores),
        *_batches(),
        *_decorated(server, loop),
    ]


def _stores(server: RedisServer, folder: str) -> list[tuple[str, Store, Clock]]:
    return [
        ("dict under a lock", Locked({}), BUSY),
        ("cachetools TTLCache under a lock", Locked(cachetools.TTLCache(CAPACITY, 86_400)), BUSY),
        ("diskcache, in memory", Disk(f"{folder}/diskcache"), WALL),
        ("redis-py, Unix socket", Redis(server.client()), WALL),
        ("redis-py, loopback TCP", Redis(server.client(tcp=True)), WALL),
    ]


def _duplicates(stores: list[tuple[str, Store, Clock]]) -> list[Row]:
    engine = oncegate.Engine()
    request = oncegate.Request("charge", HOT, scope="acme")
    trusted = oncegate.Engine(fingerprint_mode="fast_trusted")
    for each in (engine, trusted):
        _admitted(each, request).complete(OUTCOME)
    names: dict[str, Any] = {
        "nothing": (lambda: None),
        "native": object().__hash__,
        "begin": engine.prepare(request).begin,
        "engine": engine.begin,
        "trusted": trusted.begin,
        "request": request,
        "Request": oncegate.Request,
        "hot": HOT,
        "plain": {HOT: OUTCOME},
    }
    part = DUPLICATE
    made = [
        statement(part, "(a method in C that does nothing)", "native()", names),
        statement(part, "(a function in Python that does nothing)", "nothing()", names),
        statement(part, "oncegate, prepared: the answer", "begin()", names),
        statement(part, "oncegate, prepared: its bytes", "begin().body", names),
        statement(part, "oncegate, `begin(request)`", "engine(request).body", names),
        statement(part, "the same, fast mode", "trusted(request).body", names),
        statement(
            part,
            "oncegate, `begin(Request(...))`",
            "engine(Request('charge', hot, scope='acme')).body",
            names,
        ),
    ]
    for name, store, clock in stores:
        store.begin(HOT)
        store.complete(HOT, OUTCOME)
        of = {"begin": store.begin, "hot": HOT}
        base = name.startswith("dict")
        made.append(statement(part, name, "begin(hot)", of, clock=clock, base=base))
    return made


def _admitted(engine: oncegate.Engine, request: oncegate.Request) -> oncegate.Lease:
    admission = engine.begin(request)
    if not isinstance(admission, oncegate.Admitted):
        raise TypeError(f"nobody can run it: {admission}")
    return admission.lease


def _new(stores: list[tuple[str, Store, Clock]]) -> list[Row]:
    engine = oncegate.Engine(capacity=CAPACITY)
    trusted = oncegate.Engine(capacity=CAPACITY, fingerprint_mode="fast_trusted")
    for each in (engine, trusted):
        for key in fresh(2 * CAPACITY):
            _admitted(each, oncegate.Request("charge", key, scope="acme")).complete(OUTCOME)
    names: dict[str, Any] = {"Request": oncegate.Request, "outcome": OUTCOME}
    code = "begin(Request('charge', key(), scope='acme')).lease.complete(outcome)"

    def requests(names: dict[str, Any], number: int) -> None:
        made = (oncegate.Request("charge", key, scope="acme") for key in fresh(number))
        names["request"] = iter(list(made)).__next__

    kept, fast = ({**names, "begin": each.begin} for each in (engine, trusted))
    part = NEW
    made = [
        statement(part, "(the next key alone)", "key()", names, prepare=_fresh_keys),
        statement(part, "oncegate, full table", code, kept, prepare=_fresh_keys),
        statement(
            part,
            "the same, request made before",
            "begin(request()).lease.complete(outcome)",
            kept,
            prepare=requests,
        ),
        statement(part, "the same, fast mode", code, fast, prepare=_fresh_keys),
    ]
    for name, store, clock in stores:
        of = {"begin": store.begin, "complete": store.complete, "outcome": OUTCOME}
        code = "k = key(); begin(k); complete(k, outcome)"
        base = name.startswith("dict")
        row = statement(part, name, code, of, clock=clock, prepare=_fresh_keys, base=base)
        made.append(row)
    return made


def _batches() -> list[Row]:
    made = []
    for size in (16, 65_536):
        engine = oncegate.Engine(capacity=2 * CAPACITY)
        requests = [oncegate.Request("charge", key, scope="acme") for key in fresh(size)]
        for request in requests:
            _admitted(engine, request).complete(OUTCOME)
        prepared = [engine.prepare(request) for request in requests]
        # In an order that no prefetcher follows.
        order = [at * 40_503 % size for at in range(max(size, 64))]
        shuffled = [prepared[at] for at in order]
        batches = [shuffled[at : at + 64] for at in range(0, len(shuffled), 64)]
        names = {"batch": engine.begin_batch, "engine": engine.begin}
        part = f"{BATCHES}, {size:,} records"

        def turns(names: dict[str, Any], number: int, batches: Any = batches) -> None:
            of = (batches[at % len(batches)] for at in range(number))
            names["next_one"] = of.__next__

        for name, code in (
            ("one by one, `begin`", "for each in next_one(): engine(each)"),
            ("one by one, prepared", "for each in next_one(): each.begin()"),
            ("`begin_batch`", "batch(next_one())"),
        ):
            base = "batch" in name
            row = statement(part, name, code, names, prepare=turns, base=base, each=64)
            made.append(row)
    return made


def _decorated(server: RedisServer, loop: asyncio.AbstractEventLoop) -> list[Row]:
    made: list[Row] = []
    for name, function, clock in _functions(server):
        of = {"call": function, "hot": HOT}
        base = name.startswith("dict")
        made.append(statement(DECORATED, name, "call(order=hot)", of, clock=clock, base=base))
        row = statement(
            NEW_DECORATED,
            name,
            "call(order=key())",
            {"call": function},
            clock=clock,
            prepare=_fresh_keys,
            base=base,
        )
        made.append(row)
    for name, operation, clock in _coroutines(server):
        for part, keys in ((DECORATED, _hot_keys), (NEW_DECORATED, _new_keys)):
            made.append(coroutine(part, name, operation, loop, keys=keys, clock=clock))
    return made


def _hot_keys(_count: int) -> Iterator[str]:
    return repeat(HOT)


def _new_keys(number: int) -> Iterator[str]:
    return iter(fresh(number))


def _charge(*, order: str) -> dict[str, str]:
    return RESULT


async def _charge_async(*, order: str) -> dict[str, str]:
    return RESULT


def _functions(server: RedisServer) -> list[tuple[str, Callable[..., Any], Clock]]:
    engine = oncegate.Engine(capacity=CAPACITY)
    ours = oncegate.idempotent(engine, key="order", scope="acme")(_charge)
    unkept = oncegate.idempotent(
        engine, key="order", scope="acme", operation="unkept", renew=False
    )(_charge)
    config = IdempotencyConfig(event_key_jmespath="order")
    cached = IdempotencyConfig(event_key_jmespath="order", use_local_cache=True)
    layers = [CachePersistenceLayer(client=server.client(text=True)) for _ in range(2)]

    def powertools(layer: Any, config: IdempotencyConfig) -> Callable[..., Any]:
        of = idempotent_function(
            data_keyword_argument="data", persistence_store=layer, config=config
        )(_powertools_charge)
        return lambda *, order: of(data={"order": order})

    local = idemkit.idempotent_sync(
        backend=idemkit.InMemoryBackend(), config=idemkit.MethodConfig(key_fields=["order"])
    )(_charge)
    hand_written = once(Locked({}), lambda *, order: order)(_charge)
    return [
        ("oncegate, `@idempotent`", ours, BUSY),
        ("the same, `renew=False`", unkept, BUSY),
        ("dict under a lock, a decorator by hand", hand_written, BUSY),
        ("Powertools, Redis on a Unix socket", powertools(layers[0], config), WALL),
        ("the same with its local cache", powertools(layers[1], cached), WALL),
        ("idemkit, in memory, `idempotent_sync`", local, WALL),
    ]


def _powertools_charge(*, data: dict[str, str]) -> dict[str, str]:
    return RESULT


def _coroutines(server: RedisServer) -> list[tuple[str, Callable[[str], Any], Clock]]:
    engine = oncegate.Engine(capacity=CAPACITY)
    ours = oncegate.idempotent(engine, key="order", scope="acme")(_charge_async)
    config = idemkit.MethodConfig(key_fields=["order"])
    local = idemkit.idempotent(backend=idemkit.InMemoryBackend(), config=config)(_charge_async)
    backend = idemkit.RedisBackend.from_url(f"unix://{server.socket}")
    far = idemkit.idempotent(backend=backend, config=config)(_charge_async)
    return [
        ("oncegate, `@idempotent`, async", lambda key: ours(order=key), BUSY),
        ("idemkit, in memory, async", lambda key: local(order=key), BUSY),
        ("idemkit, Redis on a Unix socket, async", lambda key: far(order=key), WALL),
    ]
