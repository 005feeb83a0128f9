"""Permissions and the built-in roles: a fixed matrix, deny by default."""

from enum import StrEnum
from typing import Final, Literal

import msgspec

from trivet.core.errors import Forbidden


class Permission(StrEnum):
    """One right. Every route declares the one it needs."""

    PUBLIC = "public"
    """No right at all: liveness answers, and nothing that tells about the workspace."""
    SELF = "self"
    """See who one is, and make and end tokens and sessions of one's own."""
    READ = "read"
    """See facts, runs, models, releases, windows and alerts."""
    READ_DATA = "read-data"
    """See rows of data sets and the inputs of predictions."""
    PREDICT = "predict"
    """Ask an endpoint for predictions."""
    LABEL = "label"
    """Report true values."""
    RUN = "run"
    """Ask for runs of flows."""
    PUBLISH = "publish"
    """Publish data versions."""
    LOG = "log"
    """Write experiments, runs, metrics, artifacts and traces."""
    REGISTER = "register"
    """Register model versions and write notes."""
    RELEASE = "release"
    """Move releases and aliases."""
    APPROVE = "approve"
    """Approve or refuse what others want with protected aliases."""
    ADMINISTER = "administer"
    """Issue and revoke tokens of a project, set triggers, back up, forget payloads."""
    MANAGE = "manage"
    """Add users and projects to the workspace, and say who may do what in each."""


RoleName = Literal["viewer", "application", "developer", "approver", "operator", "admin", "owner"]

NOBODY: Final = frozenset({Permission.PUBLIC, Permission.SELF})
"""What everybody may who is known by name."""
_VIEWER = NOBODY | {Permission.READ}
_APPLICATION = NOBODY | {Permission.PREDICT, Permission.LABEL}
_DEVELOPER = _VIEWER | {
    Permission.READ_DATA,
    Permission.PREDICT,
    Permission.LABEL,
    Permission.RUN,
    Permission.PUBLISH,
    Permission.LOG,
    Permission.REGISTER,
}
_OPERATOR = _DEVELOPER | {Permission.RELEASE}

ROLES: Final[dict[RoleName, frozenset[Permission]]] = {
    "viewer": _VIEWER,
    "application": _APPLICATION,
    "developer": _DEVELOPER,
    "approver": _VIEWER | {Permission.APPROVE},
    "operator": _OPERATOR,
    "admin": frozenset(Permission) - {Permission.MANAGE},
    "owner": frozenset(Permission),
}
"""What each role may do. A role holds nothing that is not written here. `admin` is about one
project; `owner` is the admin of the whole workspace, in every project."""

Proof = Literal["folder", "token", "session", "password"]
"""By what somebody is known: the folder's own token, any other, a cookie, or a password."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking, and with which rights in the project that they ask about."""

    name: str
    role: RoleName | None
    """None: none in this project."""
    only: frozenset[Permission] | None = None
    """What a token is narrowed to; None: it is not."""
    user: str = ""
    """The user behind it; empty for a service token and for the folder's own."""
    proof: Proof = "token"

    @property
    def rights(self) -> frozenset[Permission]:
        """All that the principal may do."""
        rights = NOBODY if self.role is None else ROLES[self.role]
        return rights if self.only is None else rights & (self.only | NOBODY)

    def may(self, permission: Permission) -> bool:
        """Say whether the principal holds the permission."""
        if self.only is None and self.role is not None:  # asked for every request
            return permission in ROLES[self.role]
        return permission in self.rights

    def demand(self, permission: Permission) -> None:
        """Raise unless the principal holds the permission.

        Raises:
            Forbidden: It does not.
        """
        if self.may(permission):
            return
        role = "no role" if self.role is None else f"the role {self.role!r}"
        narrowed = "" if self.only is None else " and a token for less"
        raise Forbidden(
            f"{self.name} has {role} here{narrowed}, which lacks the permission "
            f"{permission.value!r}",
            code="no-permission",
            hint="Ask an admin for a role or a token that has it.",
            detail={"permission": permission.value, "role": self.role},
        )

    def demand_all(self, rights: frozenset[Permission]) -> None:
        """Raise unless the principal holds every right that it is about to hand out.

        Raises:
            Forbidden: It lacks one.
        """
        for permission in sorted(rights - self.rights):
            self.demand(permission)
