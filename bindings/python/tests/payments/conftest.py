"""The shop, served as its users serve it: by worker processes of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "examples" / "payments"
sys.path.insert(0, str(DEMO))

Serve = Callable[..., str]


@contextmanager
def served(network_ms: int) -> Iterator[str]:
    """The address of a shop whose card network takes this long."""
    process = subprocess.Popen(
        [sys.executable, str(DEMO / "serve.py"), "--workers", "2"],
        env={**os.environ, "PAYMENTS_NETWORK_MS": str(network_ms)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.search(r"http://\S+/", line)
        assert found, line
        yield found[0]
    finally:
        process.terminate()
        assert process.wait(30) == 0


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts shops, and ends them when the test is over."""
    with ExitStack() as stack:
        yield lambda network_ms: stack.enter_context(served(network_ms))
