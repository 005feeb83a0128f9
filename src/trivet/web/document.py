"""The OpenAPI document (version 3.1), made from the route table that answers."""

from typing import Any

import msgspec

from trivet.access.permissions import Permission
from trivet.http.routes import Route, RouteTable
from trivet.web.asking import Asking


class ErrorBody(msgspec.Struct, kw_only=True):
    """What every error looks like."""

    error: str
    """What is wrong, in a sentence."""
    code: str
    """A stable slug that programs may compare."""
    hint: str
    """What to do next."""
    detail: dict[str, Any]


def openapi(table: RouteTable[Any], *, title: str = "Trivet") -> dict[str, Any]:
    """Describe a route table as an OpenAPI 3.1 document.

    Where browsers come back to from elsewhere is no route for programs, and left out.
    """
    routes = [route for route in table.routes if not route.is_return]
    kinds = [kind for r in routes for kind in (r.request, r.response) if kind is not None]
    schemas, components = msgspec.json.schema_components(
        [*kinds, ErrorBody],
        ref_template="#/components/schemas/{name}",
        schema_hook=_foreign_schema,
    )
    by_kind = list(zip(kinds, schemas, strict=False))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = route.path.replace("...}", "}")
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, by_kind)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "password": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _operation(route: Route[Any], by_kind: list[tuple[Any, Any]]) -> dict[str, Any]:
    error = {"schema": {"$ref": "#/components/schemas/ErrorBody"}}
    operation: dict[str, Any] = {
        "operationId": _name(route),
        "summary": route.summary,
        "x-permission": route.permission.value,
        "parameters": _parameters(route),
        "responses": {
            "200": {"description": "done", **_content(route.response, by_kind)},
            "default": {"description": "an error", "content": {"application/json": error}},
        },
    }
    if route.is_streamed:
        file = {"schema": {"type": "string", "format": "binary"}}
        operation["requestBody"] = {"content": {"application/octet-stream": file}}
    elif route.request is not None:
        operation["requestBody"] = {"required": True, **_content(route.request, by_kind)}
    if route.permission is not Permission.PUBLIC:
        operation["security"] = [{"token": []}, {"password": []}]
    return operation


def _name(route: Route[Any]) -> str:
    words = [word.strip("{.}") for word in route.path.split("/") if word]
    return "-".join([route.method.lower(), *words])


def _parameters(route: Route[Any]) -> list[dict[str, Any]]:
    text = {"type": "string"}
    found: list[dict[str, Any]] = [
        {"name": part.strip("{.}"), "in": "path", "required": True, "schema": text}
        for part in route.path.split("/")
        if part.startswith("{")
    ]
    if not isinstance(route.handler, Asking):
        return found
    if route.handler.query is None:
        # Whatever indexed field the kind of fact has: any name is a parameter.
        anything = {"type": "object", "additionalProperties": text}
        return [*found, {"name": "where", "in": "query", "style": "form", "schema": anything}]
    kinds = {"limit": {"type": "integer", "minimum": 1, "maximum": 1000}}
    return found + [
        {"name": name, "in": "query", "schema": kinds.get(name, text)}
        for name in route.handler.query
    ]


def _content(kind: Any, by_kind: list[tuple[Any, Any]]) -> dict[str, Any]:  # noqa: ANN401  # a type
    if kind is None:
        return {}
    schema = next(schema for known, schema in by_kind if known == kind)
    return {"content": {"application/json": {"schema": schema}}}


def _foreign_schema(kind: type) -> dict[str, Any]:
    # What msgspec does not know travels as text, as the encoder writes it.
    return {"type": "string", "title": kind.__name__}
