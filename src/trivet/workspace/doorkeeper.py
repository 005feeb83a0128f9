"""The doorkeeper: who holds which token, remembered for the length of a breath."""

import time

from trivet.access.permissions import Principal
from trivet.access.tokens import read_or_create_token, token_digest
from trivet.workspace.workspace import Workspace

_KNOWN_FOR_S = 5.0
_MOST_KNOWN = 10_000


class Doorkeeper:
    """Knows who holds which token: the workspace's own, then those that were issued.

    Answers are remembered for a few seconds, so that a hot path does not ask the ledger; a
    revoked token is refused at the latest after that time.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        own = read_or_create_token(workspace.opened.folder / "token")
        self._own = token_digest(own)
        self._known: dict[str, tuple[float, Principal]] = {}

    def principal_of(self, secret: str) -> Principal:
        """Return who holds a token.

        Raises:
            Forbidden: The token is not valid.
        """
        digest = token_digest(secret)
        # Digests are compared, not tokens: what a timing could reveal of one is of no use.
        if digest == self._own:
            return Principal(name=self._workspace.scope.actor, role="admin")
        found = self._known.get(digest)
        now = time.monotonic()
        if found is None or now - found[0] > _KNOWN_FOR_S:
            found = (now, self._workspace.access.principal(secret))
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[digest] = found
        return found[1]
