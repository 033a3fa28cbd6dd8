"""What schemathesis is told about the shop: loaded by its command line."""

from __future__ import annotations

import re
import uuid
from typing import Any

import schemathesis

WELL_FORMED = re.compile(r'[!#-+.-~-]{1,255}|"(?:[ !#-\[\]-~]|\\["\\]){1,255}"')


@schemathesis.hook
def before_call(_context: Any, case: Any, _options: Any) -> None:
    """Gives each request a key of its own, unless its key is what is wrong with it.

    A key that was there before makes a request a duplicate: it is then answered by what became of
    the first one, and not by what it says itself.
    """
    key = str((case.headers or {}).get("Idempotency-Key", ""))
    if WELL_FORMED.fullmatch(key):
        own = uuid.uuid4().hex
        case.headers["Idempotency-Key"] = f'"{own}{key[1:]}' if key[0] == '"' else own + key
