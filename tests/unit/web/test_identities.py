"""Every route of every server, against everybody who may knock, and in every way.

The routes are those that the servers answer by, each with a handler that only says that it was
reached. So what is compared is what a route declares, and who got as far as its handler.
"""

import asyncio
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.web.conftest import POLICY, PORT

from trivet.access.permissions import NOBODY, ROLES, Permission
from trivet.access.service import bad_token
from trivet.core.clock import EventClock
from trivet.core.errors import Invalid
from trivet.http.application import Application, Reply, Request
from trivet.http.guards import csrf_of
from trivet.http.routes import Route, RouteTable
from trivet.web.mlflow.errors import DIALECT
from trivet.workspace.doorkeeper import Doorkeeper
from trivet.workspace.workspace import Workspace

REACHED = 299
PASSWORD = "correct horse battery staple"
START = datetime(2026, 1, 1, tzinfo=UTC)
Rights = Mapping[str, frozenset[Permission]]
EVERYTHING = frozenset(Permission)


async def reached(_: Request) -> Reply:
    return Reply(status=REACHED)


@dataclass(frozen=True)
class Identity:
    """Somebody, what they send, and what they may do in each project."""

    name: str
    headers: Mapping[str, str]
    rights: Rights | None
    """By project; one that is missing is not there for them. None: they are nobody at all."""
    has_half: bool = False
    """Whether a cookie comes with its other half."""


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def basic(user: str, secret: str) -> dict[str, str]:
    return {"authorization": "Basic " + b64encode(f"{user}:{secret}".encode()).decode()}


def cookie(secret: str, **more: str) -> dict[str, str]:
    return {"cookie": f"other=1; trivet_session={secret}", **more}


@pytest.fixture
def clock(workspace: Workspace) -> EventClock:
    workspace.clock = EventClock(START)
    return workspace.clock


@pytest.fixture
def identities(workspace: Workspace, clock: EventClock) -> list[Identity]:
    access = workspace.access
    access.projects.add("right")
    found = [
        Identity("nobody", {}, None),
        Identity("a wrong token", bearer("trv_" + "A" * 43), None),
        Identity("a wrong password", basic("tokens-viewer", "wrong"), None),
        Identity("a wrong cookie", cookie("trv_wrong", origin=f"http://127.0.0.1:{PORT}"), None),
    ]
    own = (workspace.opened.folder / "token").read_text().strip()
    both = {"left": EVERYTHING, "right": EVERYTHING}
    found.append(Identity("the folder's own token", bearer(own), both))
    found.append(Identity("the folder's own token as a cookie", cookie(own), None))
    for role, rights in ROLES.items():
        everywhere = role == "owner"
        found += roles_of(workspace, role, rights, everywhere=everywhere)
    return found + strangers(workspace) + ended(workspace, clock)


def roles_of(
    workspace: Workspace, role: Any, rights: frozenset[Permission], *, everywhere: bool
) -> list[Identity]:
    access, users = workspace.access, workspace.access.users
    project = "*" if everywhere else None
    where = {"left": rights} | ({"right": rights} if everywhere else {})
    service = access.issue(f"service-{role}", role, project=project)
    user = f"user-{role}"
    users.add(user)
    users.grant(user, role, project, None)
    session = access.begin_session(user, hours=1)
    personal = access.issue("laptop", user=user, project="*")
    origin = {"origin": f"http://127.0.0.1:{PORT}"}
    half, foreign = ({"x-trivet-csrf": csrf_of(secret)} for secret in (session, personal))
    return [
        Identity(f"{role}: a service token", bearer(service), where),
        Identity(f"{role}: the same as a password", basic("whoever", service), where),
        Identity(f"{role}: a user's token", bearer(personal), where),
        Identity(f"{role}: a session", cookie(session, **origin, **half), where, has_half=True),
        Identity(f"{role}: no origin", cookie(session, **half), where, has_half=True),
        Identity(f"{role}: no csrf", cookie(session, **origin), where),
        Identity(f"{role}: another's csrf", cookie(session, **origin, **foreign), where),
        Identity(f"{role}: a session as a token", bearer(session), None),
        Identity(f"{role}: a token as a cookie", cookie(personal), None),
    ]


def strangers(workspace: Workspace) -> list[Identity]:
    access, users = workspace.access, workspace.access.users
    users.add("anna")
    users.grant("anna", "developer", "right", None)
    users.grant("anna", "viewer", None, None)
    users.add("bert")
    users.set_password("anna", PASSWORD)
    both = {"left": ROLES["viewer"], "right": ROLES["developer"]}
    only_log = frozenset({Permission.LOG}) | NOBODY
    log = access.issue("logger", "developer", only=[Permission.LOG])
    of_anna = access.issue("narrow", user="anna", project="*", only=[Permission.LOG])
    in_right = access.issue("of-right", user="anna", project="right")
    elsewhere = access.issue("elsewhere", "admin", project="right")
    return [
        Identity("a password", basic("anna", PASSWORD), both),
        Identity("another's password", basic("bert", PASSWORD), None),
        Identity("no role at all", bearer(access.issue("t", user="bert")), {}),
        Identity("an admin of another project", bearer(elsewhere), {"right": ROLES["admin"]}),
        Identity("narrowed to logging", bearer(log), {"left": only_log}),
        Identity("a narrowed user", bearer(of_anna), {"left": NOBODY, "right": only_log}),
        Identity("a token for one project", bearer(in_right), {"right": ROLES["developer"]}),
    ]


def ended(workspace: Workspace, clock: EventClock) -> list[Identity]:
    access, users = workspace.access, workspace.access.users
    users.add("gone")
    users.set_password("gone", PASSWORD)
    users.grant("gone", "owner", "*", None)
    session, token = access.begin_session("gone", hours=8), access.issue("t", user="gone", days=300)
    short = access.issue("short", "admin", days=1)
    revoked = access.issue("revoked", "admin")
    access.revoke("revoked")
    users.add("out")
    users.grant("out", "admin", None, None)
    signed_out = access.begin_session("out", hours=8)
    access.end(access.known(signed_out, "left").token)
    taken = access.issue("taken", user="out")
    users.grant("out", None, None, None)
    users.disable("gone")
    clock.move_to(START + timedelta(minutes=30))
    expired = access.issue("brief", "admin", days=1e-6)
    clock.move_to(START + timedelta(minutes=31))
    return [
        Identity("a disabled user's token", bearer(token), None),
        Identity("a disabled user's password", basic("gone", PASSWORD), None),
        Identity("a disabled user's session", cookie(session), None),
        Identity("an expired token", bearer(expired), None),
        Identity("a revoked token", bearer(revoked), None),
        Identity("a session that was ended", cookie(signed_out), None),
        Identity("a role that was taken away", bearer(taken), {}),
        Identity("a token that still holds", bearer(short), {"left": ROLES["admin"]}),
    ]


def expected(who: Identity, route: Route[Any], project: str) -> int:
    """Return the status that somebody must be answered."""
    changes, has_cookie = route.method != "GET", "cookie" in who.headers
    rights = who.rights or {}
    here = rights.get(project, NOBODY)
    rules = [
        (changes and has_cookie and "origin" not in who.headers, 403),
        (route.permission is Permission.PUBLIC, REACHED),
        (changes and has_cookie and who.has_half is False, 403),
        (who.rights is None, 401),
        ("{project}" in route.path and project not in rights, 404),
        (route.permission in here, REACHED),
    ]
    return next((status for holds, status in rules if holds), 403)


def bare(app: Application, keeper: Doorkeeper) -> Application:
    table = RouteTable([replace(r, handler=reached, is_streamed=False) for r in app.table.routes])
    return Application(table, policy=POLICY, principal_of=keeper.principal_of, dialects=(DIALECT,))


async def status_of(app: Application, route: Route[Any], path: str, who: Identity) -> int:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = {"host": f"127.0.0.1:{PORT}", **who.headers}
    scope = {
        "type": "http",
        "method": route.method,
        "path": path,
        "query_string": b"",
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
        "client": (f"10.0.0.{hash(who.name) % 250}", 1),
    }
    await app(scope, receive, send)
    return sent[0]["status"]


def knocks(apps: Mapping[str, Application]) -> Iterator[tuple[str, Route[Any], str]]:
    for server, app in apps.items():
        for route in app.table.routes:
            for project in ("left", "right", "none") if "{project}" in route.path else ("left",):
                yield server, route, project


async def judge(apps: Mapping[str, Application], identities: list[Identity]) -> list[str]:
    wrong: list[str] = []
    for server, route, project in knocks(apps):
        path = fill(route.path, project)
        for who in identities:
            status = await status_of(apps[server], route, path, who)
            if status != expected(who, route, project):
                wrong.append(f"{who.name}: {route.method} {server}{path}: {status}")
    return wrong


def fill(path: str, project: str) -> str:
    path = path.replace("{project}", project)
    return re.sub(r"\{(\w+)(?:\.\.\.)?\}", lambda found: {"name": "left"}.get(found[1], "1"), path)


def test_every_route_lets_in_exactly_whom_its_permission_says(
    clients: dict[str, Any], identities: list[Identity], workspace: Workspace
) -> None:
    keeper = Doorkeeper(workspace)
    apps = {server: bare(client.app, keeper) for server, client in clients.items()}
    # A wrong password costs a fifth of a second, each time: they have a test of their own.
    quick = [who for who in identities if "password" not in who.name or who.rights is not None]
    assert sum(1 for _ in knocks(apps)) * len(quick) > 50_000
    assert asyncio.run(judge(apps, quick)) == []


def test_a_wrong_password_opens_no_route(
    clients: dict[str, Any],
    identities: list[Identity],
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keeper = Doorkeeper(workspace)
    monkeypatch.setattr(keeper, "check_password", wrong_password)
    apps = {server: bare(client.app, keeper) for server, client in clients.items()}
    slow = [who for who in identities if "password" in who.name and who.rights is None]
    assert len(slow) == 3
    assert asyncio.run(judge(apps, slow)) == []


async def wrong_password(*_: str) -> str:
    raise bad_token()


@pytest.mark.parametrize("declared", [None, "read", 1, True])
def test_a_program_with_a_route_that_declares_no_permission_does_not_start(declared: Any) -> None:
    route = Route(
        method="GET", path="/secret", permission=declared, handler=reached, summary="a hole"
    )
    with pytest.raises(Invalid) as caught:
        RouteTable([route])
    assert caught.value.code == "no-permission-declared"
