"""The arguments of a call as a key: equal calls have equal keys, in every process.

A value is written as its kind, its length and its content, so that no two values are written alike.
What JSON writes alike counts as equal, since brokers and tool calls pass arguments as JSON: a tuple
and a list, ``1`` and ``1.0``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import math
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from ._errors import InvalidInputError


def arguments_key(
    function: Callable[..., object],
    args: tuple[object, ...] = (),
    kwargs: Mapping[str, object] | None = None,
    *,
    leave_out: Collection[str] = (),
) -> str:
    """A key for a call: 64 hexadecimal digits of SHA-256 over its arguments.

    Positional and keyword arguments count by the parameter that they are for, and defaults count as
    if they had been given: ``f(1)``, ``f(a=1)`` and ``f(1, b=2)`` are one call of
    ``def f(a, b=2)``. Parameters named in ``leave_out`` do not count. Arguments may be what JSON
    has, dates and times, ``Decimal``, ``UUID``, enumerations, bytes, sets, dataclasses and Pydantic
    models, in any nesting; anything else raises :class:`InvalidInputError`, which names the
    parameter and the class and never the value.
    """
    return hashlib.sha256(arguments_bytes(function, args, kwargs, leave_out=leave_out)).hexdigest()


def arguments_bytes(
    function: Callable[..., object],
    args: tuple[object, ...] = (),
    kwargs: Mapping[str, object] | None = None,
    *,
    leave_out: Collection[str] = (),
) -> bytes:
    """What :func:`arguments_key` digests; a payload to compare duplicates by."""
    named = _bound(function, args, kwargs or {})
    parts: list[bytes] = []
    for name in sorted(named):
        if name in leave_out:
            continue
        try:
            parts += (_text(name), _written(named[name]))
        except RecursionError:
            raise InvalidInputError(
                f"argument {name}: it is nested too deeply", name="InvalidInput", field=name
            ) from None
        except _NotWritable as error:
            raise InvalidInputError(
                f"argument {name}: no key can be made of {error.kind}; give a key",
                name="InvalidInput",
                field=name,
            ) from None
    return b"".join(parts)


def _bound(
    function: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]
) -> dict[str, object]:
    """Each argument under the name of its parameter."""
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


class _NotWritable(Exception):
    """A value that cannot be written."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def _written(value: Any) -> bytes:
    """The value as bytes."""
    for kinds, write in _WRITERS:
        if isinstance(value, kinds):
            return write(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return _framed(b"D", _text(_kind(value)) + _mapping(fields))
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return _framed(b"M", _text(_kind(value)) + _written(dump(mode="json")))
    raise _NotWritable(_kind(value))


def _framed(tag: bytes, content: bytes) -> bytes:
    return b"%c%d:%s" % (tag, len(content), content)


def _text(value: str) -> bytes:
    return _framed(b"s", value.encode("utf-8", "surrogatepass"))


def _number(value: float) -> bytes:
    if not math.isfinite(value):
        raise _NotWritable("a number that is not finite")
    # Beyond 2^53 a float is no exact integer any more, for those who have only floats.
    if value.is_integer() and abs(value) <= 2**53:
        return _framed(b"i", b"%d" % int(value))
    return _framed(b"f", repr(value).encode())


def _sequence(value: list[Any] | tuple[Any, ...]) -> bytes:
    return _framed(b"l", b"".join(map(_written, value)))


def _mapping(value: Mapping[Any, Any]) -> bytes:
    pairs = sorted((_written(key), _written(item)) for key, item in value.items())
    return _framed(b"d", b"".join(key + item for key, item in pairs))


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


# In this order: an Enum may be an int or a str, a bool is an int, and a datetime is a date.
_WRITERS: list[tuple[type | tuple[type, ...], Callable[[Any], bytes]]] = [
    (Enum, lambda value: _framed(b"e", _text(_kind(value)) + _text(value.name))),
    (type(None), lambda _: b"n"),
    (bool, lambda value: b"t" if value else b"u"),
    (str, _text),
    (int, lambda value: _framed(b"i", b"%d" % value)),
    (float, _number),
    ((list, tuple), _sequence),
    (Mapping, _mapping),
    ((bytes, bytearray, memoryview), lambda value: _framed(b"b", bytes(value))),
    (datetime, lambda value: _framed(b"w", value.isoformat().encode())),
    (date, lambda value: _framed(b"y", value.isoformat().encode())),
    (time, lambda value: _framed(b"h", value.isoformat().encode())),
    (timedelta, lambda value: _framed(b"p", repr(value).encode())),
    (Decimal, lambda value: _framed(b"c", str(value).encode())),
    (UUID, lambda value: _framed(b"g", value.bytes)),
    ((set, frozenset), lambda value: _framed(b"z", b"".join(sorted(map(_written, value))))),
]
