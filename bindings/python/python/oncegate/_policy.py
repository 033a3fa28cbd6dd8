"""Outcome policies: which results are final, which may be retried, and which are unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from ._judge import Judgement

Preset = Literal["ietf", "stripe-v1", "stripe-v2", "oasis", "iceberg"]
"""The published behaviour of a system that users come from."""


class OutcomePolicy:
    """Decides by status, and for exceptions, how an attempt ended.

    ``ietf``
        The IETF draft of the header ``Idempotency-Key``: success and errors are replayed, except
        answers that say that the operation did not run (401, 403, 408, 409, 425, 429), and 5xx.
    ``stripe-v1``
        Every result is replayed once the operation began, 500 too; not 409 and 429.
    ``stripe-v2``
        Success never repeats, failed work is driven on by the next attempt.
    ``oasis``
        OASIS Repeatable Requests 1.0: all but 5xx is replayed.
    ``iceberg``
        The REST catalog of Apache Iceberg: 200, 201, 204 and the client errors that would come
        again.

    ``statuses`` changes a preset status by status. ``on_error`` is for an attempt that raised:
    ``"retryable"`` or ``"unknown"``; ``"final"`` is taken for ``"unknown"``, since an exception
    has no outcome to store.

    >>> policy = OutcomePolicy("ietf", statuses={504: "unknown"})
    >>> policy.judge(504), policy.judge(503), policy.judge(422)
    ('unknown', 'retryable', 'final')
    """

    __slots__ = ("_judged", "_on_error", "_preset")

    def __init__(
        self,
        preset: Preset = "ietf",
        *,
        statuses: Mapping[int, Judgement] | None = None,
        on_error: Judgement = "retryable",
    ) -> None:
        is_final = _PRESETS.get(preset)
        if is_final is None:
            raise ValueError(f"preset: refused; limit: one of {', '.join(_PRESETS)}")
        self._preset = preset
        judged: list[Judgement]
        judged = ["final" if is_final(status) else "retryable" for status in range(_STATUSES)]
        for status, judgement in (statuses or {}).items():
            if judgement not in _JUDGEMENTS or not 0 <= status < _STATUSES:
                raise ValueError("statuses: refused; limit: 0 to 999, each with a judgement")
            judged[status] = judgement
        if on_error not in _JUDGEMENTS:
            raise ValueError("on_error: refused; limit: a judgement")
        self._judged = tuple(judged)
        self._on_error: Judgement = "retryable" if on_error == "retryable" else "unknown"

    def judge(self, status: int) -> Judgement:
        """The judgement on ``status``."""
        return self._judged[status] if 0 <= status < _STATUSES else "retryable"

    @property
    def on_error(self) -> Judgement:
        """The judgement on an attempt that raised."""
        return self._on_error

    def __repr__(self) -> str:
        return f"OutcomePolicy({self._preset!r})"


def policy_of(policy: OutcomePolicy | Preset) -> OutcomePolicy:
    """The policy, or that of a preset."""
    return policy if isinstance(policy, OutcomePolicy) else OutcomePolicy(policy)


_STATUSES = 1_000
_JUDGEMENTS = ("final", "retryable", "unknown")
_NOT_RUN = frozenset((401, 403, 408, 409, 425, 429))
_NOT_RUN_IN_A_CATALOG = frozenset((401, 403, 408, 419, 425, 429))


def _is_final_in_a_catalog(status: int) -> bool:
    is_clients = 400 <= status < 500 and status not in _NOT_RUN_IN_A_CATALOG
    return status in (200, 201, 204) or is_clients


_PRESETS: dict[str, Callable[[int], bool]] = {
    "ietf": lambda status: status < 500 and status not in _NOT_RUN,
    "stripe-v1": lambda status: status not in (409, 429),
    "stripe-v2": lambda status: status < 400,
    "oasis": lambda status: status < 500,
    "iceberg": _is_final_in_a_catalog,
}
