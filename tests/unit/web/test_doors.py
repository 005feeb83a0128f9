"""Every route of both servers, against everybody who may knock.

The routes are read from the tables that the servers answer by, so a route that is added is a
route that is tested.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from trivet.access.permissions import ROLES, Permission
from trivet.http.routes import Route

ID = "0" * 32
FILLED = {"id": ID, "name": "left", "endpoint": "left", "project": "left"}
TURNED_AWAY = {401, 403}
PART = "/api/2.0/mlflow-artifacts/mpu/part/{upload}/{number}"
PARTS = (PART, f"/{{project}}{PART}")
"""Public, because the key in its address is the right to send this part."""


def path_of(route: Route[Any]) -> str:
    return re.sub(r"\{(\w+)(?:\.\.\.)?\}", lambda found: FILLED.get(found[1], "1"), route.path)


def code_of(answer: Any) -> str:
    """What the answer calls the error, in the house's words or in MLflow's."""
    return answer.data.get("code") or answer.data["error_code"]


def routes(clients: dict[str, Any]) -> Iterator[tuple[str, Route[Any]]]:
    """All routes but those on which browsers return, and the one that ends the token it is sent.

    `test_identities` judges these, too, without what they do.
    """
    for server, client in clients.items():
        for route in client.app.table.routes:
            if not route.is_return and route.path != "/session/token":
                yield server, route


def knock(clients: dict[str, Any], server: str, route: Route[Any], **options: Any) -> Any:
    body = None if route.method == "GET" else b"{}"
    return clients[server].call(route.method, path_of(route), body=body, **options)


def test_both_servers_have_routes_of_every_kind(clients: dict[str, Any]) -> None:
    found = list(routes(clients))
    assert len(found) > 30
    assert {route.permission for _, route in found} == set(Permission) - {Permission.PUBLISH}
    assert {route.method for _, route in found} >= {"GET", "POST", "PUT", "DELETE"}


def test_a_role_gets_in_exactly_where_its_permissions_say_so(clients: dict[str, Any]) -> None:
    wrong: list[str] = []
    for server, route in routes(clients):
        for role, rights in ROLES.items():
            answer = knock(clients, server, route, role=role)
            may = route.permission in rights
            if route.path in PARTS:
                continue
            if (answer.status not in TURNED_AWAY) is not may:
                wrong.append(f"{role} {route.method} {server}{route.path}: {answer.status}")
    assert wrong == []


def test_without_a_token_only_public_routes_answer(clients: dict[str, Any]) -> None:
    public = {
        f"{server}{route.path}"
        for server, route in routes(clients)
        if knock(clients, server, route, role=None).status != 401
    }
    mlflow = ("version", "api/3.0/mlflow/server-info", "ajax-api/3.0/mlflow/server-info")
    assert public == {
        "serving/v2/health/live",
        "serving/v2/health/ready",
        *(f"{server}/session" for server in ("api", "tracking")),  # signing in, which is POST
        *(f"{server}/login/token" for server in ("api", "tracking")),  # for a code
        *(
            f"{server}{prefix}/{path}"
            for server in ("api", "tracking")
            for prefix in ("", "/{project}")
            for path in ("health", *mlflow)
        ),
    }


def test_a_part_of_an_upload_is_sent_with_the_key_of_its_address_alone(api: Any) -> None:
    for path in ("00000000/1", "trv_wrong/1"):
        answer = api.call("PUT", PART.replace("{upload}/{number}", path), role=None, body=b"x")
        assert answer.status == 401


@pytest.mark.parametrize("token", ["trv_wrong", "x" * 5000, "trv_" + "A" * 43])
def test_a_token_that_is_not_valid_is_none_at_all(clients: dict[str, Any], token: str) -> None:
    for server, route in routes(clients):
        if route.permission is not Permission.PUBLIC:
            answer = knock(clients, server, route, token=token)
            assert answer.status == 401, f"{server}{route.path}"
            assert code_of(answer) in {"bad-token", "UNAUTHENTICATED"}


STRANGERS = {
    "another host": {"host": "evil.example:7878"},
    "another port": {"host": "127.0.0.1:9999"},
    "no host": {"host": ""},
    "another origin": {"origin": "http://evil.example"},
    "a page without an origin": {"origin": "null"},
    "a cross-site fetch": {"sec-fetch-site": "cross-site"},
}


@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS.keys())
def test_an_admin_s_token_does_not_help_from_a_place_nobody_calls_from(
    clients: dict[str, Any], headers: dict[str, str]
) -> None:
    for server, route in routes(clients):
        answer = knock(clients, server, route, role="admin", headers=headers)
        assert answer.status == 403, f"{server}{route.path}"
        assert code_of(answer) in {"bad-host", "bad-origin", "cross-site", "PERMISSION_DENIED"}


@pytest.mark.parametrize("path", ["/login", "/login/callback?state=x&code=y"])
def test_a_browser_may_come_back_from_another_site_and_still_to_this_one_alone(
    api: Any, path: str
) -> None:
    back = {"sec-fetch-site": "cross-site"}
    answer = api.get(path, role=None, headers=back)
    assert code_of(answer) in {"no-provider", "no-attempt"}
    assert answer.data["code"] == "no-attempt" or "--user" in answer.data["hint"]  # another way
    for odd in ({"host": "evil.example:7878"}, {"origin": "http://evil.example"}):
        answer = api.get(path, role=None, headers=back | odd)
        assert code_of(answer) in {"bad-host", "bad-origin"}


def test_a_cookie_alone_never_changes_anything(clients: dict[str, Any]) -> None:
    for server, route in routes(clients):
        if route.method != "GET":
            cookie = {"cookie": f"trivet_session={clients[server].tokens['admin']}"}
            answer = knock(clients, server, route, role=None, headers=cookie)
            assert answer.status == 403, f"{server}{route.path}"
            assert code_of(answer) in {"no-origin", "PERMISSION_DENIED"}


def test_a_revoked_token_opens_nothing(api: Any, workspace: Any) -> None:
    workspace.access.revoke("developer")
    assert api.get("/models", role="developer").status == 401


def test_the_workspace_s_own_token_is_an_admin_s(api: Any, workspace: Any) -> None:
    own = (workspace.opened.folder / "token").read_text().strip()
    assert api.get("/models", token=own).status == 200
    assert api.post("/tokens", {"name": "shop", "role": "application"}, token=own).status == 200


def test_every_error_has_the_same_shape_and_mlflow_s_has_mlflow_s(clients: dict[str, Any]) -> None:
    for server, route in routes(clients):
        answer = knock(clients, server, route, role=None)
        if answer.status >= 400:
            theirs = "mlflow" in route.path or route.path.endswith("/get-artifact")
            shape = {"error_code", "message"} if theirs else {"error", "code", "hint", "detail"}
            assert set(answer.data) == shape, route.path
            assert answer.headers["content-type"] == "application/json"


def test_a_path_that_does_not_exist_and_a_wrong_method_say_so(api: Any) -> None:
    assert api.get("/nothing").status == 404
    assert api.call("DELETE", "/models").status == 405
    assert api.call("POST", "/health", body=b"").status == 405


@pytest.mark.parametrize(
    "path", ["/facts/../tokens", "/models/%2e%2e", "/data/..%2f..", "//models"]
)
def test_no_path_leads_out_of_the_table(api: Any, path: str) -> None:
    assert api.get(path).status in {400, 404}
