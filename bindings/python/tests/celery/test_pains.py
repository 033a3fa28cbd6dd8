"""The field's best-known pains, with a real Redis broker and real workers."""

from __future__ import annotations

import subprocess
import sys

import demo
import pytest


def test_each_order_is_charged_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Goal: where plain Celery charges an order more than once, a task with oncegate charges it
    once: a task longer than the visibility timeout, an ETA beyond it, a worker killed between the
    work and its acknowledgement, a pool process killed between two parts of the work. Method: the
    demonstration of the examples, as a person would run it; it counts the charges in Redis."""
    ran = subprocess.run(
        [sys.executable, demo.__file__], stdout=subprocess.PIPE, text=True, timeout=300, check=False
    )
    with capsys.disabled():
        print(f"\n{ran.stdout}", end="")
    rows = [line.split() for line in ran.stdout.splitlines()[1:]]
    assert [story for story, _, _ in rows] == list(demo.STORIES)
    assert all(int(plain) > 1 for _, plain, _ in rows)
    assert all(int(once) == 1 for _, _, once in rows)
    assert ran.returncode == 0
