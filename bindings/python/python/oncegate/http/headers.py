"""Which headers of a first response its replays repeat."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

KEPT = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-location",
    "content-type",
    "etag",
    "last-modified",
    "link",
    "location",
    "vary",
)
"""They describe the result, and say nothing of who asked for it."""

NEVER_KEPT = frozenset(
    (
        "set-cookie",
        "set-cookie2",
        "authorization",
        "authentication-info",
        "proxy-authentication-info",
        "www-authenticate",
        "proxy-authenticate",
        "proxy-authorization",
        "cookie",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "date",
        "age",
    )
)
"""Credentials; headers of one connection (RFC 9110, section 7.6.1); headers of one message."""


def kept_names(more: Iterable[str]) -> frozenset[str]:
    """The names that are kept, in lower case.

    Raises ``ValueError`` for a header that belongs to one client, connection or message.
    """
    if isinstance(more, str):
        raise TypeError("keep_headers: refused; found one string; limit: names in a collection")
    names = {name.lower() for name in more}
    if names & NEVER_KEPT:
        raise ValueError(
            "keep_headers: refused; found a header of one client, connection or message; "
            "limit: one that is the same for every client and connection"
        )
    if not all(is_name(name) for name in names):
        raise ValueError("keep_headers: refused; limit: the names of headers")
    return frozenset(names.union(KEPT))


def is_name(name: str) -> bool:
    """Whether a header can have this name (RFC 9110, section 5.6.2)."""
    return bool(name) and not name.encode("utf-8").translate(None, _TOKEN)


_TOKEN = b"!#$%&'*+-.^_`|~" + bytes(byte for byte in range(128) if chr(byte).isalnum())
