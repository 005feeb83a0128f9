"""Users: people and programs by name, their passwords, and their roles in each project."""

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final

import msgspec
from msgspec.structs import replace

from trivet.access.facts import (
    EVERYWHERE,
    PasswordSet,
    RoleGranted,
    TokenIssued,
    TokenRevoked,
    User,
)
from trivet.access.passwords import DUMMY, check_password, new_verifier, verifies
from trivet.access.permissions import ROLES, Principal, RoleName
from trivet.access.projects import Projects
from trivet.access.record import AccessRecord, Change, role_head
from trivet.core.errors import Conflict, Forbidden, Invalid, NotFound
from trivet.core.facts import Draft, Entry, draft, read
from trivet.core.ids import check_name

_EMAIL: Final = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,189}")


class UserState(msgspec.Struct, frozen=True, kw_only=True):
    """A user as shown: what is recorded, and the roles in force."""

    user: User
    has_password: bool
    roles: dict[str, RoleName]
    """By project, `*` for all; those that were granted, then those of the provider's groups."""


class Users:
    """The users of a workspace.

    Args:
        record: Where they are recorded.
        projects: The projects in which they may have roles.
    """

    def __init__(self, record: AccessRecord, projects: Projects) -> None:
        self._record = record
        self._projects = projects

    def add(self, name: str, *, email: str = "", is_service: bool = False) -> User:
        """Add a user. They may do nothing until they are given a role.

        Raises:
            Invalid: The name or the address is none.
            Conflict: There is a user of this name, or was a service token.
        """
        check_name(name, "user", example="ada.l")
        user = User(name=name, email=_checked(email), is_service=is_service)

        def decide() -> tuple[Change, User]:
            self._check_free(name)
            fact = draft(user)
            heads = {f"users/{name}": fact.id}
            return Change(reason=f"add user {name}", facts=(fact,), heads=heads), user

        return self._record.change(decide)

    def _check_free(self, name: str) -> None:
        if self._record.user(name) is not None:
            raise Conflict(
                f"there is a user {name!r} already",
                code="user-exists",
                hint="See `trivet users list`, or choose another name.",
            )
        # What a service token did is recorded under its name: nobody may take that over.
        if any(
            read(entry, TokenIssued).user is None
            for entry in self._record.every(TokenIssued, "name", name)
            if entry.payload is not None
        ):
            raise Conflict(
                f"there is or was a service token named {name!r}",
                code="name-taken",
                hint="Choose another name for the user.",
            )

    def get(self, name: str) -> User:
        """Return a user.

        Raises:
            NotFound: There is none of this name.
        """
        user = self._record.user(name)
        if user is None:
            raise NotFound(
                f"there is no user {name!r}", code="no-user", hint="See `trivet users list`."
            )
        return user

    def all(self) -> tuple[UserState, ...]:
        """Return all users by name, the disabled among them."""
        return tuple(self.state(user) for user in self._record.below("users/", User))

    def state(self, user: User) -> UserState:
        """Return a user as shown."""
        granted = self._record.below(role_head("", user.name), RoleGranted)
        roles = dict(user.mapped)
        roles.update({g.project: g.role for g in granted if g.role is not None})
        has_password = self._record.verifier(user.name) is not None
        return UserState(user=user, has_password=has_password, roles=roles)

    def disable(self, name: str) -> User:
        """Disable a user: from this moment on nothing of theirs is valid.

        Their tokens and sessions end for good: enabling them later does not bring these back.
        """

        def decide() -> tuple[Change, User]:
            user = self.get(name)
            after = replace(user, is_disabled=True)
            fact = draft(after)
            ended = self.ended(self._record.every(TokenIssued, "user", name))
            reason = f"disable user {name}"
            heads = {f"users/{name}": fact.id}
            return Change(reason=reason, facts=(*ended, fact), heads=heads), after

        return self._record.change(decide)

    def enable(self, name: str) -> User:
        """Let a disabled user in again: with their password and roles, and new tokens."""

        def decide() -> tuple[Change, User]:
            after = replace(self.get(name), is_disabled=False)
            fact = draft(after)
            heads = {f"users/{name}": fact.id}
            return Change(reason=f"enable user {name}", facts=(fact,), heads=heads), after

        return self._record.change(decide)

    def set_password(self, name: str, password: str) -> None:
        """Set a user's password. The one before is forgotten, and their sessions end.

        Raises:
            Invalid: The password will not do, or the user is a program or known to a provider.
        """
        check_password(password, name)
        user = self.get(name)
        if user.is_service or user.issuer:
            kind = "a program" if user.is_service else "known to a provider"
            raise Invalid(
                f"the user {name!r} is {kind} and has no password here",
                code="no-passwords",
                hint="Programs use tokens: `trivet access issue`." if user.is_service else "",
            )
        verifier = new_verifier(password)

        def decide() -> tuple[Change, None]:
            before = self._record.entry_at(f"passwords/{name}")
            fact = draft(PasswordSet(user=name, verifier=verifier))
            tokens = self._record.every(TokenIssued, "user", name)
            sessions = (t for t in tokens if read(t, TokenIssued).purpose == "session")
            return Change(
                reason=f"set the password of {name}",
                facts=(*self.ended(sessions), fact),
                heads={f"passwords/{name}": fact.id},
                forget=() if before is None else (before.id,),
            ), None

        self._record.change(decide)

    def ended(self, tokens: Iterable[Entry]) -> list[Draft]:
        """Return what ends those of the tokens that have not been revoked."""
        return [
            draft(TokenRevoked(token=entry.id), parents=[entry.id])
            for entry in tokens
            if entry.payload is not None
            and not any(True for _ in self._record.every(TokenRevoked, "token", entry.id))
        ]

    def grant(
        self, name: str, role: RoleName | None, project: str | None, granter: Principal | None
    ) -> RoleGranted:
        """Give a user a role in a project, in place of the one before; None takes it away.

        Args:
            name: The user.
            role: The role; `owner` is one of the whole workspace.
            project: Where; the folder's own when None, all when `*`. What is granted in a project
                counts before what is granted in all.
            granter: Who does it; None: whoever owns the folder.

        Raises:
            Invalid: The role is unknown, or `owner` of one project alone.
            NotFound: There is no such user or project.
            Forbidden: The granter does not hold the rights that they give.
        """
        if role is not None:
            check_role(role, project)
        if granter is not None and role is not None:
            granter.demand_all(ROLES[role])
        place = self._projects.check(project)

        def decide() -> tuple[Change, RoleGranted]:
            self.get(name)
            granted = RoleGranted(user=name, project=place, role=role)
            fact = draft(granted)
            where = "all projects" if place == EVERYWHERE else f"project {place}"
            reason = f"make {name} {role or 'nothing'} of {where}"
            heads = {role_head(place, name): fact.id}
            return Change(reason=reason, facts=(fact,), heads=heads), granted

        return self._record.change(decide)

    def role(self, user: User, project: str) -> RoleName | None:
        """Return a user's role in a project, None when they have none.

        An owner is one everywhere. Otherwise what was granted in the project counts, then what was
        granted in all, then what follows from the user's groups at their provider.
        """
        everywhere = self._record.role(user.name, EVERYWHERE)
        if everywhere is not None and everywhere.role == "owner":
            return "owner"
        here = self._record.role(user.name, project)
        if here is not None and here.role is not None:
            return here.role
        if everywhere is not None and everywhere.role is not None:
            return everywhere.role
        return user.mapped.get(project) or user.mapped.get(EVERYWHERE)

    def check_password(self, name: str, password: str) -> User:
        """Return the user whose password this is. It takes a fifth of a second, and 32 MiB.

        Raises:
            Forbidden: It is not, or there is no such user, or they are disabled: which is not
                said, and the answer takes as long.
        """
        user = self._record.user(name)
        verifier = self._record.verifier(name)
        is_right = verifies(verifier or DUMMY, password)
        if user is None or verifier is None or not is_right or user.is_disabled:
            raise Forbidden(
                "the name or the password is not right",
                code="bad-token",
                hint="Ask whoever runs the server, or send a token.",
            )
        return user

    def of_provider(
        self, issuer: str, subject: str, wished: str, email: str, mapped: Mapping[str, RoleName]
    ) -> User:
        """Return the user whom a provider vouches for; add them when they come for the first time.

        They are known by issuer and subject alone. A user of the wished name who is somebody else
        stays that: the newcomer's name then ends in a few digits of their own.

        Raises:
            Forbidden: They are disabled (code `disabled`).
        """
        key = sha256(f"{len(issuer)}:{issuer}{subject}".encode()).hexdigest()

        def decide() -> tuple[Change | None, User]:
            known = self._record.at(f"subjects/{key}", User)
            before = None if known is None else self._record.user(known.name)
            if before is None:
                before = User(name=self._free_name(wished, key), issuer=issuer, subject=subject)
            elif before.is_disabled:
                raise Forbidden("this user is disabled here", code="disabled")
            user = replace(before, email=_tolerated(email), mapped=dict(mapped))
            if user == before and known is not None:
                return None, user
            fact = draft(user)
            heads = {f"users/{user.name}": fact.id, f"subjects/{key}": fact.id}
            reason = f"{user.name} came from {issuer}"
            return Change(reason=reason, facts=(fact,), heads=heads), user

        return self._record.change(decide)

    def _free_name(self, wished: str, key: str) -> str:
        plain = re.sub(r"[^a-z0-9._-]+", "-", wished.lower())[:40].strip("._-") or "user"
        for name in (plain, f"{plain}-{key[:6]}", f"{plain}-{key[:12]}"):
            try:
                self._check_free(name)
            except Conflict:
                continue
            return name
        raise Conflict(f"no name like {plain!r} is free", code="name-taken")


def check_role(role: object, project: str | None) -> None:
    """Check that there is a role of this name, and that a project (`*`: all) can have it.

    Raises:
        Invalid: There is none, or it is `owner` of one project alone.
    """
    if role not in ROLES:
        raise Invalid(
            f"role is {role!r}; expected one of {', '.join(ROLES)}",
            code="unknown-role",
            hint="Choose the weakest role that suffices.",
        )
    if role == "owner" and project != EVERYWHERE:
        raise Invalid(
            "role owner is one of the whole workspace; expected it for all projects",
            code="bad-role",
            hint="Grant admin for one project, or owner everywhere.",
        )


def _checked(email: str) -> str:
    if email and not _EMAIL.fullmatch(email):
        raise Invalid("email is no address; expected name@place", code="bad-email")
    return email


def _tolerated(email: str) -> str:
    return email if _EMAIL.fullmatch(email) else ""
