"""Errors: one family, with parents that Python knows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import admitted, asked, untyped

import oncegate
from oncegate import (
    ClosedError,
    DeclinedError,
    Engine,
    FencedError,
    InvalidInputError,
    OncegateError,
    Quota,
    Request,
)
from oncegate._errors import OF_CODES, raised

PARENTS: dict[str, type[BaseException]] = {
    "BudgetExhaustedError": RuntimeError,
    "ClosedError": RuntimeError,
    "ExhaustedError": OverflowError,
    "FencedError": RuntimeError,
    "ForkedError": RuntimeError,
    "FullError": RuntimeError,
    "InvalidInputError": ValueError,
    "MismatchedError": ValueError,
    "NoMemoryError": MemoryError,
    "NotFoundError": LookupError,
    "OsError": OSError,
    "OutcomeGoneError": LookupError,
    "QuotaExceededError": RuntimeError,
    "RegionError": OSError,
    "RotationPendingError": RuntimeError,
    "TierUnavailableError": ConnectionError,
    "TierUnsafeError": RuntimeError,
    "TooManyWaitersError": RuntimeError,
    "UnsupportedError": NotImplementedError,
}


@pytest.mark.parametrize(("name", "parent"), sorted(PARENTS.items()))
def test_errors_have_builtin_parents(name: str, parent: type[BaseException]) -> None:
    """Goal: code that knows nothing of this package catches what it means. Method: each class."""
    kind = getattr(oncegate, name)
    assert issubclass(kind, parent) and issubclass(kind, OncegateError)


def test_all_errors_are_one_family() -> None:
    """Goal: one `except` catches all. Method: every exported exception."""
    kinds = [getattr(oncegate, name) for name in oncegate.__all__]
    errors = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(errors) > 20
    assert all(issubclass(kind, OncegateError) for kind in errors)


@pytest.mark.parametrize(("code", "kind"), sorted(OF_CODES.items()))
def test_each_code_is_raised(code: str, kind: type[OncegateError]) -> None:
    """Goal: every code of the engine's table makes its exception, with all that is known.
    Method: each code, as the module raises it; a text that is asked for again is the same."""
    error = raised(code, f"{code}: refused", 7, "field", 1.5, True)
    assert type(error) is kind
    assert (error.name, error.code, error.field) == (code, 7, "field")
    assert (error.retry_after, error.retriable) == (1.5, True)
    assert str(error) == f"{code}: refused"


def codes_of_the_engine() -> dict[str, tuple[int, bool]]:
    """The engine's table: each name with its number, and whether it passes."""
    text = Path(__file__).parents[3].joinpath("core/src/error.rs").read_text()
    found = re.findall(r"^    (\w+) = (\d+), (permanent|transient),", text, re.MULTILINE)
    return {name: (int(number), lasts == "transient") for name, number, lasts in found}


def test_every_code_of_the_engine_is_known() -> None:
    """Goal: none of the engine's errors is a stranger. Method: its table against this package's;
    what is raised for names that say what it is."""
    codes = codes_of_the_engine()
    assert set(codes) == set(OF_CODES) and len(codes) > 25
    for code, kind in OF_CODES.items():
        alike = f"{code}Error" in PARENTS
        assert kind.__name__ == f"{code}Error" if alike else kind.__name__ in PARENTS, code
        assert (kind is InvalidInputError) == code.startswith("Invalid"), code


def test_errors_bring_the_engines_numbers() -> None:
    """Goal: a number means the same in every language. Method: what the engine refuses, and what
    the module refuses before it asks the engine; all that an error tells."""
    codes = codes_of_the_engine()
    with Engine(private=True, capacity=64, default_quota=Quota(rate=1, burst=1)) as engine:
        lease = admitted(engine, "1")
        lease.complete()
        with pytest.raises(OncegateError) as fenced:
            lease.complete()
        with pytest.raises(OncegateError) as quota:
            engine.begin(asked("2"))
        with pytest.raises(OncegateError) as option:
            engine.begin(asked("3", scope="other"), wait=-1)
        with pytest.raises(OncegateError) as choice:
            untyped(Engine)(on_lapse="explode")
    for caught, name, field, says in (
        (fenced, "Fenced", "lease", "stale"),
        (quota, "QuotaExceeded", "scope", "retry after"),
        (option, "InvalidOption", "wait", "found a negative number; limit: seconds from 0"),
        (choice, "InvalidOption", "on_lapse", "limit: reclaim, unknown or failed"),
    ):
        error = caught.value
        assert (error.name, error.field) == (name, field)
        assert (error.code, error.retriable) == codes[name]
        assert (error.retry_after is not None) == (name == "QuotaExceeded")
        assert str(error).startswith(f"{field}: ") and says in str(error)


def test_a_code_of_a_later_engine_is_an_error() -> None:
    """Goal: what this package does not know is no crash. Method: a code of nobody."""
    error = raised("Novel", "something new", 999, "field", None, False)
    assert type(error) is OncegateError and error.name == "Novel"


def test_an_error_says_what_and_why() -> None:
    """Goal: a message helps. Method: field, what was found, and the limit; nothing of the key."""
    with pytest.raises(InvalidInputError) as refused:
        Request("charge", "secret" * 200, scope="acme")
    error = refused.value
    assert (error.name, error.field, error.retriable) == ("InvalidKey", "key", False)
    assert "1200" in str(error) or "1,200" in str(error)
    assert "secret" not in str(error)
    assert error.code > 0


def test_a_declined_request_is_an_error_on_demand() -> None:
    """Goal: whoever asks for a lease and gets none is told by an exception, with the answer.
    Method: a running attempt, and a closed engine."""
    with Engine(private=True, capacity=64) as engine:
        lease = admitted(engine)
        with pytest.raises(DeclinedError) as declined, engine.lease(asked()):
            pass
        assert declined.value.retry_after is not None and declined.value.retriable
        lease.complete()
        with pytest.raises(FencedError):
            lease.complete()
    with pytest.raises(ClosedError):
        engine.begin(asked())
