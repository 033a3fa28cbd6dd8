"""Pickling: plain data crosses, and what cannot says why."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from support import admitted, asked

from oncegate import (
    Admission,
    Engine,
    FencedError,
    InProgress,
    InProgressError,
    Lease,
    LeaseToken,
    Mismatched,
    OncegateError,
    Outcome,
    OutcomeGone,
    Replayed,
    Scheduled,
    Unresolved,
)


def crossed(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301  # it was pickled here


@pytest.mark.parametrize(
    "value",
    [
        Outcome(201, b"made", {"location": "/7"}),
        Replayed(Outcome(201, b"made", {"location": "/7"})),
        InProgress(2, 1.5),
        Scheduled(3, 2.5),
        Mismatched(),
        Unresolved(),
        OutcomeGone(),
    ],
)
def test_answers_cross(value: Any) -> None:
    """Goal: an answer is plain data. Method: pickled and unpickled it says the same."""
    other = crossed(value)
    assert type(other) is type(value)
    names = [name for name in dir(value) if not name.startswith("_") and name != "withheld"]
    assert [getattr(other, name) for name in names] == [getattr(value, name) for name in names]
    assert repr(other) == repr(value)
    assert repr(copy.copy(value)) == repr(value)


def test_a_token_crosses() -> None:
    """Goal: a lease goes to another process as its token. Method: the copy ends the attempt."""
    with Engine(private=True, capacity=64) as engine:
        token = admitted(engine).into_token()
        other = crossed(token)
        assert isinstance(other, LeaseToken)
        assert (other, other.attempt, other.fencing_token) == (token, 1, token.fencing_token)
        assert engine.complete(other) == "stored"


def test_errors_cross() -> None:
    """Goal: what a worker raises reaches its pool. Method: an error of the engine's, and one that
    carries an answer."""
    with Engine(private=True, capacity=64) as engine:
        lease = admitted(engine)
        with pytest.raises(InProgressError) as declined, engine.lease(asked()):
            pass
        lease.complete()
        with pytest.raises(FencedError) as fenced:
            lease.complete()
    for error in (declined.value, fenced.value):
        other = crossed(error)
        assert isinstance(other, OncegateError)
        assert (type(other), str(other)) == (type(error), str(error))
        assert (other.name, other.code, other.field, other.retry_after) == (
            error.name,
            error.code,
            error.field,
            error.retry_after,
        )
    answer: Admission = crossed(declined.value).admission
    assert isinstance(answer, InProgress)


def objects() -> list[tuple[str, Callable[[Engine, Lease], Any]]]:
    return [
        ("engine", lambda engine, lease: engine),
        ("lease", lambda engine, lease: lease),
        ("prepared", lambda engine, lease: engine.prepare(asked())),
    ]


@pytest.mark.parametrize(("name", "choose"), objects(), ids=[name for name, _ in objects()])
def test_what_is_a_process_own_does_not_cross(
    name: str, choose: Callable[[Engine, Lease], Any]
) -> None:
    """Goal: what belongs to a process is not copied by mistake. Method: a TypeError, and for an
    engine what to do instead."""
    with Engine(private=True, capacity=64) as engine:
        lease = admitted(engine)
        with pytest.raises(TypeError) as refused:
            pickle.dumps(choose(engine, lease))
        if name == "engine":
            assert "path" in str(refused.value)
        lease.complete()
