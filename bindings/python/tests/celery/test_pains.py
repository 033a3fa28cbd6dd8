"""The field's best-known pains, with a real Redis broker and real workers."""

from __future__ import annotations

from pathlib import Path

import demo
import pytest


def test_each_order_is_charged_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Goal: where plain Celery charges an order more than once, a task with oncegate charges it
    once: a task longer than the visibility timeout, an ETA beyond it, a worker killed between the
    work and its acknowledgement, a pool process killed between two parts of the work. Method: the
    demonstration of the examples, which counts the charges of both in Redis."""
    rows = list(demo.demonstrate(tmp_path))
    with capsys.disabled():
        for row in rows:
            print(
                f"\n{row.story}: {row.plain} charges without oncegate, {row.once} with it", end=""
            )
    assert [row.story for row in rows] == list(demo.STORIES)
    assert all(row.plain > 1 for row in rows), rows
    assert all(row.once == 1 for row in rows), rows
