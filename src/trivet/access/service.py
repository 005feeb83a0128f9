"""The access service: issues, checks and revokes tokens; users and projects are beside it."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import cached_property

import msgspec

from trivet.access.facts import EVERYWHERE, WORKSPACE, Purpose, TokenIssued, TokenRevoked
from trivet.access.permissions import ROLES, Permission, Principal, Proof, RoleName
from trivet.access.projects import Projects
from trivet.access.record import AccessRecord, Change
from trivet.access.tokens import new_token, token_digest
from trivet.access.users import Users, check_role
from trivet.core.clock import Clock, from_micros, to_micros
from trivet.core.errors import Conflict, Forbidden, Invalid, NotFound
from trivet.core.facts import Entry, Scope, draft, read
from trivet.core.ids import check_name
from trivet.core.ports import Stores, View

SESSION = "@session"
"""The name of every session; no token that people name can have it."""
_MAX_DAYS = 366
_USED = View(name="access.used", columns={"token": "text", "at": "integer"}, key=("token",))


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A token as it may be shown: everything but the token."""

    id: str
    token: TokenIssued
    project: str
    """What it opens: a project, or `*`."""
    revoked: bool
    last_used: datetime | None = None
    """About when, within a minute; None: not yet, or before that was kept."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a token stands for in a project, and until when."""

    principal: Principal
    token: str
    """The identifier of the fact that issued it."""
    expires_micros: int
    purpose: Purpose


class AccessService:
    """Tokens of a workspace, its users and projects.

    Args:
        stores: Where they are recorded.
        scope: The folder's own project, and in whose name changes are recorded.
        clock: By which tokens end.
    """

    def __init__(self, stores: Stores, scope: Scope, clock: Clock) -> None:
        self._ledger = stores.ledger
        self._views = stores.views
        self._scope = scope
        self._clock = clock
        self._record = AccessRecord(stores, scope.actor)
        self.projects = Projects(self._record, scope.project)
        self.users = Users(self._record, self.projects)

    def version(self) -> str:
        """Return what is another after every change of users, roles, tokens or projects."""
        return self._record.version()

    def issue(  # all of them are what a token is
        self,
        name: str,
        role: RoleName | None = None,
        *,
        days: float = 90.0,
        project: str | None = None,
        user: str | None = None,
        only: Sequence[Permission] | None = None,
        granter: Principal | None = None,
    ) -> str:
        """Issue a token and return it: the only time it can be seen.

        Args:
            name: What it is for; unique among tokens in force of the same project and user.
            role: What a service token may do. None for a user's token.
            days: How long it holds, more than 0 and at most 366.
            project: What it opens: the folder's own project when None, all when `*`.
            user: Whose token it is; it may what they may, as long as they may. None: a service
                token with a role of its own.
            only: Permissions to which it is narrowed; None: it is not.
            granter: Who asks for it; None: whoever owns the folder.

        Raises:
            Invalid: The role is unknown, the time out of range, or both role and user are named.
            NotFound: There is no such user or project.
            Conflict: A token of this name is in force, or the name is a user's.
            Forbidden: The granter does not hold what the token would, or the user is disabled.
        """
        check_name(name, "token name")
        _check_terms(role, days, user, only, project)
        secret = new_token()
        issued = TokenIssued(
            name=name,
            role=role,
            digest=token_digest(secret),
            expires=self._clock.now() + timedelta(days=days),
            project=self.projects.check(project),
            user=user,
            purpose="service" if user is None else "personal",
            only=None if only is None else tuple(sorted(set(only))),
        )
        if granter is not None:
            _check_granter(granter, issued)

        def decide() -> tuple[Change, str]:
            self._check_issue(issued)
            fact = draft(issued)
            whose = "" if user is None else f" of {user}"
            return Change(reason=f"issue token {name}{whose}", facts=(fact,)), secret

        return self._record.change(decide)

    def _check_issue(self, issued: TokenIssued) -> None:
        if issued.user is not None:
            if self.users.get(issued.user).is_disabled:
                raise Forbidden(f"the user {issued.user!r} is disabled", code="disabled")
        elif self._record.user(issued.name) is not None:
            # What it did would be recorded as if that user had done it.
            raise Conflict(
                f"{issued.name!r} is the name of a user",
                code="name-taken",
                hint="Name the user whose token it shall be, or choose another name.",
            )
        now = self._clock.now()
        for entry in self._record.every(TokenIssued, "name", issued.name):
            token = read(entry, TokenIssued)
            same = token.user == issued.user and _place(entry, token) == issued.project
            if same and token.expires > now and not self._is_revoked(entry):
                raise Conflict(
                    f"a token named {issued.name!r} is in force",
                    code="token-exists",
                    hint="Revoke or rotate it, or choose another name.",
                )

    def begin_session(self, user: str, *, hours: float) -> str:
        """Begin a session of a user who signed in; return the secret of its cookie.

        Raises:
            Forbidden: The user is disabled.
        """
        secret = new_token()
        issued = TokenIssued(
            name=SESSION,
            role=None,
            digest=token_digest(secret),
            expires=self._clock.now() + timedelta(hours=hours),
            project=EVERYWHERE,
            user=user,
            purpose="session",
        )

        def decide() -> tuple[Change, str]:
            if self.users.get(user).is_disabled:
                raise Forbidden(f"the user {user!r} is disabled", code="disabled")
            return Change(reason="sign in", facts=(draft(issued),)), secret

        return self._record.change(decide)

    def principal(self, secret: str, project: str | None = None) -> Principal:
        """Return who holds this token, and what they may do in a project (the folder's own).

        Raises:
            Forbidden: The token is unknown, expired or revoked. Which of them is not said.
        """
        return self.known(secret, self._scope.project if project is None else project).principal

    def known(self, secret: str, project: str) -> Known:
        """Return whom a token stands for in a project.

        Raises:
            Forbidden: It stands for nobody.
        """
        found = self._ledger.find(
            TokenIssued.KIND, where={"digest": token_digest(secret)}, limit=1
        ).entries
        if found and found[0].payload is not None:
            token = read(found[0], TokenIssued)
            if token.expires > self._clock.now() and not self._is_revoked(found[0]):
                principal = self._stands_for(found[0], token, project)
                if principal is not None:
                    return Known(
                        principal=principal,
                        token=found[0].id,
                        expires_micros=to_micros(token.expires),
                        purpose=token.purpose,
                    )
        raise bad_token()

    def _stands_for(self, entry: Entry, token: TokenIssued, project: str) -> Principal | None:
        is_open = _place(entry, token) in {project, EVERYWHERE}
        only = None if token.only is None else frozenset(token.only)
        if token.user is None:
            return Principal(name=token.name, role=token.role if is_open else None, only=only)
        user = self._record.user(token.user)
        if user is None or user.is_disabled:
            return None
        proof: Proof = "session" if token.purpose == "session" else "token"
        role = self.users.role(user, project) if is_open else None
        return Principal(name=user.name, role=role, only=only, user=user.name, proof=proof)

    def revoke(self, name: str, *, user: str | None = None) -> int:
        """Revoke every token of this name; return how many were in force.

        Args:
            name: The tokens' name.
            user: Only tokens of this user; None: service tokens.

        Raises:
            NotFound: There never was a token of this name.
        """

        def decide() -> tuple[Change, int]:
            entries = [
                entry
                for entry in self._record.every(TokenIssued, "name", name)
                if entry.payload is not None and read(entry, TokenIssued).user == user
            ]
            if not entries:
                raise NotFound(
                    f"no token is named {name!r}", code="no-token", hint="See `trivet access list`."
                )
            facts = tuple(self.users.ended(entries))
            return Change(reason=f"revoke token {name}", facts=facts), len(facts)

        return self._record.change(decide)

    def rotate(self, name: str, *, user: str | None = None, days: float | None = None) -> str:
        """Replace a token by a new one with the same rights, at once; return the new one.

        Args:
            name: The token's name.
            user: Whose token it is; None: a service token.
            days: How long the new one holds; None: as long as the old one would have.

        Raises:
            NotFound: No token of this name is in force.
            Conflict: Several are, in several projects.
        """
        if days is not None and not 0 < days <= _MAX_DAYS:
            raise _bad_days(days)
        secret = new_token()

        def decide() -> tuple[Change, str]:
            now = self._clock.now()
            entries = [
                entry
                for entry in self._record.every(TokenIssued, "name", name)
                if (token := read(entry, TokenIssued)).user == user
                and token.expires > now
                and not self._is_revoked(entry)
            ]
            if not entries:
                raise NotFound(
                    f"no token named {name!r} is in force",
                    code="no-token",
                    hint="See `trivet access list`; a user's token needs --user.",
                )
            if len(entries) > 1:
                raise Conflict(
                    f"{len(entries)} tokens named {name!r} are in force, in several projects",
                    code="many-tokens",
                    hint="Revoke them, and issue what is needed.",
                )
            old = read(entries[0], TokenIssued)
            new = msgspec.structs.replace(
                old,
                digest=token_digest(secret),
                expires=old.expires if days is None else now + timedelta(days=days),
                project=_place(entries[0], old),
            )
            ended = self.users.ended(entries)
            fact = draft(new, parents=[entries[0].id])
            return Change(reason=f"rotate token {name}", facts=(*ended, fact)), secret

        return self._record.change(decide)

    def end(self, token: str) -> None:
        """End one token, by the identifier of the fact that issued it."""

        def decide() -> tuple[Change, None]:
            entry = self._ledger.get(token)
            facts = () if entry is None else tuple(self.users.ended([entry]))
            return Change(reason="sign out", facts=facts), None

        self._record.change(decide)

    def grants(self) -> tuple[Grant, ...]:
        """Return the tokens that open the folder's own project, newest first; no sessions."""
        return tuple(self._grants(self._scope.project))

    def all_grants(self) -> tuple[Grant, ...]:
        """Return the tokens of all projects and users, newest first; no sessions."""
        return tuple(self._grants(None))

    def _grants(self, project: str | None) -> Iterator[Grant]:
        after = None
        while True:
            page = self._ledger.find(TokenIssued.KIND, after=after, limit=1000)
            for entry in page.entries:
                if entry.payload is None:
                    continue
                token = read(entry, TokenIssued)
                place = _place(entry, token)
                if token.purpose != "session" and project in {None, place}:
                    yield Grant(
                        id=entry.id,
                        token=token,
                        project=place,
                        revoked=self._is_revoked(entry),
                        last_used=self._last_used(entry.id),
                    )
            after = page.after
            if after is None:
                return

    @cached_property
    def _used(self) -> str:
        self._views.declare(_USED)
        return _USED.name

    def note_used(self, tokens: dict[str, int]) -> None:
        """Keep when tokens were last used.

        It is no fact: it says nothing about who may do what, and changes all the time.

        Args:
            tokens: Identifiers of tokens, and microseconds of 1970 (UTC).
        """
        self._views.put(self._used, [{"token": t, "at": at} for t, at in tokens.items()])

    def _last_used(self, token: str) -> datetime | None:
        rows = self._views.find(self._used, where={"token": token}, limit=1)
        return from_micros(rows[0]["at"]) if rows else None

    def _is_revoked(self, entry: Entry) -> bool:
        page = self._ledger.find(TokenRevoked.KIND, where={"token": entry.id}, limit=1)
        return bool(page.entries)


def bad_token() -> Forbidden:
    """Return the error for a token that is none here."""
    return Forbidden(
        "the token is not valid here",
        code="bad-token",
        hint="Send `Authorization: Bearer <token>` with a token that is in force.",
    )


def _place(entry: Entry, token: TokenIssued) -> str:
    return token.project or (entry.project if entry.project != WORKSPACE else "")


def _check_terms(
    role: RoleName | None,
    days: float,
    user: str | None,
    only: Sequence[Permission] | None,
    project: str | None,
) -> None:
    if (role is None) is (user is None):
        raise Invalid(
            "a token has either a role of its own or a user",
            code="bad-token-terms",
            hint="Name the role of a service token, or the user whose token it is.",
        )
    if role is not None:
        check_role(role, project)
    if not 0 < days <= _MAX_DAYS:
        raise _bad_days(days)
    if only is not None and not only:
        raise Invalid("only names no permission; expected at least one", code="bad-token-terms")


def _bad_days(days: float) -> Invalid:
    return Invalid(
        f"days is {days:g}; expected more than 0 and at most {_MAX_DAYS}",
        code="bad-days",
        hint="A token that ends is issued anew, or rotated.",
    )


def _check_granter(granter: Principal, issued: TokenIssued) -> None:
    """Nobody hands out what they do not hold, nor a token that outlives its narrowness."""
    if issued.user is not None:
        if issued.user != granter.user or granter.proof not in {"session", "password"}:
            raise Forbidden(
                "a token of one's own is made by whoever signed in, and not with a token",
                code="no-permission",
                hint="Sign in with a password or at your provider: `trivet login`.",
            )
        return
    if issued.role is not None:
        rights = ROLES[issued.role]
        granter.demand_all(rights if issued.only is None else rights & frozenset(issued.only))
    if issued.project == EVERYWHERE:
        granter.demand(Permission.MANAGE)
