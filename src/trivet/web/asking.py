"""From a synchronous question about the workspace to a route of the application."""

import asyncio
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import msgspec

from trivet.access.permissions import Permission
from trivet.core.errors import Invalid
from trivet.http.application import Handler, Reply, Request, json_reply
from trivet.http.routes import Route
from trivet.workspace.workspace import Workspace

T = TypeVar("T")
Question = Callable[[Workspace, Request], Any]
RouteOf = Callable[[Workspace], Route[Handler]]


class Asking:
    """A handler that asks the workspace a question, in a thread of its own.

    Args:
        workspace: Whom it asks.
        question: What it asks.
        query: Query parameters that it takes; None: it looks at all of them itself.
    """

    def __init__(
        self, workspace: Workspace, question: Question, query: Collection[str] | None
    ) -> None:
        self.query = query
        self._workspace = workspace
        self._question = question

    async def __call__(self, request: Request) -> Reply:
        """Answer a request.

        Raises:
            Invalid: The query has a parameter that the route does not take.
        """
        if self.query is not None and request.query_string:
            check_query(request, self.query)
        return json_reply(await asyncio.to_thread(self._question, self._workspace, request))


def get(
    path: str,
    permission: Permission,
    summary: str,
    question: Question,
    *,
    query: Collection[str] | None = (),
    response: Any,  # noqa: ANN401  # a type, for the document
) -> RouteOf:
    """Declare a route that reads; `query` names the parameters it takes, None takes any."""

    def build(workspace: Workspace) -> Route[Handler]:
        return Route(
            method="GET",
            path=path,
            permission=permission,
            handler=Asking(workspace, question, query),
            summary=summary,
            response=response,
        )

    return build


def post(
    path: str,
    permission: Permission,
    summary: str,
    question: Question,
    *,
    request: Any = None,  # noqa: ANN401  # a type, for the document
    response: Any,  # noqa: ANN401  # the same
) -> RouteOf:
    """Declare a route that does something."""

    def build(workspace: Workspace) -> Route[Handler]:
        return Route(
            method="POST",
            path=path,
            permission=permission,
            handler=Asking(workspace, question, ()),
            summary=summary,
            request=request,
            response=response,
        )

    return build


def check_query(request: Request, known: Collection[str] = ()) -> None:
    """Make sure that a query has no parameters but those that are known.

    Raises:
        Invalid: It has another.
    """
    unknown = sorted(set(request.query()) - set(known))
    if unknown:
        raise Invalid(
            f"the query has the parameter {unknown[0]!r}, which this route does not take",
            code="bad-query",
            hint=f"It takes: {', '.join(known)}." if known else "It takes none.",
        )


def body_as(request: Request, kind: type[T]) -> T:
    """Decode a JSON body.

    Raises:
        Invalid: It is no JSON, or not of this form.
    """
    try:
        return msgspec.json.decode(request.body, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid(
            f"the body cannot be read: {error}",
            code="bad-body",
            hint="Look the form up in /openapi.json.",
        ) from error


def idempotency_key_of(request: Request) -> str | None:
    """Return the header `Idempotency-Key`, None when it is absent.

    Raises:
        Invalid: It is given twice.
    """
    found = [value for name, value in request.headers if name.lower() == b"idempotency-key"]
    if len(found) > 1:
        raise Invalid("the header Idempotency-Key is given twice; expected once", code="bad-key")
    return found[0].decode("latin-1") if found else None


def limit_of(request: Request, default: int = 100) -> int:
    """Return the query's `limit`.

    Raises:
        Invalid: It is no number from 1 to 1,000.
    """
    given = request.query().get("limit", str(default))
    if not _is_count(given) or not 1 <= int(given) <= 1000:
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
    if not _is_count(given):
        raise Invalid(f"query parameter {name} is no whole number", code="bad-query")
    return int(given)


def _is_count(text: str) -> bool:
    # `isdigit` alone also holds for superscripts, which are no numbers to `int`.
    return text.isascii() and text.isdigit() and len(text) < 19
