"""What several tests need."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from typing import Any

from oncegate import Admission, Admitted, Engine, Lease, Request, Scope

PATIENCE = 30.0
"""Seconds that nothing takes which is going to happen."""


def untyped(value: Any) -> Any:
    """What the types would refuse, for tests of what happens then."""
    return value


def asked(
    key: str | bytes | None = "k",
    payload: bytes | None = None,
    scope: str | bytes | Scope = "acme",
    operation: str = "charge",
) -> Request:
    """A request that differs from the others in what is given."""
    return Request(operation, key, scope=scope, payload=payload)


def lease_of(admission: Admission) -> Lease:
    """The lease of an answer that has to be an admission."""
    assert isinstance(admission, Admitted), admission
    return admission.lease


def admitted(engine: Engine, key: str = "k") -> Lease:
    """The lease of a request that nobody runs."""
    return lease_of(engine.begin(asked(key)))


def program(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A program in a process of its own, which tells what it does on its standard output."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    """The next line of a program."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """A thread that has started."""
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def until(condition: Callable[[], bool]) -> None:
    """Gives way to other threads until it holds; fails when they had time enough."""
    pause = threading.Event()
    for _ in range(int(PATIENCE * 1_000)):
        if condition():
            return
        pause.wait(0.001)
    raise AssertionError("it never came to hold")
