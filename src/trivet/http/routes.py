"""The route table: a route without a declared permission does not exist.

A program builds its table at start; building refuses routes that overlap or declare nothing, so a
forgotten check is a crash at start and not a hole.
"""

import re
from collections.abc import Iterable
from typing import Any, Generic, Literal, TypeVar, cast

import msgspec

from trivet.access.permissions import Permission
from trivet.core.errors import Invalid, NotFound

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
H = TypeVar("H")

_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+|\{[a-z_]+\}")


class Route(msgspec.Struct, Generic[H], frozen=True, kw_only=True):
    """One way in: method, path with `{names}`, the permission it needs, and who answers."""

    method: Method
    path: str
    permission: Permission
    handler: H
    summary: str
    hot: bool = False
    """Answered on the hand-written path; the rest go through the framework."""
    request: Any = None
    """Type of the JSON body, for decoding and for the OpenAPI document; None when there is none."""
    response: Any = None


class Match(msgspec.Struct, Generic[H], frozen=True):
    """A route and the values of its path parameters."""

    route: Route[H]
    parameters: dict[str, str]


class RouteTable(Generic[H]):
    """All routes of one program.

    Raises:
        Invalid: A path is malformed, two routes overlap, or a permission is missing.
    """

    def __init__(self, routes: Iterable[Route[H]]) -> None:
        self.routes: tuple[Route[H], ...] = tuple(routes)
        self._fixed: dict[tuple[str, str], Route[H]] = {}
        self._patterned: dict[tuple[str, int], list[tuple[tuple[str, ...], Route[H]]]] = {}
        seen: set[tuple[str, str]] = set()
        for route in self.routes:
            segments = _segments(route)
            shape = (route.method, "/".join("{}" if s[:1] == "{" else s for s in segments))
            if shape in seen:
                raise Invalid(
                    f"two routes answer {route.method} {route.path}; expected one",
                    code="routes-overlap",
                )
            seen.add(shape)
            if any(s[:1] == "{" for s in segments):
                key = (route.method, len(segments))
                self._patterned.setdefault(key, []).append((segments, route))
            else:
                self._fixed[route.method, route.path] = route

    def match(self, method: str, path: str) -> Match[H]:
        """Find the route of a request. Fixed paths win over patterns.

        Raises:
            NotFound: No route has this path (code `no-route`).
            Invalid: The path exists under another method (code `other-method`).
        """
        found = self._find(method, path)
        if found is not None:
            return found
        if any(self._find(other, path) for other in {route.method for route in self.routes}):
            raise Invalid(
                f"{method} is no method of this path",
                code="other-method",
                hint="docs/reference/http-api.md lists every path with its method.",
            )
        raise NotFound(
            "no route has this path",
            code="no-route",
            hint="docs/reference/http-api.md lists every path.",
        )

    def _find(self, method: str, path: str) -> Match[H] | None:
        route = self._fixed.get((method, path))
        if route is not None:
            return Match(route, {})
        parts = path.split("/")[1:]
        for segments, candidate in self._patterned.get((method, len(parts)), ()):
            values = _bind(segments, parts)
            if values is not None:
                return Match(candidate, values)
        return None


def _segments(route: Route[Any]) -> tuple[str, ...]:
    declared = cast("object", route.permission)  # tables may come from untyped code
    if not isinstance(declared, Permission):
        raise Invalid(
            f"route {route.method} {route.path} declares a {type(declared).__name__} as "
            "its permission; expected a Permission",
            code="no-permission-declared",
            hint="Declare the permission a caller needs.",
        )
    parts = route.path.split("/")
    if parts[0] or not (route.path == "/" or all(_SEGMENT.fullmatch(p) for p in parts[1:])):
        raise Invalid(f"route path {route.path!r} is malformed", code="bad-route")
    return tuple(parts[1:])


def _bind(segments: tuple[str, ...], parts: list[str]) -> dict[str, str] | None:
    values: dict[str, str] = {}
    for segment, part in zip(segments, parts, strict=True):
        if segment[:1] == "{":
            if not part:
                return None
            values[segment[1:-1]] = part
        elif segment != part:
            return None
    return values
