"""Workers that do not share a table: each of them would run the same request."""

from __future__ import annotations

import multiprocessing
import sys
import warnings
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

    from .._engine import Engine


_told: weakref.WeakSet[Engine] = weakref.WeakSet()


def warn_where_alone(engine: Engine, stacklevel: int) -> None:
    """Warns where this process is one of several, and its engine shares a table with none of them.

    That is an ``Engine()`` that was made in a worker, after it was spawned or forked: it is shared
    with processes that are forked from here, and there are none. Duplicates that reach different
    workers both run then.
    """
    if engine.has_tier or engine.reach != "host_inherited" or engine.inherited or engine in _told:
        return
    if not _is_one_of_several():
        return
    _told.add(engine)
    warnings.warn(
        "this process is one of several workers, and its Engine() has a table of its own: a "
        "duplicate that reaches another worker runs, too. Open Engine(path=...) with the same path "
        "in each of them, or make the engine before they are forked (gunicorn --preload); "
        "Engine(private=True) says that it is meant so",
        RuntimeWarning,
        stacklevel=stacklevel + 1,
    )


def _is_one_of_several() -> bool:
    """Whether a server has started this process beside others, as far as can be seen from here."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        name = (frame.f_globals.get("__name__"), frame.f_code.co_name)
        if name == ("uvicorn._subprocess", "subprocess_started"):
            return _more_than_one(frame.f_locals.get("config"))
        if name == ("gunicorn.arbiter", "spawn_worker"):
            return _more_than_one(getattr(frame.f_locals.get("self"), "cfg", None))
        frame = frame.f_back
    # Whoever else spawns processes does not say how many there are.
    return multiprocessing.parent_process() is not None


def _more_than_one(config: object) -> bool:
    workers = getattr(config, "workers", None)
    return isinstance(workers, int) and workers > 1
