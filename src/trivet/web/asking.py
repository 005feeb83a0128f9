"""From a synchronous question about the workspace to a route of the application."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from trivet.access.permissions import Permission
from trivet.core.errors import Invalid
from trivet.http.application import Handler, Reply, Request, json_reply
from trivet.http.routes import Method, Route
from trivet.workspace.workspace import Workspace

T = TypeVar("T")
Question = Callable[[Workspace, Request], Any]


def ask(
    method: Method,
    path: str,
    permission: Permission,
    summary: str,
    question: Question,
    *,
    request: Any = None,  # noqa: ANN401  # a type, for the document
    response: Any = None,  # noqa: ANN401  # the same
) -> Callable[[Workspace], Route[Handler]]:
    """Declare a route that asks the workspace something, in a thread of its own."""

    def build(workspace: Workspace) -> Route[Handler]:
        async def handler(received: Request) -> Reply:
            return json_reply(await asyncio.to_thread(question, workspace, received))

        return Route(
            method=method,
            path=path,
            permission=permission,
            handler=handler,
            summary=summary,
            request=request,
            response=response,
        )

    return build


def body_as(request: Request, kind: type[T]) -> T:
    """Decode a JSON body.

    Raises:
        Invalid: It is no JSON, or not of this form.
    """
    try:
        return msgspec.json.decode(request.body, type=kind)
    except msgspec.DecodeError as error:
        raise Invalid(
            f"the body cannot be read: {error}",
            code="bad-body",
            hint="Look the form up in /openapi.json.",
        ) from error


def limit_of(request: Request, default: int = 100) -> int:
    """Return the query's `limit`.

    Raises:
        Invalid: It is no number from 1 to 1,000.
    """
    given = request.query().get("limit", str(default))
    if not given.isdigit() or not 1 <= int(given) <= 1000:
        raise Invalid("query parameter limit is no number; expected 1 to 1000", code="bad-query")
    return int(given)


def number_of(request: Request, name: str) -> int | None:
    """Return a whole number of the query, or None when it is absent.

    Raises:
        Invalid: It is no whole number.
    """
    given = request.query().get(name)
    if given is None:
        return None
    if not given.isdigit():
        raise Invalid(f"query parameter {name} is no whole number", code="bad-query")
    return int(given)
