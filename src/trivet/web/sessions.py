"""Signing in with a password, seeing who one is, and tokens of one's own.

A session is a token that lives in a cookie: kept as a digest, ending with its time, with signing
out, with a new password or with its user. Scripts cannot read it, other sites cannot have it sent
along with what changes something, and pages show that they are this server's by `X-Trivet-CSRF`.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar

import msgspec

from trivet.access.facts import EVERYWHERE, ProjectAdded
from trivet.access.permissions import Permission, RoleName
from trivet.access.service import Grant
from trivet.access.users import UserState
from trivet.core.errors import Conflict, Invalid
from trivet.http.application import Handler, Reply, Request, json_reply
from trivet.http.guards import COOKIE, Knock, csrf_of, read_visitor
from trivet.http.routes import Method, Route
from trivet.web.asking import body_as, check_query
from trivet.workspace.doorkeeper import Doorkeeper, no_project
from trivet.workspace.workspace import Workspace

T = TypeVar("T")

SESSION_S: Final = 12 * 3600
"""How long a session holds, in seconds."""
_MOST_DAYS: Final = 90.0


class PasswordWish(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Who wants to sign in."""

    user: str
    password: str


class OwnTokenWish(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A token of one's own."""

    name: str
    days: float = 30.0
    """At most 90."""
    project: str | None = None
    """The one project that it opens; None: this server's own; `*`: every one."""
    only: list[Permission] | None = None
    """What it is narrowed to."""


class ProjectWish(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A project to add."""

    name: str


class UserWish(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A user to add."""

    name: str
    email: str = ""
    is_service: bool = False


class RoleWish(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a user shall be in a project."""

    role: RoleName | None
    """None takes away what was granted."""
    project: str | None = None
    """The server's own project when None, all when `*`."""


class StateWish(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Whether a user may come in."""

    state: Literal["enabled", "disabled"]


class Signed(msgspec.Struct, kw_only=True):
    """Who one is here."""

    name: str
    user: str
    """Empty for a service token, and for the folder's own."""
    proof: str
    role: RoleName | None
    """In the server's own project."""
    rights: list[str]
    csrf: str | None = None
    """What pages send as X-Trivet-CSRF; None without a session."""


class Begun(msgspec.Struct, kw_only=True):
    """A session, whose secret is in the cookie."""

    user: str
    csrf: str


class Ended(msgspec.Struct, kw_only=True):
    """How many sessions or tokens were ended."""

    ended: int


class OwnToken(msgspec.Struct, kw_only=True):
    """A token: the only time it is shown."""

    token: str


class ShownProject(msgspec.Struct, kw_only=True):
    """A project, and what one is in it."""

    name: str
    role: RoleName | None


def session_routes(workspace: Workspace, keeper: Doorkeeper) -> tuple[Route[Handler], ...]:
    """Build the routes about oneself, and those of users and projects."""
    desk = _Desk(workspace, keeper)
    public, own, manage = Permission.PUBLIC, Permission.SELF, Permission.MANAGE
    user, name = "/users/{name}", "/session/tokens/{name}"
    return (
        _route("POST", "/session", public, desk.sign_in, "Sign in", PasswordWish, Begun),
        _route("GET", "/session", own, desk.show, "Say who one is", None, Signed),
        _route("DELETE", "/session", own, desk.sign_out, "Sign out", None, Ended),
        _route("GET", "/session/tokens", own, desk.tokens, "List one's tokens", None, list[Grant]),
        _route("POST", "/session/tokens", own, desk.issue, "Make a token", OwnTokenWish, OwnToken),
        _route("DELETE", "/session/token", own, desk.end, "End the token sent", None, Ended),
        _route("DELETE", name, own, desk.revoke, "Revoke a token of one's own", None, Ended),
        _route("GET", "/projects", own, desk.projects, "List projects", None, list[ShownProject]),
        _route(
            "POST",
            "/projects",
            manage,
            desk.add_project,
            "Add a project",
            ProjectWish,
            ProjectAdded,
        ),
        _route("GET", "/users", manage, desk.users, "List users", None, list[UserState]),
        _route("POST", "/users", manage, desk.add_user, "Add a user", UserWish, UserState),
        _route("POST", f"{user}/role", manage, desk.grant, "Grant a role", RoleWish, UserState),
        _route("POST", f"{user}/state", manage, desk.move, "Let in or not", StateWish, UserState),
    )


def _route(  # a line of the table above
    method: Method,
    path: str,
    permission: Permission,
    handler: Handler,
    summary: str,
    request: Any = None,  # noqa: ANN401  # a type, for the document
    response: Any = None,  # noqa: ANN401  # the same
) -> Route[Handler]:
    return Route(
        method=method,
        path=path,
        permission=permission,
        handler=_without_query(handler),
        summary=summary,
        request=request,
        response=response,
        max_body_bytes=1 << 16,
    )


def _without_query(handler: Handler) -> Handler:
    async def handle(request: Request) -> Reply:
        if request.query_string:
            check_query(request, ())
        return await handler(request)

    return handle


class _Desk:
    def __init__(self, workspace: Workspace, keeper: Doorkeeper) -> None:
        self._workspace = workspace
        self._keeper = keeper

    async def sign_in(self, request: Request) -> Reply:
        wish = body_as(request, PasswordWish)
        name = await self._keeper.check_password(wish.user, wish.password, request.address)
        secret = await asyncio.to_thread(begin_session, self._workspace, name)
        return Reply(
            msgspec.json.encode(Begun(user=name, csrf=csrf_of(secret))),
            headers=[cookie_of(secret, request.scheme), NOT_KEPT],
        )

    async def show(self, request: Request) -> Reply:
        who, visitor = request.principal, read_visitor(request.headers)
        signed = Signed(
            name=who.name,
            user=who.user,
            proof=who.proof,
            role=who.role,
            rights=sorted(who.rights),
            csrf=csrf_of(visitor.token) if visitor.by_cookie and visitor.token else None,
        )
        return Reply(msgspec.json.encode(signed), headers=[NOT_KEPT])

    async def sign_out(self, request: Request) -> Reply:
        visitor = read_visitor(request.headers)
        if not visitor.by_cookie or visitor.token is None:
            raise Conflict(
                "there is no session to end: the request carries a token or a password",
                code="no-session",
                hint="Tokens are ended with DELETE /session/tokens/NAME.",
            )
        access = self._workspace.acting_for(request.principal.name).access
        known = access.known(visitor.token, self._workspace.scope.project)
        await asyncio.to_thread(access.end, known.token)
        return Reply(
            msgspec.json.encode(Ended(ended=1)), headers=[cookie_of("", request.scheme), NOT_KEPT]
        )

    async def tokens(self, request: Request) -> Reply:
        user = request.principal.user

        def ask() -> list[Grant]:
            grants = self._workspace.access.all_grants() if user else ()
            return [grant for grant in grants if grant.token.user == user]

        return json_reply(await asyncio.to_thread(ask))

    async def issue(self, request: Request) -> Reply:
        wish, user = body_as(request, OwnTokenWish), _user_of(request)
        if wish.days > _MOST_DAYS:
            raise Invalid(
                f"days is {wish.days:g}; expected at most {_MOST_DAYS:g}", code="bad-days"
            )
        if wish.project not in {None, EVERYWHERE}:
            await asyncio.to_thread(self._check_place, user, str(wish.project))
        access = self._workspace.acting_for(user).access
        token = await asyncio.to_thread(
            access.issue,
            wish.name,
            user=user,
            days=wish.days,
            project=wish.project,
            only=wish.only,
            granter=request.principal,
        )
        return Reply(msgspec.json.encode(OwnToken(token=token)), headers=[NOT_KEPT])

    def _check_place(self, user: str, project: str) -> None:
        access = self._workspace.access
        if access.users.role(access.users.get(user), project) is None:
            raise no_project()  # the same, whether or not there is one
        access.projects.check(project)

    async def revoke(self, request: Request) -> Reply:
        user = _user_of(request)
        access = self._workspace.acting_for(user).access
        count = await asyncio.to_thread(access.revoke, request.values["name"], user=user)
        return json_reply(Ended(ended=count))

    async def end(self, request: Request) -> Reply:
        visitor = read_visitor(request.headers)
        if request.principal.proof != "token" or visitor.token is None:
            raise Conflict(
                "the request carries no token that can be ended",
                code="no-token",
                hint="Sessions are ended with DELETE /session.",
            )
        access = self._workspace.acting_for(request.principal.name).access
        known = access.known(visitor.token, self._workspace.scope.project)
        await asyncio.to_thread(access.end, known.token)
        return json_reply(Ended(ended=1))

    async def projects(self, request: Request) -> Reply:
        visitor = read_visitor(request.headers)
        knock = Knock(visitor.token or "", visitor.way, visitor.user)
        found = [
            ShownProject(name=name, role=self._keeper.role_in(knock, name))
            for name in await asyncio.to_thread(self._workspace.access.projects.names)
        ]
        return json_reply([project for project in found if project.role is not None])

    async def add_project(self, request: Request) -> Reply:
        wish = body_as(request, ProjectWish)
        access = self._workspace.acting_for(request.principal.name).access
        return json_reply(await asyncio.to_thread(access.projects.add, wish.name))

    async def users(self, _: Request) -> Reply:
        return json_reply(await asyncio.to_thread(self._workspace.access.users.all))

    async def add_user(self, request: Request) -> Reply:
        wish = body_as(request, UserWish)
        users = self._workspace.acting_for(request.principal.name).access.users
        user = await _called(
            lambda: users.add(wish.name, email=wish.email, is_service=wish.is_service)
        )
        return json_reply(users.state(user))

    async def grant(self, request: Request) -> Reply:
        wish, name = body_as(request, RoleWish), request.values["name"]
        users = self._workspace.acting_for(request.principal.name).access.users
        await _called(lambda: users.grant(name, wish.role, wish.project, request.principal))
        return json_reply(users.state(users.get(name)))

    async def move(self, request: Request) -> Reply:
        wish, name = body_as(request, StateWish), request.values["name"]
        users = self._workspace.acting_for(request.principal.name).access.users
        move = users.disable if wish.state == "disabled" else users.enable
        return json_reply(users.state(await _called(lambda: move(name))))


async def _called(call: Callable[[], T]) -> T:
    return await asyncio.to_thread(call)


NOT_KEPT: Final = (b"cache-control", b"no-store")


def begin_session(workspace: Workspace, user: str) -> str:
    """Begin a session of a user; return the secret of its cookie."""
    return workspace.acting_for(user).access.begin_session(user, hours=SESSION_S / 3600)


def cookie_of(secret: str, scheme: str) -> tuple[bytes, bytes]:
    """Return the header that gives a browser its session, or takes it away when it is empty."""
    age = SESSION_S if secret else 0
    secure = "; Secure" if scheme == "https" else ""
    text = f"{COOKIE.decode()}={secret}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"
    return b"set-cookie", text.encode()


def _user_of(request: Request) -> str:
    if not request.principal.user:
        raise Conflict(
            f"{request.principal.name} is no user, and has no tokens of their own",
            code="no-user",
            hint="Service tokens are issued by an admin: POST /tokens, or `trivet access issue`.",
        )
    return request.principal.user
