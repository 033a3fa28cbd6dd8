"""A store for each test, and hosts that share it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from stores import Hosts, Store, redis_is_here


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    redis_is_here()
    store = Store(tmp_path)
    store.start()
    yield store
    store.kill()


@pytest.fixture
def hosts(store: Store) -> Iterator[Hosts]:
    hosts = Hosts(store)
    yield hosts
    hosts.close()
