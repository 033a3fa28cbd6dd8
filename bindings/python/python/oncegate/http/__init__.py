"""What the middlewares for ASGI and WSGI share: keys, payloads, problems, responses."""

from __future__ import annotations

from .gate import Identity
from .polling import Polling
from .problem import Answer, ProblemFormat
from .response import BrokenOffError
from .settings import Head, ScopeSource, Settings

ATTEMPT = "oncegate.attempt"
"""Where a handler finds its attempt: an entry of the scope of ASGI, or of the environment of
WSGI. It is a :class:`oncegate.Lease`; the middleware ends it."""

__all__ = [
    "ATTEMPT",
    "Answer",
    "BrokenOffError",
    "Head",
    "Identity",
    "Polling",
    "ProblemFormat",
    "ScopeSource",
    "Settings",
]
