"""What an exception means for its request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Union

Judgement = Literal["final", "retryable", "unknown"]
"""``"final"``: it never runs again, and duplicates get the failure. ``"retryable"``: nothing
happened, and the next attempt may start. ``"unknown"``: nobody knows; it is not run again before
:meth:`Engine.resolve` says what came of it."""

Kinds = Union[type[BaseException], tuple[type[BaseException], ...]]


@dataclass(frozen=True)
class ErrorPolicy:
    """What the exceptions of a function mean for its request.

    ``final`` and ``unknown`` are looked at in this order; every other ``Exception`` is what
    ``otherwise`` says. What is no ``Exception``, such as ``CancelledError``, ``KeyboardInterrupt``,
    ``SystemExit`` and ``GeneratorExit``, is what ``on_cancel`` says; by default what the engine's
    ``on_drop`` says of a lease that is dropped.
    """

    final: Kinds = ()
    unknown: Kinds = ()
    otherwise: Judgement | Callable[[Exception], Judgement] = "retryable"
    on_cancel: Judgement | None = None

    def judge(self, error: BaseException) -> Judgement | None:
        """What it means; ``None``: what the engine's ``on_drop`` says."""
        if isinstance(error, self.final):
            return "final"
        if isinstance(error, self.unknown):
            return "unknown"
        if not isinstance(error, Exception):
            return self.on_cancel
        return self.otherwise(error) if callable(self.otherwise) else self.otherwise
