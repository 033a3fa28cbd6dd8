"""Errors: one family, with parents that Python knows."""

from __future__ import annotations

import pytest
from support import admitted, asked

import oncegate
from oncegate import (
    ClosedError,
    DeclinedError,
    Engine,
    FencedError,
    InvalidInputError,
    OncegateError,
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
