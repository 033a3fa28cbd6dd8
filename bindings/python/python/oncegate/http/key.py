"""The idempotency key, as it stands in a header."""

from __future__ import annotations


class MalformedKeyError(ValueError):
    """Why a header holds no key; it never tells what it held."""


def read_key(value: bytes) -> bytes:
    """The key of a header's value.

    The draft asks for a String of RFC 8941, in double quotes; most clients send the bare value.
    Both are accepted, and name the same key. A bare value is visible ASCII without quotes and
    commas, since a proxy joins two headers by a comma.

    >>> read_key(b'"8e03-978e"') == read_key(b"8e03-978e")
    True
    """
    # What is left after taking out all that a bare key may hold.
    if value and not value.translate(None, _BARE):
        return value
    value = value.strip(b" \t")
    if not value:
        raise MalformedKeyError("an empty idempotency key")
    if REPEATED in value:
        raise MalformedKeyError("more than one idempotency key")
    if value[0] == _QUOTE:
        return _unquote(value)
    if value.translate(None, _BARE):
        raise MalformedKeyError("an unquoted key takes visible ASCII without quotes, commas")
    return value


def _unquote(value: bytes) -> bytes:
    """The value of a String. Parameters after it are ignored, as RFC 8941 asks for where none are
    defined.
    """
    key = bytearray()
    at = 1
    while at < len(value):
        byte = value[at]
        at += 1
        if byte == _QUOTE:
            if at < len(value) and value[at] != _SEMICOLON:
                raise MalformedKeyError("characters after the quoted key")
            return bytes(key)
        if byte == _BACKSLASH:
            if at == len(value) or value[at] not in (_QUOTE, _BACKSLASH):
                raise MalformedKeyError("an escape that RFC 8941 does not know")
            key.append(value[at])
            at += 1
        elif _SPACE <= byte <= _TILDE:
            key.append(byte)
        else:
            raise MalformedKeyError("a character that a quoted key may not hold")
    raise MalformedKeyError("a quoted key without its closing quote")


REPEATED = b"\n"
"""Between the values of a header that came more than once; no value can hold it."""

_SPACE, _QUOTE, _SEMICOLON, _BACKSLASH, _TILDE = b' ";\\~'
_BARE = bytes(byte for byte in range(_SPACE + 1, _TILDE + 1) if byte not in b'",')
