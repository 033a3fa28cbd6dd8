"""Settings: what no request could be served by is refused at once."""

from __future__ import annotations

from typing import Any

import pytest

from oncegate import Engine
from oncegate.http import Settings


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("scope", {"single_tenant": False}),
        ("scope", {"scope": lambda head: "a"}),
        ("payload_limit", {"payload_limit": 0}),
        ("payload_limit", {"payload_limit": (64 << 20) + 1}),
        ("response_limit", {"response_limit": 1_000_001}),
        ("key_header", {"key_header": "Idempotency Key"}),
        ("replay_header", {"replay_header": ""}),
        ("keep_headers", {"keep_headers": ["set-cookie"]}),
        ("keep_headers", {"keep_headers": "x-charge"}),
        ("exempt", {"exempt": "/login"}),
        ("wait", {"wait": -1}),
        ("poll_after", {"poll_after": float("nan")}),
        ("lease_duration", {"lease_duration": -1}),
        ("dedup_window", {"dedup_window": -1}),
        ("keep_at_most", {"keep_at_most": -1}),
        ("preset", {"policy": "ietf-2"}),
        ("problem_format", {"problem_format": "stripe-v1"}),
    ],
)
def test_mistakes_are_found_at_once(engine: Engine, field: str, wrong: dict[str, Any]) -> None:
    """Goal: a mistake in the settings is told where they are made, with its field.
    Method: one wrong setting at a time."""
    with pytest.raises((ValueError, TypeError), match=field):
        Settings(engine, **{"single_tenant": True, **wrong})
