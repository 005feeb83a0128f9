"""What the access room records: users, roles, tokens, projects. Never a token or a password itself.

All of it belongs to the workspace as a whole, `WORKSPACE`, which no project's readers see.
"""

from datetime import datetime
from typing import Final, Literal

from trivet.access.permissions import Permission, RoleName
from trivet.core.facts import Fact

WORKSPACE: Final = "@workspace"
"""The project of facts that belong to no project. Nobody can choose this name for one."""
EVERYWHERE: Final = "*"
"""Stands for all projects, those to come among them."""

Purpose = Literal["service", "personal", "session"]


class TokenIssued(Fact, frozen=True, kw_only=True):
    """A token exists. `digest` is SHA-256 of its 32 random bytes, in hexadecimal."""

    KIND = "access.token"
    INDEXED = ("name", "digest", "user")

    name: str
    role: RoleName | None
    """What a service token may do; None: whatever its user may."""
    digest: str
    expires: datetime
    project: str = ""
    """The one project that it opens; empty: the project of this fact; `*`: all."""
    user: str | None = None
    """Whose it is; None: a service token with a role of its own."""
    purpose: Purpose = "service"
    only: tuple[Permission, ...] | None = None
    """All that it may do, of what its role holds; None: everything."""


class TokenRevoked(Fact, frozen=True, kw_only=True):
    """A token ended before its time. Parent: the fact that issued it."""

    KIND = "access.token.revoked"
    INDEXED = ("token",)

    token: str


class User(Fact, frozen=True, kw_only=True):
    """A user as of this change; the head `users/NAME` points at the newest."""

    KIND = "access.user"
    INDEXED = ("name",)

    name: str
    email: str = ""
    is_service: bool = False
    """A program: it has tokens and no password."""
    is_disabled: bool = False
    issuer: str = ""
    """Of the provider that answers for them; empty: they are known here alone."""
    subject: str = ""
    """Who they are to the provider."""
    mapped: dict[str, RoleName] = {}
    """Roles by project that follow from their groups at the provider, as of the last login."""


class PasswordSet(Fact, frozen=True, kw_only=True):
    """A user has a password. Its payload is forgotten with the next one."""

    KIND = "access.password"
    INDEXED = ("user",)

    user: str
    verifier: str
    """As `passwords.new_verifier` makes it."""


class RoleGranted(Fact, frozen=True, kw_only=True):
    """What a user may do in a project from now on."""

    KIND = "access.role"
    INDEXED = ("user", "project")

    user: str
    project: str
    """A project's name, or `*`."""
    role: RoleName | None
    """None: what was granted is taken away."""


class ProjectAdded(Fact, frozen=True, kw_only=True):
    """A project beside the folder's own: it is reached below its name."""

    KIND = "access.project"
    INDEXED = ("name",)

    name: str
