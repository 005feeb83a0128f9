"""Liveness: the one route that every server of Trivet has."""

from typing import Final

from trivet.access.permissions import Permission
from trivet.http.application import Handler, Reply, Request
from trivet.http.routes import Route


async def _live(_: Request) -> Reply:
    return Reply(b"OK", content_type=b"text/plain")


LIVE: Final[Route[Handler]] = Route(
    method="GET",
    path="/health",
    permission=Permission.PUBLIC,
    handler=_live,
    summary="Whether the process answers",
)
