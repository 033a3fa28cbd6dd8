"""Settings that are made in processes of Python's own, which import this and no test."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from oncegate import Engine
from oncegate.http import Settings


def made(queue: Any, engine: Engine | None, options: dict[str, Any], times: int) -> None:
    """Makes settings, and tells of the warnings."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        engine = Engine(capacity=64, **options) if engine is None else engine
        for _ in range(times):
            Settings(engine, single_tenant=True)
    queue.put([(warning.category.__name__, Path(warning.filename).name) for warning in told])
