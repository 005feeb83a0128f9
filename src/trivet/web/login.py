"""Signing in at a provider: to it, back from it, and on to a page or to a waiting command line.

What an attempt must remember is kept in memory, by the digest of a cookie that one browser has.
It is good for once and for ten minutes; a server that is started anew has forgotten it, and
whoever was on the way begins again.
"""

import asyncio
import hmac
import html
import time
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar
from urllib.parse import urlencode

import msgspec

from trivet.access.facts import EVERYWHERE, User
from trivet.access.permissions import Permission
from trivet.access.provider import (
    Attempt,
    Provider,
    answer,
    challenge_of,
    new_attempt,
    new_secret,
    person,
    question,
    roles_of,
)
from trivet.access.tokens import token_digest
from trivet.core.errors import Forbidden, Invalid, NotFound
from trivet.core.ids import new_id
from trivet.http.application import Handler, Reply, Request
from trivet.http.routes import Route
from trivet.web.asking import body_as
from trivet.web.sessions import NOT_KEPT, OwnToken, begin_session, cookie_of
from trivet.workspace.settings import SignInSettings
from trivet.workspace.workspace import Workspace

T = TypeVar("T")

CALLBACK: Final = "/login/callback"
_COOKIE: Final = "trivet_login"
_ATTEMPT_S: Final = 600.0
_CODE_S: Final = 60.0
_MOST_KEPT: Final = 10_000
_CLI_DAYS: Final = 30.0
_PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Signed in</title>
<meta http-equiv="refresh" content="0;url={url}"><p>Signed in. <a href="{url}">Go on</a>.</p>
"""
_POLICY: Final = b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'"


class CodeWish(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a command line shows to be given its token."""

    code: str
    verifier: str


class _Waiting(msgspec.Struct, frozen=True):
    user: str
    challenge: str


class OneTime(Generic[T]):
    """Things that are kept for a time under a secret, and given out once.

    Args:
        seconds: For how long.
        now: Seconds of a clock that never goes back.
    """

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._now = now
        self._kept: dict[str, tuple[float, T]] = {}

    def keep(self, thing: T) -> str:
        """Keep a thing; return the secret that gets it back."""
        secret = new_secret()
        # They were added in the order in which they end, so the oldest come first.
        while self._kept:
            oldest = next(iter(self._kept))
            if self._kept[oldest][0] > self._now() and len(self._kept) < _MOST_KEPT:
                break
            del self._kept[oldest]
        self._kept[token_digest(secret)] = (self._now() + self._seconds, thing)
        return secret

    def take(self, secret: str) -> T | None:
        """Return the thing of this secret, once; None for one that is unknown or too late."""
        until, thing = self._kept.pop(token_digest(secret), (0.0, None))
        return thing if until > self._now() else None


def login_routes(
    workspace: Workspace, provider_of: Callable[[], Provider | None]
) -> tuple[Route[Handler], ...]:
    """Build the routes of the way to a provider and back."""
    way = _Way(workspace, provider_of)
    public = Permission.PUBLIC
    return (
        Route(
            method="GET",
            path="/login",
            permission=public,
            handler=way.go,
            summary="Go to the provider to sign in",
            is_return=True,
        ),
        Route(
            method="GET",
            path=CALLBACK,
            permission=public,
            handler=way.come_back,
            summary="Come back from the provider",
            is_return=True,
        ),
        Route(
            method="POST",
            path="/login/token",
            permission=public,
            handler=way.give_token,
            summary="Give a command line its token",
            request=CodeWish,
            response=OwnToken,
            max_body_bytes=1 << 14,
        ),
    )


class _Way:
    def __init__(self, workspace: Workspace, provider_of: Callable[[], Provider | None]) -> None:
        self._workspace = workspace
        self._provider_of = provider_of
        self._settings: SignInSettings = workspace.settings.sign_in
        self._attempts: OneTime[Attempt] = OneTime(_ATTEMPT_S)
        self._codes: OneTime[_Waiting] = OneTime(_CODE_S)

    async def go(self, request: Request) -> Reply:
        query = request.query()
        provider = await asyncio.to_thread(self._provider)
        cli = _cli(query)
        attempt = new_attempt(
            f"{request.scheme}://{_host(request)}{CALLBACK}", query.get("next", "/session"), cli
        )
        url = await asyncio.to_thread(question, provider, attempt, self._settings.scopes)
        secret = self._attempts.keep(attempt)
        return Reply(
            status=302,
            headers=[(b"location", url.encode()), _cookie(secret, request.scheme), NOT_KEPT],
        )

    async def come_back(self, request: Request) -> Reply:
        attempt = self._attempts.take(_own_cookie(request))
        if attempt is None:
            raise Forbidden(
                "this browser has begun no attempt to sign in, or it took too long",
                code="no-attempt",
                hint="Begin again: /login.",
            )
        user = await asyncio.to_thread(self._user, attempt, request.query())
        if attempt.cli is not None:
            port, challenge, state = attempt.cli
            code = self._codes.keep(_Waiting(user.name, challenge))
            # A program on this machine listens there (RFC 8252, section 7.3); what it gets is
            # worth nothing without the verifier that it has kept.
            query = urlencode({"code": code, "state": state})
            onward = f"http://127.0.0.1:{port}/?{query}"
            return Reply(
                status=302,
                headers=[(b"location", onward.encode()), _cookie("", request.scheme), NOT_KEPT],
            )
        secret = await asyncio.to_thread(begin_session, self._workspace, user.name)
        # A page and no redirect: what follows on it is a way from this site to itself.
        page = _PAGE.format(url=html.escape(attempt.onward, quote=True))
        return Reply(
            page.encode(),
            content_type=b"text/html; charset=utf-8",
            headers=[
                cookie_of(secret, request.scheme),
                _cookie("", request.scheme),
                NOT_KEPT,
                (b"content-security-policy", _POLICY),
                (b"referrer-policy", b"no-referrer"),
            ],
        )

    def _user(self, attempt: Attempt, query: Mapping[str, str]) -> User:
        provider, settings = self._provider(), self._settings
        now = self._workspace.clock.now()
        claims = answer(provider, attempt, query, now, settings.skew_s)
        who = person(claims, settings.name_claim, settings.groups_claim)
        mapped = roles_of(who.groups, settings.roles)
        users = self._workspace.acting_for("@provider").access.users
        return users.of_provider(provider.issuer, who.subject, who.name, who.email, mapped)

    async def give_token(self, request: Request) -> Reply:
        wish = body_as(request, CodeWish)
        waiting = self._codes.take(wish.code)
        given = challenge_of(wish.verifier).encode()
        if waiting is None or not hmac.compare_digest(given, waiting.challenge.encode()):
            raise Forbidden(
                "the code is not valid here", code="bad-token", hint="Begin again: `trivet login`."
            )
        access = self._workspace.acting_for(waiting.user).access
        token = await asyncio.to_thread(
            access.issue,
            f"login-{new_id()[-8:]}",
            user=waiting.user,
            days=_CLI_DAYS,
            project=EVERYWHERE,
        )
        return Reply(msgspec.json.encode(OwnToken(token=token)), headers=[NOT_KEPT])

    def _provider(self) -> Provider:
        provider = self._provider_of()
        if provider is None:
            raise NotFound(
                "no provider is set up here",
                code="no-provider",
                hint="Sign in with a password: `trivet login URL --user NAME`, or POST /session.",
            )
        return provider


def _cli(query: Mapping[str, str]) -> tuple[int, str, str] | None:
    if "cli" not in query:
        return None
    port, challenge, state = (query.get(name, "") for name in ("cli", "challenge", "state"))
    is_port = port.isascii() and port.isdigit() and len(port) < 6 and 1024 <= int(port) < 65536
    if not is_port or len(challenge) != 43 or not 16 <= len(state) <= 200:
        raise Invalid(
            "the query is not that of a command line that waits: expected cli, challenge, state",
            code="bad-query",
            hint="Use `trivet login`.",
        )
    return int(port), challenge, state


def _host(request: Request) -> str:
    # One of the server's own names: the guards have let it in.
    return next(v for name, v in request.headers if name.lower() == b"host").decode("latin-1")


def _cookie(secret: str, scheme: str) -> tuple[bytes, bytes]:
    age = round(_ATTEMPT_S) if secret else 0
    secure = "; Secure" if scheme == "https" else ""
    text = f"{_COOKIE}={secret}; Path={CALLBACK}; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"
    return b"set-cookie", text.encode()


def _own_cookie(request: Request) -> str:
    for name, value in request.headers:
        if name.lower() != b"cookie":
            continue
        for part in value.decode("latin-1").split(";"):
            key, _, content = part.strip().partition("=")
            if key == _COOKIE:
                return content
    return ""
