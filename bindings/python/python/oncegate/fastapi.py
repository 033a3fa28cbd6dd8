"""FastAPI: the middleware, documented in OpenAPI, and the running attempt as a dependency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Optional

from fastapi import Depends, Request

from ._core import Lease
from .asgi import IdempotencyMiddleware
from .http import ATTEMPT
from .http.problem import CONTENT_TYPES

if TYPE_CHECKING:
    from fastapi import FastAPI

    from .http.settings import Settings

__all__ = ["Attempt", "MaybeAttempt", "protect", "running_attempt"]


def protect(app: FastAPI, settings: Settings) -> None:
    """Has each request with an idempotency key run once, and says so in the app's OpenAPI.

    It adds :class:`oncegate.asgi.IdempotencyMiddleware`, which runs inside of what is added later.

    >>> app = FastAPI()
    >>> protect(app, Settings(Engine(), scope=account_of))
    """
    app.add_middleware(IdempotencyMiddleware, settings=settings)
    made = app.openapi

    def openapi() -> dict[str, Any]:
        schema = made()
        document(schema, settings)
        return schema

    # As FastAPI's documentation has it.
    app.openapi = openapi  # type: ignore[method-assign]


async def running_attempt(request: Request) -> Lease:
    """The attempt that this request runs in.

    Its number, its fencing token for stores that check it, and keys for calls further down. The
    middleware ends it; a handler that does so itself has its response refused as fenced.
    """
    lease: Lease | None = request.scope.get(ATTEMPT)
    if lease is None:
        raise RuntimeError(
            "this request has no attempt: there is no middleware of oncegate above it, or it was "
            "passed on without a key"
        )
    return lease


async def _maybe_attempt(request: Request) -> Lease | None:
    return request.scope.get(ATTEMPT)


Attempt = Annotated[Lease, Depends(running_attempt)]
"""``async def charge(order: Order, attempt: Attempt)``: see :func:`running_attempt`."""

MaybeAttempt = Annotated[Optional[Lease], Depends(_maybe_attempt)]
"""The same; ``None`` for a request that was passed on without a record."""


def document(schema: dict[str, Any], settings: Settings) -> None:
    """Adds the key's header, and the answers of the middleware, to an OpenAPI document.

    Doing it twice changes nothing.
    """
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    if _PROBLEM_NAME in schemas:
        return
    problem = _STRIPE_ERROR if settings.problem_format == "stripe" else _PROBLEM
    for path, operations in schema.get("paths", {}).items():
        if _is_exempt(path, settings):
            continue
        for method, operation in operations.items():
            if method in _NEEDS_KEY or method in _TAKES_KEY:
                _document_operation(operation, method, settings)
                schemas[_PROBLEM_NAME] = problem


def _is_exempt(path: str, settings: Settings) -> bool:
    below = tuple(exempt[:-1] for exempt in settings.exempt if exempt.endswith("*"))
    return path in settings.exempt or path.startswith(below)


def _document_operation(operation: dict[str, Any], method: str, settings: Settings) -> None:
    is_required = method in _NEEDS_KEY and settings.key_required
    parameters = operation.setdefault("parameters", [])
    names = {str(known.get("name")).lower() for known in parameters if known.get("in") == "header"}
    if settings.key_header.lower() not in names:
        parameters.append(
            {
                "name": settings.key_header,
                "in": "header",
                "required": is_required,
                "description": "Names this request, so that its resends run nothing. Bare or "
                "quoted (RFC 8941), 1 to 255 characters.",
                "schema": {"type": "string", "pattern": _KEY, "title": settings.key_header},
            }
        )
    responses = operation.setdefault("responses", {})
    replayed = {
        "description": "`true`: this is the first response again.",
        "schema": {"type": "string"},
    }
    for response in responses.values():
        response.setdefault("headers", {})[settings.replay_header] = replayed
    if settings.polling is not None:
        responses.setdefault("202", {"description": "It runs; `Location` tells where to ask."})
    for status, text in _answers(settings):
        response = responses.setdefault(status, {"description": text})
        content = response.setdefault("content", {})
        # Where the app's own errors have the same type, they are described already.
        content.setdefault(
            CONTENT_TYPES[settings.problem_format],
            {"schema": {"$ref": f"#/components/schemas/{_PROBLEM_NAME}"}},
        )
        if status in _COMES_AGAIN:
            response.setdefault("headers", {})["Retry-After"] = {
                "description": "Seconds after which to ask again.",
                "schema": {"type": "integer", "minimum": 1},
            }


def _answers(settings: Settings) -> list[tuple[str, str]]:
    """The statuses of the middleware's own answers, and when they are given."""
    if settings.problem_format != "stripe":
        return list(_ANSWERS.items())
    told = {status: text for status, text in _ANSWERS.items() if status != "422"}
    told["400"] += " " + _ANSWERS["422"]
    return list(told.items())


_KEY = r'^([!#-+.-~-]{1,255}|"([ !#-\[\]-~]|\\["\\]){1,255}")$'
"""A bare key has no quotes and no commas; in a quoted one, quotes and backslashes are escaped."""
_NEEDS_KEY = ("post", "patch")
_TAKES_KEY = ("put", "delete")
_COMES_AGAIN = ("409", "429", "503")
_ANSWERS = {
    "400": "No idempotency key, a malformed one, or a body that is not what its type says.",
    "403": "Only a caller who is known may send a request with a key.",
    "409": "A request with this key still runs, or its result is not known or was not kept.",
    "413": "The body is too large.",
    "414": "Method, path and query are too long.",
    "422": "This key was used with another payload.",
    "429": "The caller has too many records.",
    "503": "There is no room for a record.",
}
_PROBLEM_NAME = "IdempotencyProblem"
_PROBLEM = {
    "title": _PROBLEM_NAME,
    "description": "Problem details (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "title": "Type"},
        "title": {"type": "string", "title": "Title"},
        "status": {"type": "integer", "title": "Status"},
        "code": {"type": "string", "title": "Code", "description": "Stable, for programs."},
        "detail": {"type": "string", "title": "Detail", "description": "For people."},
    },
}
_STRIPE_ERROR = {
    "title": _PROBLEM_NAME,
    "description": "An error, as Stripe's API has it.",
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "title": "Error",
            "type": "object",
            "required": ["type", "code", "message"],
            "properties": {
                "type": {"type": "string", "title": "Type"},
                "code": {"type": "string", "title": "Code", "description": "Stable."},
                "message": {"type": "string", "title": "Message", "description": "For people."},
            },
        },
    },
}
