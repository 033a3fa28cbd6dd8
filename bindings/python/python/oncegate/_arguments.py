"""Arguments as bytes that tell them apart: what keys and payloads of functions are made from."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import hashlib
import json
import math
import uuid
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from ._errors import InvalidInputError

_encode = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False
).encode

_LONGEST_KEY = 255


def canonical(value: object, field: str = "arguments") -> bytes:
    """The bytes of a value: equal values have equal bytes, and others have others.

    Takes what JSON has, and bytes, tuples (as lists), sets, dates, ``Decimal``, ``UUID``, enums,
    dataclasses and pydantic models. Everything else is refused with
    :class:`~oncegate.InvalidInputError`, since an object's identity says nothing about a request.
    """
    try:
        tagged = _tagged(value, field)
    except RecursionError:
        raise _refused(field, "a value that is nested too deeply") from None
    try:
        # A lone surrogate is a string that no UTF-8 has; it stays apart from every other.
        return _encode(tagged).encode("utf-8", "surrogatepass")
    except ValueError:
        raise _refused(field, "an integer of more digits than Python writes") from None


def key_of(value: object) -> str | bytes:
    """A value as an idempotency key: a short text as it is, anything else by its digest."""
    if type(value) is str and value and (len(value) * 4 <= _LONGEST_KEY or _is_short(value)):
        return value
    if isinstance(value, bytes) and 0 < len(value) <= _LONGEST_KEY:
        return value
    if value is None or value in ("", b""):
        raise _refused("key", "nothing")
    return "sha256:" + hashlib.sha256(canonical(value, "key")).hexdigest()


def _is_short(text: str) -> bool:
    return len(text.encode("utf-8", "surrogatepass")) <= _LONGEST_KEY


def _refused(field: str, found: str) -> InvalidInputError:
    return InvalidInputError(
        f"{field}: refused; found {found}; limit: JSON's values, bytes, dates, Decimal, UUID, "
        "enums, dataclasses and pydantic models",
        name="InvalidOption",
        field=field,
    )


def _tagged(value: Any, field: str) -> Any:
    """The value as JSON has it; what JSON lacks is an object whose one name begins with ``$``."""
    kind = type(value)
    if value is None or kind is str or kind is bool:
        return value
    if kind is int:
        return value
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        return str(value)
    if isinstance(value, enum.Enum):
        return {"$enum": [_name(value), _tagged(value.value, field)]}
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _refused(field, f"the number {value}")
        # 1.0 and 1 are equal in Python, and are one request.
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        return _tagged_mapping(value, field)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$bytes": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, AbstractSet):
        return {
            "$set": sorted(
                canonical(item, field).decode("utf-8", "surrogatepass") for item in value
            )
        }
    if isinstance(value, Sequence):
        return [_tagged(item, field) for item in value]
    return _tagged_object(value, field)


def _tagged_mapping(value: Mapping[Any, Any], field: str) -> Any:
    if all(isinstance(name, str) and not name.startswith("$") for name in value):
        return {name: _tagged(item, field) for name, item in value.items()}
    pairs = [[_tagged(name, field), _tagged(item, field)] for name, item in value.items()]
    return {"$pairs": sorted(pairs, key=lambda pair: _encode(pair[0]))}


def _tagged_object(value: Any, field: str) -> Any:
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return {"$" + type(value).__name__: value.isoformat()}
    if isinstance(value, datetime.timedelta):
        return {"$timedelta": [value.days, value.seconds, value.microseconds]}
    if isinstance(value, decimal.Decimal):
        return {"$decimal": str(value)}
    if isinstance(value, uuid.UUID):
        return {"$uuid": value.hex}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {of.name: getattr(value, of.name) for of in dataclasses.fields(value)}
        return {"$object": [_name(value), _tagged(fields, field)]}
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return {"$object": [_name(value), _tagged(dump(mode="json"), field)]}
    raise _refused(field, f"a value of the type {type(value).__name__}")


def _name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
