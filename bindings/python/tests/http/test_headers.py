"""Headers: which of them replays repeat, here and in the engine's own layer."""

from __future__ import annotations

import re
from pathlib import Path

from oncegate.http import headers


def listed(name: str) -> list[str]:
    """A list of the engine's layer for HTTP, in lower case, as headers are written there."""
    text = Path(__file__).parents[4].joinpath("core/src/http/settings.rs").read_text()
    found = re.search(rf"^const {name}: \[[^=]* = \[\n(.*?)^\];", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no list {name}"
    lines = [line.strip().rstrip(",") for line in found.group(1).splitlines()]
    return [line.strip('"').replace("header::", "").replace("_", "-").lower() for line in lines]


def test_the_lists_are_the_engines() -> None:
    """Goal: a header is repeated by every layer, or by none. Method: both lists against those
    of the engine's layer."""
    kept, never = listed("KEPT"), listed("NEVER_KEPT")
    assert (len(kept), len(never)) == (11, 19)
    assert sorted(headers.KEPT) == sorted(kept)
    assert sorted(headers.NEVER_KEPT) == sorted(never)
