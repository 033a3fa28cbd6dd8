"""Names for annotations that hold when a program runs, too: the stub has more of them."""

from __future__ import annotations

from typing import Literal, Union

from ._core import (
    Admitted,
    Failed,
    InProgress,
    Mismatched,
    OutcomeGone,
    Replayed,
    Scheduled,
    Succeeded,
    Unresolved,
)

Admission = Union[Admitted, Replayed, InProgress, Scheduled, Mismatched, Unresolved, OutcomeGone]
"""What :meth:`Engine.begin` answers."""

Resolution = Union[Succeeded, Failed, Literal["run_again"]]
"""What came of an attempt in doubt; ``"run_again"``: it had no effect."""
