"""What the access room records: tokens issued and revoked, never a token itself."""

from datetime import datetime

from trivet.access.permissions import RoleName
from trivet.core.facts import Fact


class TokenIssued(Fact, frozen=True, kw_only=True):
    """A service token exists. `digest` is SHA-256 of its 32 random bytes, in hexadecimal."""

    KIND = "access.token"
    INDEXED = ("name", "digest")

    name: str
    role: RoleName
    digest: str
    expires: datetime


class TokenRevoked(Fact, frozen=True, kw_only=True):
    """A token ended before its time. Parent: the fact that issued it."""

    KIND = "access.token.revoked"
    INDEXED = ("token",)

    token: str
