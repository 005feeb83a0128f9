"""Permissions and the built-in roles: a fixed matrix, deny by default."""

from enum import StrEnum
from typing import Final, Literal

import msgspec

from trivet.core.errors import Forbidden


class Permission(StrEnum):
    """One right. Every route declares the one it needs."""

    PUBLIC = "public"
    """No right at all: liveness answers, and nothing that tells about the workspace."""
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
    REGISTER = "register"
    """Register model versions and write notes."""
    RELEASE = "release"
    """Move releases and aliases."""
    APPROVE = "approve"
    """Approve or refuse what others want with protected aliases."""
    ADMINISTER = "administer"
    """Issue and revoke tokens, set triggers, back up, forget payloads."""


RoleName = Literal["viewer", "application", "developer", "approver", "operator", "admin"]

_VIEWER = frozenset({Permission.PUBLIC, Permission.READ})
_APPLICATION = frozenset({Permission.PUBLIC, Permission.PREDICT, Permission.LABEL})
_DEVELOPER = _VIEWER | {
    Permission.READ_DATA,
    Permission.PREDICT,
    Permission.LABEL,
    Permission.RUN,
    Permission.PUBLISH,
    Permission.REGISTER,
}
_OPERATOR = _DEVELOPER | {Permission.RELEASE}

ROLES: Final[dict[RoleName, frozenset[Permission]]] = {
    "viewer": _VIEWER,
    "application": _APPLICATION,
    "developer": _DEVELOPER,
    "approver": _VIEWER | {Permission.APPROVE},
    "operator": _OPERATOR,
    "admin": frozenset(Permission),
}
"""What each role may do. A role holds nothing that is not written here."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking, and with which rights."""

    name: str
    role: RoleName

    def may(self, permission: Permission) -> bool:
        """Say whether the principal holds the permission."""
        return permission in ROLES[self.role]

    def demand(self, permission: Permission) -> None:
        """Raise unless the principal holds the permission.

        Raises:
            Forbidden: It does not.
        """
        if not self.may(permission):
            raise Forbidden(
                f"{self.name} has the role {self.role!r}, which lacks the permission "
                f"{permission.value!r}",
                code="no-permission",
                hint="Ask an admin for a token with a role that has it.",
                detail={"permission": permission.value, "role": self.role},
            )
