"""Celery tasks that run once, however often their messages are delivered.

A duplicate of a task, which is the same task with equal arguments unless :class:`Once` says
otherwise, does not run: it gets the result of the one that did. A message that the broker delivers
again while its task still runs is put back or acknowledged. Retries keep the key, raise the attempt
and never overlap.

::

    configure(app, lambda: Engine(path="/run/shop/table"), scope=Scope.SINGLE_TENANT)

    @app.task(base=OnceTask, once=Once(key=lambda order, amount: order))
    def charge(order, amount): ...

What a task does when it is *called* as a function is left alone: only what a worker runs is
protected, and ``apply``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery import Task
from celery.exceptions import Retry

from . import _celery_run as running
from ._celery_check import SettingsWarning, check_settings
from ._errors import InvalidInputError
from ._once import Once, Provider

if TYPE_CHECKING:
    from celery import Celery

    from ._core import Lease
    from ._engine import Engine
    from ._once import ScopeLike

CeleryJsonSerializer = running.CeleryJsonSerializer

__all__ = [
    "CeleryJsonSerializer",
    "Once",
    "OnceTask",
    "SettingsWarning",
    "check_settings",
    "configure",
]


DEFAULTS = Once(
    key="arguments",
    dedup_window=86_400.0,
    lease_duration=30.0,
    on_in_progress="requeue",
    compare_arguments=True,
    serializer=running.DEFAULT_SERIALIZER,
)


def configure(
    app: Celery,
    engine: Engine | Callable[[], Engine],
    *,
    scope: ScopeLike | Callable[..., ScopeLike],
    once: Once | None = None,
) -> None:
    """Gives the tasks of an application their engine; call it where the application is made.

    ``engine`` may be a function: each process opens the table when it runs its first task, and a
    process that only sends tasks opens none. It has to name a ``path`` then, since each pool
    process would have a table of its own otherwise. An engine without a path that is opened here is
    inherited by all pool processes of a worker, and lost with the worker. ``scope`` is the tenant,
    or a function of a task's arguments that tells it. ``once`` are the application's settings;
    those of a task win.

    When a worker is ready, :func:`check_settings` is asked, and what it finds is logged.
    """
    defaults = (once or Once()).over(DEFAULTS)
    if defaults.scope is None:
        defaults = Once(scope=scope).over(defaults)
    # Applications have no such attribute before.
    bound: Any = app
    bound.oncegate = running.Binding(Provider(engine), defaults)


class OnceTask(Task[Any, Any]):
    """A task that runs once: ``@app.task(base=OnceTask, once=Once(...))``."""

    abstract = True
    once: Once | None = None
    """The task's own settings."""

    @property
    def lease(self) -> Lease:
        """The lease of the attempt that runs: its number, fencing token, steps, downstream keys.

        Raises ``LookupError`` where none does: in a call of the task as a function.
        """
        run = running.run_of(self.request)
        if run is None or run.lease is None:
            raise LookupError("no attempt of this task runs here")
        return run.lease

    @property
    def engine(self) -> Engine:
        """The application's engine, as for a part of the task that must run once by itself."""
        return self._binding().provider.engine()

    @property
    def once_settings(self) -> Once:
        """The task's settings, over the application's."""
        defaults = self._binding().once
        return defaults if self.once is None else self.once.over(defaults)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the body, or answers from the record; in a call as a function just the body."""
        request = self.request
        if request.called_directly or running.run_of(request) is not None:
            body: Any = super().__call__
            return body(*args, **kwargs)
        return running.Run(self, request, self.engine, self.once_settings, args, kwargs).answer()

    def retry(self, *args: Any, **kwargs: Any) -> Any:
        """Celery's, but that the message is sent when this attempt has ended.

        Otherwise the next attempt could meet the lease of this one. ``throw=False`` goes on with
        the body, as ever, and the retry is sent when it is over.
        """
        run = running.run_of(self.request)
        if run is None or self.request.is_eager:
            return super().retry(*args, **kwargs)
        # Celery leaves the sending of an eager task's retry to whoever runs it: here, to the run.
        self.request.is_eager = True
        try:
            run.put_off = super().retry(*args, **kwargs)
        except Retry as put_off:
            run.put_off = put_off
            raise
        finally:
            self.request.is_eager = False
            if run.put_off is not None:
                # Celery sets it on its own exception.
                run.put_off.is_eager = False
        return run.put_off

    def _binding(self) -> running.Binding:
        binding: running.Binding | None = getattr(self.app, "oncegate", None)
        if binding is None:
            raise InvalidInputError(
                "app: call oncegate.celery.configure(app, ...) first",
                name="InvalidConfig",
                field="app",
            )
        return binding  # untyped
