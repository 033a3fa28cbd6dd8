"""``@idempotent``: a function that runs once for all calls that mean the same."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, Union

from ._arguments import canonical, key_of
from ._core import Payload, Request, Scope
from ._errors import InvalidInputError
from ._run import run, run_async
from ._serialize import serializer_of

if TYPE_CHECKING:
    from ._engine import Engine
    from ._judge import ErrorPolicy
    from ._serialize import Serializer

F = TypeVar("F", bound=Callable[..., Any])

Chosen = Union[str, Sequence[str], Callable[..., Any], None]
"""A parameter by its name, several of them, or a function of the same arguments."""


class Calls:
    """The request of each call of a function."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        key: Chosen,
        scope: str | bytes | Scope | Callable[..., str | bytes | Scope],
        operation: str | None,
        payload: Chosen,
    ) -> None:
        self._signature = inspect.signature(function)
        self._key = self._chosen("key", key)
        self._payload = self._chosen("payload", payload)
        self._scope = scope
        self._operation = operation or f"{function.__module__}.{function.__qualname__}"

    def request(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request:
        """The request that a call means."""
        scope = self._scope
        if callable(scope):
            scope = scope(*args, **kwargs)
        payload = None
        if self._payload is not None:
            payload = Payload.raw(canonical(self._payload(args, kwargs), "payload"))
        if self._key is None:
            of = self._arguments(args, kwargs)
            return Request(self._operation, key_of(of), scope=scope, payload=payload)
        return Request(
            self._operation, key_of(self._key(args, kwargs)), scope=scope, payload=payload
        )

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return dict(bound.arguments)

    def _one(self, name: str) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
        """Gets one argument without binding all of them: a wrong call fails in the function."""
        parameter = self._signature.parameters[name]
        at = list(self._signature.parameters).index(name)
        kinds = (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        if parameter.kind not in kinds:
            return lambda args, kwargs: self._arguments(args, kwargs)[name]

        def value(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if len(args) > at:
                return args[at]
            if name in kwargs:
                return kwargs[name]
            return self._arguments(args, kwargs)[name]

        return value

    def _chosen(
        self, field: str, chosen: Chosen
    ) -> Callable[[tuple[Any, ...], dict[str, Any]], Any] | None:
        if chosen is None:
            return None
        if callable(chosen):
            return lambda args, kwargs: chosen(*args, **kwargs)
        names = [chosen] if isinstance(chosen, str) else list(chosen)
        unknown = [name for name in names if name not in self._signature.parameters]
        if unknown or not names:
            raise InvalidInputError(
                f"{field}: refused; found {unknown or 'no name'}; limit: names of parameters",
                name="InvalidOption",
                field=field,
            )

        getters = {name: self._one(name) for name in names}
        if isinstance(chosen, str):
            return getters[chosen]
        return lambda args, kwargs: {name: get(args, kwargs) for name, get in getters.items()}


def idempotent(
    engine: Engine,
    *,
    scope: str | bytes | Scope | Callable[..., str | bytes | Scope],
    key: Chosen = None,
    operation: str | None = None,
    payload: Chosen = None,
    serializer: Serializer | None = None,
    errors: ErrorPolicy | None = None,
    renew: bool = True,
    **options: Any,
) -> Callable[[F], F]:
    """Has a function run once for all calls with the same key; the others get its result.

    For functions and coroutine functions alike.

    ``key`` is the name of a parameter, several names, or a function of the same arguments; without
    it all arguments are the key. ``scope`` says whose request it is: a name, or a function of the
    same arguments, or ``Scope.SINGLE_TENANT``. ``payload`` names what the same key may not come
    with in two versions: another one raises ``MismatchedError``. ``operation`` is the function's
    qualified name unless it is given: give it where the function may move.

    ``serializer`` makes bytes of results: by default JSON, or what suits a dataclass or a pydantic
    model that the function says it returns. ``errors`` says what exceptions mean. ``options`` are
    those of :meth:`Engine.begin`: with ``wait=`` a duplicate of a running call waits for its
    result, by default it raises ``InProgressError`` at once.

    ``current_lease()`` gives the function its attempt and its fencing token.

    ::

        @idempotent(engine, key="order", scope=lambda order, cents: tenant())
        def charge(order: str, cents: int) -> dict[str, str]: ...
    """

    def decorate(function: F) -> F:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("a generator has no one result that could be stored")
        calls = Calls(function, key=key, scope=scope, operation=operation, payload=payload)
        made = serializer or serializer_of(returned(function))

        @functools.wraps(function)
        def once(*args: Any, **kwargs: Any) -> Any:
            return run(
                engine,
                calls.request(args, kwargs),
                lambda: function(*args, **kwargs),
                serializer=made,
                errors=errors,
                renew=renew,
                **options,
            )

        @functools.wraps(function)
        async def once_async(*args: Any, **kwargs: Any) -> Any:
            return await run_async(
                engine,
                calls.request(args, kwargs),
                lambda: function(*args, **kwargs),
                serializer=made,
                errors=errors,
                renew=renew,
                **options,
            )

        wrapped: Any = once_async if inspect.iscoroutinefunction(function) else once
        return typing.cast(F, wrapped)

    return decorate


def returned(function: Callable[..., Any]) -> Any:
    """What a function says it returns, if that can be known."""
    try:
        return typing.get_type_hints(function).get("return")
    except Exception:
        # A name that is imported for type checkers alone.
        return None
