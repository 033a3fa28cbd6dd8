"""Tool calls of language models: a tool that has an effect runs once in a conversation.

A model repeats a call when the answer was lost, when a step of its agent is run again after a
crash, or because it does not see that it has called before. Such a call brings no idempotency key:
its arguments are the key, within the conversation, run or task that it belongs to. A tool stays a
plain function, which any framework can take::

    @tool_once(engine, scope="acme")
    def send_mail(to: str, subject: str) -> str: ...

    with conversation("run-42"):
        send_mail(to="ann@example.com", subject="Invoice")
        send_mail("ann@example.com", "Invoice")  # the result of the first call
"""

from __future__ import annotations

import contextlib
import contextvars
import inspect
from collections.abc import Callable, Collection, Generator
from typing import TYPE_CHECKING, Any, TypeVar

from ._decorator import idempotent

if TYPE_CHECKING:
    from ._core import Scope
    from ._engine import Engine
    from ._judge import ErrorPolicy
    from ._serialize import Serializer

__all__ = ["conversation", "current_conversation", "tool_once"]

F = TypeVar("F", bound=Callable[..., Any])

_conversation: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "oncegate_conversation", default=None
)


@contextlib.contextmanager
def conversation(name: str) -> Generator[None, None, None]:
    """Within it tool calls belong to this conversation, run or task of an agent.

    It holds for the coroutines that are started within it, and for a thread that runs in a copy of
    the context, as ``asyncio.to_thread`` does. The name has to outlive the process that crashes:
    take the id that the agent's own state is stored under.
    """
    reset = _conversation.set(name)
    try:
        yield
    finally:
        _conversation.reset(reset)


def current_conversation() -> str:
    """The conversation that runs here. Raises ``LookupError`` where none does."""
    name = _conversation.get()
    if name is None:
        raise LookupError("a tool was called outside of a conversation")
    return name


def tool_once(
    engine: Engine,
    *,
    scope: str | bytes | Scope | Callable[..., str | bytes | Scope],
    within: Callable[[], str] = current_conversation,
    leave_out: Collection[str] = (),
    name: str | None = None,
    serializer: Serializer | None = None,
    errors: ErrorPolicy | None = None,
    **options: Any,
) -> Callable[[F], F]:
    """Has a tool run once for equal arguments in a conversation; a repeated call gets its result.

    ``within`` tells the conversation, where the framework knows it in a way of its own. Parameters
    named in ``leave_out`` do not count: what the framework passes itself, or a text that the model
    words anew each time. ``name`` is the tool's, unless it is the function's. Everything else is as
    with :func:`oncegate.idempotent`: with ``wait=`` a call whose twin runs waits for the result,
    and without it raises ``InProgressError``, which a model may be told.

    A call outside of any conversation raises ``LookupError`` and runs nothing. Do not protect tools
    that are meant to answer anew each time, such as a clock or a search.
    """

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        unknown = set(leave_out) - set(signature.parameters)
        if unknown:
            raise TypeError(f"leave_out: no parameters of the tool: {sorted(unknown)}")

        def key(*args: Any, **kwargs: Any) -> dict[str, Any]:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            counted = {
                name: value for name, value in bound.arguments.items() if name not in leave_out
            }
            return {"conversation": within(), "arguments": counted}

        protect = idempotent(
            engine,
            scope=scope,
            key=key,
            operation=f"tool {name or function.__name__}",
            serializer=serializer,
            errors=errors,
            **options,
        )
        return protect(function)

    return decorate
