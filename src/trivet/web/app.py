"""The API application: every room's routes, health, and the document that describes them."""

from collections.abc import Callable
from typing import Any

import msgspec

from trivet.access.permissions import Permission, Principal
from trivet.http.application import Application, Handler, Reply, Request, json_reply
from trivet.http.guards import DoorPolicy
from trivet.http.routes import Route, RouteTable
from trivet.web import facts, rooms
from trivet.workspace.workspace import Workspace


def build_app(
    workspace: Workspace, *, policy: DoorPolicy, principal_of: Callable[[str], Principal]
) -> Application:
    """Build the API of a workspace. Building fails when a route declares no permission."""
    routes: list[Route[Handler]] = [build(workspace) for build in (*facts.ROUTES, *rooms.ROUTES)]

    async def live(_: Request) -> Reply:
        return Reply(b'{"live":true}')

    async def document(_: Request) -> Reply:
        return json_reply(openapi(table))

    routes += [
        Route(
            method="GET",
            path="/health",
            permission=Permission.PUBLIC,
            handler=live,
            summary="Whether the process answers",
        ),
        Route(
            method="GET",
            path="/openapi.json",
            permission=Permission.READ,
            handler=document,
            summary="This document",
        ),
    ]
    table: RouteTable[Handler] = RouteTable(routes)
    return Application(table, policy=policy, principal_of=principal_of)


def openapi(table: RouteTable[Any]) -> dict[str, Any]:
    """Describe a route table as an OpenAPI 3.1 document."""
    kinds = [kind for r in table.routes for kind in (r.request, r.response) if kind is not None]
    schemas, components = msgspec.json.schema_components(
        kinds, ref_template="#/components/schemas/{name}", schema_hook=_foreign_schema
    )
    by_kind = list(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in table.routes:
        operation: dict[str, Any] = {
            "summary": route.summary,
            "x-permission": route.permission.value,
            "parameters": [
                {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string"}}
                for part in route.path.split("/")
                if part.startswith("{")
            ],
            "responses": {
                "200": {"description": "done", **_content(route.response, by_kind)},
                "4XX": {"description": "error, code, hint and detail"},
            },
        }
        if route.request is not None:
            operation["requestBody"] = {"required": True, **_content(route.request, by_kind)}
        if route.permission is not Permission.PUBLIC:
            operation["security"] = [{"token": []}]
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Trivet", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _content(kind: Any, by_kind: list[tuple[Any, Any]]) -> dict[str, Any]:  # noqa: ANN401  # a type
    if kind is None:
        return {}
    schema = next(schema for known, schema in by_kind if known == kind)
    return {"content": {"application/json": {"schema": schema}}}


def _foreign_schema(kind: type) -> dict[str, Any]:
    # What msgspec does not know travels as text, as the encoder writes it.
    return {"type": "string", "title": kind.__name__}
