"""Stores that people use for this today: each with the least code that answers duplicates."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable, MutableMapping
from typing import Any, Protocol, TypeVar, cast

import diskcache
import redis

F = TypeVar("F", bound=Callable[..., Any])

WINDOW = 86_400
"""How long an outcome answers duplicates, in seconds."""
LEASE = 30
"""How long a claim lasts that nobody ends, where the store can say so."""


class Store(Protocol):
    """What a store has to do."""

    def begin(self, key: str) -> bytes | None:
        """The outcome, or ``None``: the caller runs the request. Raises where another one does."""
        ...

    def complete(self, key: str, outcome: bytes) -> None:
        """Leaves the outcome."""
        ...


class RunningError(Exception):
    """Somebody else runs it."""


class Locked:
    """A mapping in this process, under a lock. One that is empty stands for a claim."""

    def __init__(self, of: MutableMapping[str, bytes]) -> None:
        self._of = of
        self._lock = threading.Lock()

    def begin(self, key: str) -> bytes | None:
        """See :class:`Store`."""
        with self._lock:
            found = self._of.get(key)
            if found is None:
                self._of[key] = b""
                return None
        if not found:
            raise RunningError(key)
        return found

    def complete(self, key: str, outcome: bytes) -> None:
        """See :class:`Store`."""
        with self._lock:
            self._of[key] = outcome


class Disk:
    """diskcache: SQLite in a folder."""

    def __init__(self, folder: str) -> None:
        self._cache = diskcache.Cache(folder)

    def begin(self, key: str) -> bytes | None:
        """See :class:`Store`."""
        found: bytes | None = self._cache.get(key)
        if found is None:
            if self._cache.add(key, b"", expire=LEASE):
                return None
            found = self._cache.get(key)
        if not found:
            raise RunningError(key)
        return found

    def complete(self, key: str, outcome: bytes) -> None:
        """See :class:`Store`."""
        self._cache.set(key, outcome, expire=WINDOW)


class Redis:
    """redis-py: a claim that is set if there is none, and gives what there is otherwise."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def begin(self, key: str) -> bytes | None:
        """See :class:`Store`."""
        found: Any = self._client.set(key, b"", nx=True, get=True, ex=LEASE)
        if found is None:
            return None
        if not found:
            raise RunningError(key)
        outcome: bytes = found
        return outcome

    def complete(self, key: str, outcome: bytes) -> None:
        """See :class:`Store`."""
        self._client.set(key, outcome, ex=WINDOW)


def once(store: Store, key_of: Callable[..., str]) -> Callable[[F], F]:
    """A decorator as one writes it by hand: results are JSON in a store."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            key = key_of(*args, **kwargs)
            stored = store.begin(key)
            if stored is not None:
                return json.loads(stored)
            result = function(*args, **kwargs)
            store.complete(key, json.dumps(result).encode())
            return result

        wrapped: Any = run
        return cast(F, wrapped)

    return decorate
