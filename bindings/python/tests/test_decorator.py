"""`@idempotent`: keys, scopes, payloads and results of functions."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import decimal
import enum
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from oncegate import (
    DataclassSerializer,
    Engine,
    InvalidInputError,
    JsonSerializer,
    MismatchedError,
    PickleSerializer,
    PydanticSerializer,
    Scope,
    SerializationError,
    Serializer,
    current_lease,
    idempotent,
)
from oncegate._arguments import canonical, key_of


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(capacity=1_000) as engine:
        yield engine


@dataclasses.dataclass(frozen=True)
class Money:
    cents: int
    currency: str = "EUR"


@dataclasses.dataclass
class Receipt:
    number: int
    paid: Money


class Charge(BaseModel):
    id: uuid.UUID
    at: datetime.datetime


def test_one_parameter_is_the_key(engine: Engine) -> None:
    """Goal: calls with the same key are one. Method: the key by place and by name."""
    calls = []

    @idempotent(engine, key="order", scope="acme")
    def charge(order: str, cents: int = 100) -> int:
        """Charges it."""
        calls.append((order, cents, current_lease().attempt))
        return len(calls)

    assert [charge("a"), charge(order="a"), charge("a", 5), charge("b")] == [1, 1, 1, 2]
    assert calls == [("a", 100, 1), ("b", 100, 1)]
    assert (charge.__name__, charge.__doc__) == ("charge", "Charges it.")


def test_all_arguments_are_the_key(engine: Engine) -> None:
    """Goal: without a key the call itself is it, however it is written.
    Method: by place, by name, by default; and one that differs."""
    calls = []

    @idempotent(engine, scope="acme")
    def charge(order: str, cents: int = 100, *tags: str, note: str = "") -> int:
        calls.append(1)
        return len(calls)

    same = [charge("a"), charge("a", 100), charge(order="a", cents=100), charge("a", note="")]
    assert same == [1] * 4
    assert [charge("a", 101), charge("a", 100, "tag"), charge("a", note="x")] == [2, 3, 4]


def test_key_and_scope_by_functions(engine: Engine) -> None:
    """Goal: whatever tells calls apart may be the key. Method: functions of the arguments."""
    calls = []

    @idempotent(engine, key=lambda tenant, order: order["id"], scope=lambda tenant, order: tenant)
    def charge(tenant: str, order: dict[str, str]) -> int:
        calls.append(tenant)
        return len(calls)

    first = charge("acme", {"id": "1"})
    assert charge("acme", {"id": "1", "note": "again"}) == first
    assert charge("other", {"id": "1"}) != first
    assert calls == ["acme", "other"]


def test_a_payload_is_compared(engine: Engine) -> None:
    """Goal: a key that comes with another amount is a mistake. Method: one that does."""

    @idempotent(engine, key="order", payload=["cents"], scope=Scope.SINGLE_TENANT)
    def charge(order: str, cents: int) -> int:
        return cents

    assert charge("a", 100) == charge("a", cents=100) == 100
    with pytest.raises(MismatchedError):
        charge("a", 200)


def test_functions_do_not_share_keys(engine: Engine) -> None:
    """Goal: two functions with one key are two requests; with one operation they are one.
    Method: two of each, called with one key."""

    def one(key: str) -> int:
        return 1

    def two(key: str) -> int:
        return 2

    apart = [idempotent(engine, scope="acme")(function)("k") for function in (one, two)]
    named = idempotent(engine, scope="acme", operation="pay")
    together = [named(function)("k") for function in (one, two)]
    assert (apart, together) == ([1, 2], [1, 1])


def test_methods_and_coroutines(engine: Engine) -> None:
    """Goal: methods and coroutine functions are functions. Method: one of each, and both."""

    class Shop:
        calls = 0

        @idempotent(engine, key="order", scope="acme")
        def charge(self, order: str) -> int:
            self.calls += 1
            return self.calls

        @idempotent(engine, key="order", scope="acme")
        async def refund(self, order: str) -> int:
            self.calls += 1
            return self.calls

    shop = Shop()
    assert [shop.charge("a"), shop.charge("a")] == [1, 1]

    async def twice() -> list[int]:
        return [await shop.refund("a"), await shop.refund("a")]

    assert asyncio.run(twice()) == [2, 2]


def test_what_is_wrong_is_told_when_it_is_decorated(engine: Engine) -> None:
    """Goal: a mistake shows at import, and not in production. Method: wrong names, a generator."""
    with pytest.raises(InvalidInputError, match="names of parameters"):
        idempotent(engine, key="oder", scope="acme")(lambda order: order)
    with pytest.raises(TypeError, match="generator"):

        @idempotent(engine, scope="acme")
        def parts() -> Iterator[int]:
            yield 1

    @idempotent(engine, scope="acme")
    def of_object(thing: object) -> int:
        return 1

    with pytest.raises(InvalidInputError, match="type object"):
        of_object(object())
    with pytest.raises(TypeError):
        of_object()  # type: ignore[call-arg] # on purpose


@pytest.mark.parametrize(
    ("serializer", "value"),
    [
        (JsonSerializer(), {"a": [1, 2.5, None, True, "é"]}),
        (DataclassSerializer(Receipt), Receipt(7, Money(100))),
        (PydanticSerializer(Charge), Charge(id=uuid.UUID(int=7), at=datetime.datetime(2026, 1, 2))),
        (PydanticSerializer(list[int]), [1, 2, 3]),
        (PickleSerializer(), (1, {2}, Money(3))),
    ],
)
def test_results_come_back_as_they_were(serializer: Serializer, value: object) -> None:
    """Goal: a duplicate gets what the first caller got. Method: there and back."""
    back = serializer.loads(serializer.dumps(value))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("value", [(1, 2), {1}, {1: 2}, [object()], float, b"x", Money(1)])
def test_json_refuses_what_would_come_back_otherwise(value: object) -> None:
    """Goal: no duplicate gets another result. Method: what JSON changes or lacks."""
    with pytest.raises(SerializationError):
        JsonSerializer().dumps(value)


def test_the_serializer_is_chosen_by_what_is_returned(engine: Engine) -> None:
    """Goal: dataclasses and models need nothing said. Method: a function of each, twice."""

    @idempotent(engine, key="order", scope="acme")
    def receipt(order: str) -> Receipt:
        return Receipt(1, Money(100))

    @idempotent(engine, key="order", scope="acme")
    def charge(order: str) -> Charge:
        return Charge(id=uuid.uuid4(), at=datetime.datetime.now(tz=datetime.timezone.utc))

    assert receipt("a") == receipt("a") == Receipt(1, Money(100))
    assert charge("a") == charge("a")


class Colour(enum.Enum):
    RED = 1


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.dates()
    | st.uuids()
    | st.just(Colour.RED),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(plain, plain)
def test_equal_arguments_have_equal_bytes(one: object, other: object) -> None:
    """Goal: calls that mean the same are one, and no others are.
    Method: pairs of values drawn at random; their bytes are equal as their types and values are."""
    assert (canonical(one) == canonical(other)) == (shape(one) == shape(other))


def shape(value: object) -> object:
    """The value, with what Python takes for equal across types kept apart."""
    if isinstance(value, bool) or value is None:
        return (str(value),)
    if isinstance(value, (int, float)):
        return ("number", value)
    if isinstance(value, dict):
        return ("dict", sorted((name, shape(item)) for name, item in value.items()).__repr__())
    if isinstance(value, list):
        return ("list", [shape(item) for item in value])
    return (type(value).__name__, str(value))


def test_what_looks_like_a_tag_is_none() -> None:
    """Goal: a client cannot write a value that is taken for another type's.
    Method: the spellings of the tags as plain data."""
    assert canonical({"$bytes": "eA=="}) != canonical(b"x")
    assert canonical({"$decimal": "1"}) != canonical(decimal.Decimal(1))
    assert canonical(2**53) != canonical(2**53 + 1)
    assert canonical(1.0) == canonical(1) and canonical(1e300) == canonical(int(1e300))
    assert canonical(1.5) != canonical(1) != canonical(True)
    assert canonical({1: "a"}) != canonical({"1": "a"})
    assert canonical((1, 2)) == canonical([1, 2])
    assert canonical({"b": 1, "a": 2}) == canonical({"a": 2, "b": 1})


def test_keys_of_any_length(engine: Engine) -> None:
    """Goal: a long key is as good as a short one. Method: lengths about the limit, and nothing."""
    assert key_of("a" * 255) == "a" * 255
    assert len(key_of("a" * 256)) == len("sha256:") + 64
    assert key_of("é" * 200) == key_of("é" * 200) != key_of("é" * 201)
    assert key_of(b"\x00\xff") == b"\x00\xff"
    for nothing in (None, "", b""):
        with pytest.raises(InvalidInputError):
            key_of(nothing)
