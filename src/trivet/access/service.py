"""The access service: issues, checks and revokes tokens."""

from datetime import timedelta

import msgspec

from trivet.access.facts import TokenIssued, TokenRevoked
from trivet.access.permissions import ROLES, Principal, RoleName
from trivet.access.tokens import new_token, token_digest
from trivet.core.clock import Clock
from trivet.core.errors import Conflict, Forbidden, Invalid, NotFound
from trivet.core.facts import Entry, Scope, draft, read
from trivet.core.ids import check_name
from trivet.core.ports import Stores

_MAX_DAYS = 366


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A token as it may be shown: everything but the token."""

    id: str
    token: TokenIssued
    revoked: bool


class AccessService:
    """Tokens of one project."""

    def __init__(self, stores: Stores, scope: Scope, clock: Clock) -> None:
        self._ledger = stores.ledger
        self._scope = scope
        self._clock = clock

    def issue(self, name: str, role: RoleName, *, days: float = 90.0) -> str:
        """Issue a token and return it: the only time it can be seen.

        Args:
            name: Who will use it; unique among tokens in force.
            role: One of the built-in roles.
            days: How long it holds, more than 0 and at most 366.

        Raises:
            Invalid: The role is unknown or the time out of range.
            Conflict: A token of this name is in force.
        """
        check_name(name, "token name")
        if role not in ROLES:
            raise Invalid(
                f"role is {role!r}; expected one of {', '.join(ROLES)}",
                code="unknown-role",
                hint="Choose the weakest role that suffices.",
            )
        if not 0 < days <= _MAX_DAYS:
            raise Invalid(
                f"days is a {type(days).__name__} out of range; expected more than 0 and at most "
                f"{_MAX_DAYS}",
                code="bad-days",
            )
        now = self._clock.now()
        if any(
            g.token.name == name and not g.revoked and g.token.expires > now for g in self.grants()
        ):
            raise Conflict(
                f"a token named {name!r} is in force",
                code="token-exists",
                hint="Revoke it first, or choose another name.",
            )
        secret = new_token()
        fact = TokenIssued(
            name=name, role=role, digest=token_digest(secret), expires=now + timedelta(days=days)
        )
        self._ledger.commit(self._scope.batch(f"issue token {name}", [draft(fact)]))
        return secret

    def principal(self, secret: str) -> Principal:
        """Return who holds this token.

        Raises:
            Forbidden: The token is unknown, expired or revoked. Which of them is not said.
        """
        found = self._ledger.find(
            TokenIssued.KIND, where={"digest": token_digest(secret)}, limit=1
        ).entries
        if found:
            token = read(found[0], TokenIssued)
            if token.expires > self._clock.now() and not self._is_revoked(found[0]):
                return Principal(name=token.name, role=token.role)
        raise Forbidden(
            "the token is not valid here",
            code="bad-token",
            hint="Send `Authorization: Bearer <token>` with a token that is in force.",
        )

    def revoke(self, name: str) -> int:
        """Revoke every token of this name; return how many were in force.

        Raises:
            NotFound: There never was a token of this name.
        """
        grants = [grant for grant in self.grants() if grant.token.name == name]
        if not grants:
            raise NotFound(f"no token is named {name!r}", code="no-token")
        facts = [
            draft(TokenRevoked(token=grant.id), parents=[grant.id])
            for grant in grants
            if not grant.revoked
        ]
        if facts:
            self._ledger.commit(self._scope.batch(f"revoke token {name}", facts))
        return len(facts)

    def grants(self) -> tuple[Grant, ...]:
        """Return the project's tokens, newest first, without the tokens themselves."""
        found = self._ledger.find(TokenIssued.KIND, project=self._scope.project, limit=1000).entries
        return tuple(
            Grant(id=entry.id, token=read(entry, TokenIssued), revoked=self._is_revoked(entry))
            for entry in found
            if entry.payload is not None
        )

    def _is_revoked(self, entry: Entry) -> bool:
        page = self._ledger.find(TokenRevoked.KIND, where={"token": entry.id}, limit=1)
        return bool(page.entries)
