"""Serializers: results as the bytes of an outcome, and back."""

from __future__ import annotations

import dataclasses
import json
import pickle
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from ._errors import OncegateError

T = TypeVar("T")

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_decode = json.JSONDecoder().decode


class SerializationError(OncegateError, TypeError):
    """The work has run, and its result cannot be kept: its duplicates get ``OutcomeGone``."""


@runtime_checkable
class Serializer(Protocol):
    """Makes bytes of a result, and a result of those bytes."""

    def dumps(self, value: Any) -> bytes:
        """The bytes that are stored. Raises where ``loads`` would give something else."""
        ...

    def loads(self, data: bytes) -> Any:
        """What duplicates get."""
        ...


class JsonSerializer:
    """JSON, of what JSON gives back as it was; the default.

    Refuses what would come back as something else, such as tuples, sets, and names in mappings
    that are no strings: a duplicate must not get another result than the first caller.
    """

    def dumps(self, value: Any) -> bytes:
        """The value's JSON."""
        _check(value, "result")
        return _encode(value).encode()

    def loads(self, data: bytes) -> Any:
        """The value."""
        return _decode(data.decode())


def _check(value: Any, path: str) -> None:
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return
    if kind is list:
        for at, item in enumerate(value):
            _check(item, f"{path}[{at}]")
        return
    if kind is dict:
        for name, item in value.items():
            if type(name) is not str:
                raise _unfit(path, f"a name of the type {type(name).__name__}")
            _check(item, f"{path}.{name}" if name.isidentifier() else f"{path}[…]")
        return
    raise _unfit(path, f"a value of the type {kind.__name__}")


def _unfit(path: str, found: str) -> SerializationError:
    return SerializationError(
        f"{path}: found {found}, which JSON does not give back as it is; return what it does, or "
        "name a serializer",
        name="Serialization",
        field="result",
    )


class DataclassSerializer(Generic[T]):
    """A dataclass by its fields, which are JSON or dataclasses themselves."""

    def __init__(self, kind: type[T]) -> None:
        if not dataclasses.is_dataclass(kind):
            raise TypeError(f"{kind!r} is no dataclass")
        self._kind = kind
        self._json = JsonSerializer()

    def dumps(self, value: T) -> bytes:
        """The fields' JSON."""
        if type(value) is not self._kind:
            raise _unfit("result", f"a value of the type {type(value).__name__}")
        return self._json.dumps(_fields(value))

    def loads(self, data: bytes) -> T:
        """The dataclass."""
        made: T = _made(self._kind, json.loads(data))
        return made


def _fields(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {of.name: _fields(getattr(value, of.name)) for of in dataclasses.fields(value)}
    return value


def _made(kind: Any, fields: Any) -> Any:
    import typing

    kinds = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    later: dict[str, Any] = {}
    for of in dataclasses.fields(kind):
        value = fields[of.name]
        if dataclasses.is_dataclass(kinds.get(of.name)) and value is not None:
            value = _made(kinds[of.name], value)
        (values if of.init else later)[of.name] = value
    made = kind(**values)
    for name, value in later.items():
        object.__setattr__(made, name, value)
    return made


class PydanticSerializer(Generic[T]):
    """Whatever pydantic validates: a model, or a type such as ``list[Charge]``."""

    def __init__(self, kind: Any) -> None:
        from pydantic import TypeAdapter

        self._adapter: TypeAdapter[T] = TypeAdapter(kind)

    def dumps(self, value: T) -> bytes:
        """The JSON that pydantic makes of it."""
        return self._adapter.dump_json(value)

    def loads(self, data: bytes) -> T:
        """The value, validated."""
        return self._adapter.validate_json(data)


class PickleSerializer:
    """Whatever pickle takes. Never a default: who can write to the table runs code here.

    Name it only where every process that opens the table is trusted as this one is.
    """

    def dumps(self, value: Any) -> bytes:
        """The value's pickle."""
        return pickle.dumps(value)

    def loads(self, data: bytes) -> Any:
        """The value."""
        return pickle.loads(data)  # noqa: S301  # Whoever asks for pickle asks for this.


def serializer_of(kind: Any) -> Serializer:
    """What suits a function that returns ``kind``: by default JSON."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return DataclassSerializer(kind)
    if isinstance(kind, type) and hasattr(kind, "model_validate_json"):
        return PydanticSerializer(kind)
    return JsonSerializer()
