"""How the body of a request is read when two of them are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._core import Payload

if TYPE_CHECKING:
    from collections.abc import Callable


def payload_of(content_type: bytes | None, is_encoded: bool, body: bytes) -> Payload | None:
    """The payload that the headers announce.

    What is encoded, unknown, or announced twice is compared byte by byte. An empty body is no
    payload, whatever its type: clients set a type for all requests.
    """
    if not body:
        return None
    if content_type is None or is_encoded:
        return Payload.raw(body)
    made = _COMMON.get(content_type)
    return made(body) if made is not None else _parsed(content_type, body)


def _parsed(content_type: bytes, body: bytes) -> Payload:
    if content_type.translate(None, _VISIBLE):
        return Payload.raw(body)
    head, _, parameters = content_type.decode("ascii").partition(";")
    essence = head.strip().lower()
    if essence == "multipart/form-data":
        boundary = boundary_in(parameters)
        return Payload.multipart(body, boundary) if boundary else Payload.raw(body)
    if essence.endswith("+json"):
        return Payload.json(body)
    return _COMMON.get(essence.encode("ascii"), Payload.raw)(body)


def boundary_in(parameters: str) -> str:
    """The parameter ``boundary``, or nothing. Its characters need no escapes (RFC 2046, section
    5.1.1).
    """
    while True:
        name, found, after = parameters.partition("=")
        if not found:
            return ""
        if after.startswith('"'):
            value, found, parameters = after[1:].partition('"')
            if not found:
                return ""
        else:
            value, _, parameters = after.partition(";")
        if name.lstrip("; \t").rstrip().lower() == "boundary":
            return value.rstrip()


_VISIBLE = b"\t" + bytes(range(ord(" "), ord("~") + 1))
_COMMON: dict[bytes, Callable[[bytes], Payload]] = {
    b"application/json": Payload.json,
    b"text/json": Payload.json,
    b"application/x-www-form-urlencoded": Payload.form,
}
