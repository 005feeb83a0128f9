"""The route table: a route without a declared permission does not exist.

A program builds its table at start; building refuses routes that overlap or declare nothing, so a
forgotten check is a crash at start and not a hole.
"""

import re
from collections.abc import Iterable
from typing import Any, Final, Generic, Literal, TypeVar, cast

import msgspec
from msgspec.structs import replace

from trivet.access.permissions import Permission
from trivet.core.errors import Invalid, NotFound

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
H = TypeVar("H")

_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+|\{[a-z_]+\}")
_REST = re.compile(r"\{[a-z_]+\.\.\.\}")
_NO_TEXT: Final = "\ufffd"
"""What a server puts where a path's bytes are no UTF-8."""


class Route(msgspec.Struct, Generic[H], frozen=True, kw_only=True):
    """One way in: method, path with `{names}`, the permission it needs, and who answers.

    A path may end with `{name...}`, which takes the rest of it, slashes and all, decoded once; it
    is never empty. HEAD is answered wherever GET is.
    """

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
    is_streamed: bool = False
    """The handler takes the body piece by piece, from `Request.stream`."""
    max_body_bytes: int | None = None
    """The most bytes of a body; None: what the server takes."""
    encodings: frozenset[bytes] = frozenset()
    """How the body may be packed, of `bodies.ENCODINGS`; it is unpacked before it is handed on."""
    is_return: bool = False
    """A browser comes here from another site, as from where people sign in."""


def under(prefix: str, routes: Iterable[Route[H]]) -> tuple[Route[H], ...]:
    """Return the same routes at paths that begin with a prefix, such as `/{project}`."""
    return tuple(replace(route, path=prefix + route.path) for route in routes)


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
        self._patterned: dict[tuple[str, int], list[_Pattern[H]]] = {}
        self._open_ended: dict[str, list[_Pattern[H]]] = {}
        seen: set[tuple[str, str]] = set()
        for route in self.routes:
            segments = _segments(route)
            shape = (route.method, "/".join("{}" if s[:1] == "{" else s for s in segments))
            if _REST.fullmatch(segments[-1]):
                shape = (route.method, shape[1] + "...")
            if shape in seen:
                raise Invalid(
                    f"two routes answer {route.method} {route.path}; expected one",
                    code="routes-overlap",
                )
            seen.add(shape)
            if shape[1].endswith("..."):
                self._open_ended.setdefault(route.method, []).append((segments, route))
            elif "{}" in shape[1]:
                key = (route.method, len(segments))
                self._patterned.setdefault(key, []).append((segments, route))
            else:
                self._fixed[route.method, route.path] = route
        for patterns in self._patterned.values():
            patterns.sort(key=_openness)
        for patterns in self._open_ended.values():
            patterns.sort(key=lambda pattern: (-len(pattern[0]), _openness(pattern)))

    def match(self, method: str, path: str) -> Match[H]:
        """Find the route of a request. Fixed paths win over patterns, and those over open ends.

        Raises:
            NotFound: No route has this path (code `no-route`).
            Invalid: The path exists under another method (code `other-method`), or its rest is no
                text (`bad-path`).
        """
        found = self._find(method, path)
        if found is None and method == "HEAD":
            found = self._find("GET", path)
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
        for segments, candidate in self._open_ended.get(method, ()):
            values = _bind_rest(segments, parts)
            if values is not None:
                return Match(candidate, values)
        return None


_Pattern = tuple[tuple[str, ...], Route[H]]


def _openness(pattern: tuple[tuple[str, ...], object]) -> tuple[bool, ...]:
    """Order patterns: where two fit a path, the one with the earlier fixed segment wins."""
    return tuple(segment[:1] == "{" for segment in pattern[0])


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
    closed = parts[1:-1] if _REST.fullmatch(parts[-1]) else parts[1:]
    if parts[0] or not (route.path == "/" or all(_SEGMENT.fullmatch(p) for p in closed)):
        raise Invalid(f"route path {route.path!r} is malformed", code="bad-route")
    if route.is_streamed and route.max_body_bytes is None:
        raise Invalid(
            f"route {route.method} {route.path} takes a stream without a limit",
            code="bad-route",
            hint="Declare max_body_bytes.",
        )
    return tuple(parts[1:])


def _bind_rest(segments: tuple[str, ...], parts: list[str]) -> dict[str, str] | None:
    count = len(segments) - 1
    if len(parts) <= count:
        return None
    values = _bind(segments[:-1], parts[:count])
    rest = "/".join(parts[count:])
    if values is None or not rest:
        return None
    if _NO_TEXT in rest:
        raise Invalid(
            "the path holds bytes that are no UTF-8 text",
            code="bad-path",
            hint="Encode names as UTF-8, then as percent signs and digits.",
        )
    values[segments[-1][1:-4]] = rest
    return values


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
