import re
from pathlib import Path
from typing import Any

import pytest

from trivet.access.permissions import Permission
from trivet.core.facts import Scope
from trivet.http.application import Handler, Reply, Request
from trivet.http.routes import Route, RouteTable
from trivet.testing.memory_stores import memory_stores
from trivet.web.document import openapi
from trivet.web.mlflow.table import mlflow_routes

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def document(api: Any) -> dict[str, Any]:
    return api.get("/openapi.json", role="viewer").data


def own_routes(api: Any) -> list[Any]:
    """The routes that are not MLflow's, and not the same once more below a project's name."""
    theirs = {route.path for route in mlflow_routes(memory_stores(), Scope(project="x", actor="x"))}
    return [
        route
        for route in api.app.table.routes
        if not route.path.startswith("/{project}/") and route.path not in theirs
    ]


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def test_every_route_is_in_the_document_and_nothing_else(
    api: Any, document: dict[str, Any]
) -> None:
    programs = [route for route in own_routes(api) if not route.is_return]
    assert set(operations(document)) == {(route.method, route.path) for route in programs}


def test_the_document_has_what_openapi_demands(document: dict[str, Any]) -> None:
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert set(document["info"]) >= {"title", "version"}
    for (method, path), operation in operations(document).items():
        assert method.lower() in METHODS
        assert path.startswith("/")
        assert operation["summary"]
        assert operation["responses"]["200"]["description"]
        named = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", path))
        assert all(p["required"] for p in operation["parameters"] if p["in"] == "path")
        assert all("schema" in p for p in operation["parameters"])
        assert ("requestBody" in operation) <= (method != "GET")


def test_operations_have_names_of_their_own(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for operation in operations(document).values()]
    assert len(names) == len(set(names))


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(references(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(references(value) for value in node))
    return set()


def test_every_reference_leads_to_a_schema_and_every_schema_is_used(
    document: dict[str, Any],
) -> None:
    schemas = document["components"]["schemas"]
    assert references(document) == {f"#/components/schemas/{name}" for name in schemas}


def test_what_needs_a_token_says_so(api: Any, document: dict[str, Any]) -> None:
    for route in own_routes(api):
        if route.is_return:
            continue
        operation = operations(document)[route.method, route.path]
        assert operation["x-permission"] == route.permission.value
        assert ("security" in operation) is (route.permission.value != "public")


def test_answers_and_bodies_are_described(document: dict[str, Any]) -> None:
    for (method, path), operation in operations(document).items():
        if path in {"/health", "/openapi.json"}:
            continue
        answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert answer, path
        if method == "POST" and not path.endswith(("/replay", "/wake")):
            assert operation["requestBody"]["content"]["application/json"]["schema"], path


def test_a_query_parameter_that_is_declared_is_taken_and_another_is_refused(
    api: Any, document: dict[str, Any]
) -> None:
    values = {"limit": "3", "direction": "up"}
    for (method, path), operation in operations(document).items():
        names = [p["name"] for p in operation["parameters"] if p["in"] == "query"]
        if (
            method != "GET"
            or "{" in path
            or names == ["where"]
            or path in {"/health", "/openapi.json"}
        ):
            continue
        query = "&".join(f"{name}={values.get(name, 'left')}" for name in names)
        assert api.get(f"{path}?{query}" if query else path, role="owner").status == 200, path
        refused = api.get(f"{path}?bogus=1", role="owner")
        assert (refused.status, refused.data["code"]) == (400, "bad-query"), path


def test_every_route_of_both_servers_stands_in_the_reference(clients: dict[str, Any]) -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "http-api.md"
    parts = page.read_text("utf-8").split("\n## ")
    for server, heading in (("serving", "serving"), ("api", "API")):
        part = next(part for part in parts if part.startswith(f"{heading}\n"))
        written = {
            line
            for line in part.splitlines()
            if line.startswith(("| GET", "| POST", "| PUT", "| DELETE"))
        }
        routes = own_routes(clients[server])
        assert written == {
            f"| {r.method} | `{r.path}` | `{r.permission.value}` | {r.summary} |" for r in routes
        }


def test_every_call_of_mlflow_that_is_answered_stands_in_the_reference() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "mlflow.md"
    lines = page.read_text("utf-8").splitlines()
    written = [line for line in lines if re.match(r"\| (GET|POST|PUT|PATCH|DELETE) ", line)]
    routes = mlflow_routes(memory_stores(), Scope(project="x", actor="x"))
    assert written == [
        f"| {r.method} | `{r.path}` | `{r.permission.value}` | {r.summary} |"
        for r in routes
        if not r.path.startswith("/ajax-api")
    ]


def test_a_route_that_takes_a_stream_and_the_rest_of_a_path_is_described() -> None:
    async def handler(_: Request) -> Reply:
        return Reply()

    route: Route[Handler] = Route(
        method="PUT",
        path="/files/{path...}",
        permission=Permission.READ,
        handler=handler,
        summary="Store a file",
        is_streamed=True,
        max_body_bytes=100,
    )
    operation = openapi(RouteTable([route]))["paths"]["/files/{path}"]["put"]
    assert operation["operationId"] == "put-files-path"
    assert [parameter["name"] for parameter in operation["parameters"]] == ["path"]
    assert "application/octet-stream" in operation["requestBody"]["content"]
