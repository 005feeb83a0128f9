"""Signing in with a password, tokens of one's own, and the management of users over HTTP."""

from base64 import b64encode
from typing import Any

import pytest
from tests.unit.web.conftest import PORT, Client

from trivet.workspace.workspace import Workspace

PASSWORD = "correct horse battery staple"
ORIGIN = {"origin": f"http://127.0.0.1:{PORT}"}


@pytest.fixture
def anna(workspace: Workspace) -> dict[str, str]:
    """The headers of a session of Anna's."""
    users = workspace.access.users
    users.add("anna")
    users.set_password("anna", PASSWORD)
    users.grant("anna", "developer", None, None)
    return session_of(workspace, "anna")


def session_of(workspace: Workspace, user: str) -> dict[str, str]:
    from trivet.http.guards import csrf_of

    secret = workspace.access.begin_session(user, hours=1)
    return {"cookie": f"trivet_session={secret}", "x-trivet-csrf": csrf_of(secret), **ORIGIN}


def ask(api: Client, method: str, path: str, headers: dict[str, str], body: Any = None) -> Any:
    return api.call(method, path, role=None, headers=headers, body=body)


def test_a_body_that_is_nested_too_deeply_is_refused(api: Client, anna: dict[str, str]) -> None:
    body = b'{"other": %s%s}' % (b"[" * 5_000, b"]" * 5_000)
    refused = ask(api, "POST", "/session/tokens", anna, body)
    assert (refused.status, refused.data["code"]) == (400, "bad-body")


def test_a_token_of_one_s_own_may_what_its_user_may_and_less(
    api: Client, anna: dict[str, str], workspace: Workspace
) -> None:
    wish = {"name": "nightly", "days": 5, "project": "*", "only": ["log"]}
    made = ask(api, "POST", "/session/tokens", anna, wish)
    assert made.status == 200, made.body
    assert made.headers["cache-control"] == "no-store"
    token = made.data["token"]
    assert api.get("/models", token=token).status == 403
    created = {"name": "x"}
    path = "/api/2.0/mlflow/experiments/create"
    assert api.post(path, created, token=token).status == 200
    (listed,) = ask(api, "GET", "/session/tokens", anna).data
    assert (listed["token"]["name"], listed["project"]) == ("nightly", "*")
    assert ask(api, "DELETE", "/session/tokens/nightly", anna).data == {"ended": 1}
    assert api.post(path, created, token=token).status == 401
    assert workspace.access.grants() is not None


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"name": "x", "days": 91}, 400),
        ({"name": "x", "days": 0}, 400),
        ({"name": "x", "only": []}, 400),
        ({"name": "x", "only": ["everything"]}, 400),
        ({"name": "X Y"}, 400),
        ({"name": "x", "project": "right"}, 404),
        ({"name": "x", "project": "nowhere"}, 404),
        ({"name": "x", "role": "admin"}, 400),
        ({}, 400),
    ],
)
def test_a_token_that_cannot_be_is_refused(
    api: Client, anna: dict[str, str], workspace: Workspace, wish: Any, status: int
) -> None:
    workspace.access.projects.add("right")
    assert ask(api, "POST", "/session/tokens", anna, wish).status == status


def test_nobody_ends_another_s_token(
    api: Client, anna: dict[str, str], workspace: Workspace
) -> None:
    workspace.access.users.add("bert")
    token = workspace.access.issue("laptop", user="bert")
    assert ask(api, "DELETE", "/session/tokens/laptop", anna).status == 404
    assert api.get("/session", token=token).status == 200


def test_an_owner_says_who_may_do_what_and_it_counts_at_once(
    api: Client, workspace: Workspace
) -> None:
    assert api.post("/users", {"name": "carl"}, role="owner").status == 200
    assert api.post("/projects", {"name": "right"}, role="owner").status == 200
    token = workspace.access.issue("laptop", user="carl", project="*")
    wish = {"role": "developer", "project": "right"}
    assert api.post("/users/carl/role", wish, role="owner").data["roles"] == {"right": "developer"}
    assert api.get("/projects", token=token).data == [{"name": "right", "role": "developer"}]
    assert api.get("/projects", role="viewer").data == [{"name": "left", "role": "viewer"}]
    assert api.post("/users/carl/state", {"state": "disabled"}, role="owner").status == 200
    assert api.get("/projects", token=token).status == 401
    facts = workspace.stores.ledger.find("access.role").entries
    assert [(fact.actor, fact.reason) for fact in facts] == [
        ("owner", "make carl developer of project right")
    ]


def test_an_admin_of_one_project_issues_no_token_for_more(api: Client) -> None:
    assert api.post("/tokens", {"name": "a", "role": "admin"}, role="admin").status == 200
    assert api.post("/tokens", {"name": "b", "role": "owner"}, role="admin").status in {400, 403}
    for path, body in (("/users", {"name": "x"}), ("/projects", {"name": "x"})):
        assert api.post(path, body, role="admin").status == 403


@pytest.mark.parametrize("name", ["", "a\x00b", "x" * 5000, "张伟", "anna/../bert", "{}", "%", "*"])
def test_odd_names_are_nobody_s(api: Client, anna: dict[str, str], name: str) -> None:
    answer = api.post("/session", {"user": name, "password": "x"}, role=None)
    assert answer.status == 401
    pair = b64encode(f"{name}:x".encode()).decode()
    assert ask(api, "GET", "/session", {"authorization": f"Basic {pair}"}).status == 401


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b'{"user": "anna"}', b'{"user": 1, "password": "x"}'),
        *(b'{"user": "\\ud800", "password": "x"}', b'{"user": "anna", "password": "x", "a": 1}'),
        b'{"user": "anna", "password": "' + b"x" * (1 << 16) + b'"}',
    ],
)
def test_a_body_that_is_none_signs_nobody_in(api: Client, body: bytes) -> None:
    answer = api.call("POST", "/session", role=None, body=body)
    assert answer.status in {400, 413}
    assert "set-cookie" not in answer.headers
    assert "xxx" not in answer.body.decode()


def test_a_wrong_password_is_not_repeated_in_the_answer(api: Client, anna: Any) -> None:
    answer = api.post("/session", {"user": "anna", "password": "my-secret-guess"}, role=None)
    assert answer.status == 401
    assert "my-secret-guess" not in answer.body.decode()
    assert "anna" not in answer.body.decode()


def test_the_cookie_of_an_https_server_goes_nowhere_else() -> None:
    from trivet.web.sessions import cookie_of

    assert b"; Secure" in cookie_of("x", "https")[1]
    assert b"; Secure" not in cookie_of("x", "http")[1]
    assert b"Max-Age=0" in cookie_of("", "http")[1]


def test_the_token_that_is_sent_can_be_ended(api: Client, workspace: Workspace) -> None:
    token = workspace.access.issue("brief", "viewer")
    assert api.call("DELETE", "/session/token", token=token, body=b"").data == {"ended": 1}
    assert api.get("/session", token=token).status == 401
    own = (workspace.opened.folder / "token").read_text().strip()
    assert api.call("DELETE", "/session/token", token=own, body=b"").status == 409
