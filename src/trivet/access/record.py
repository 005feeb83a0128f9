"""The record: what stands about users, tokens and projects, and how it changes.

Every change moves one head, `access`. It tells all processes that what they remember is old, and
no two changes that looked at the same state are both written.
"""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import msgspec

from trivet.access.facts import WORKSPACE, PasswordSet, RoleGranted, User
from trivet.core.errors import Conflict
from trivet.core.facts import Draft, Entry, Fact, HeadMove, Scope, read
from trivet.core.ports import Ledger, Stores

F = TypeVar("F", bound=Fact)
T = TypeVar("T")

VERSION: Final = "access"
_TRIES: Final = 20


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a change writes: facts, heads that point at them, and payloads to forget."""

    reason: str
    facts: tuple[Draft, ...] = ()
    heads: dict[str, str] = {}
    """Names of heads and the facts they shall point at."""
    forget: tuple[str, ...] = ()


class AccessRecord:
    """Reads and changes the facts of the workspace.

    Args:
        stores: Where they are.
        actor: In whose name they are written.
    """

    def __init__(self, stores: Stores, actor: str) -> None:
        self.ledger: Ledger = stores.ledger
        self._scope = Scope(project=WORKSPACE, actor=actor)

    def version(self) -> str:
        """Return what is another after every change, by whatever process. It costs one look-up."""
        head = self.ledger.head(WORKSPACE, VERSION)
        return "" if head is None else head.moved_by

    def change(self, decide: Callable[[], tuple[Change | None, T]]) -> T:
        """Write what `decide` answers; have it decide anew when others were faster.

        Args:
            decide: Looks at what stands and returns the change, or None for none, and whatever
                the caller wants back. It may be called several times.

        Raises:
            Conflict: Others were faster twenty times.
        """
        for attempt in range(_TRIES):
            head = self.ledger.head(WORKSPACE, VERSION)
            change, answer = decide()
            if change is None or not change.facts:
                return answer
            moves = [HeadMove(name=name, to=to) for name, to in change.heads.items()]
            before = None if head is None else head.target
            moves.append(HeadMove(name=VERSION, to=change.facts[-1].id, expect=before))
            batch = self._scope.batch(change.reason, change.facts, heads=moves)
            try:
                self.ledger.commit(msgspec.structs.replace(batch, forget=change.forget))
            except Conflict as error:
                if error.code != "head-moved" or attempt == _TRIES - 1:
                    raise
            else:
                return answer
        raise AssertionError  # pragma: no cover  # the last try returns or raises

    def at(self, head: str, kind: type[F]) -> F | None:
        """Return the fact that a head points at, or None."""
        entry = self.entry_at(head)
        return None if entry is None else read(entry, kind)

    def entry_at(self, head: str) -> Entry | None:
        """Return the entry that a head points at, or None."""
        found = self.ledger.head(WORKSPACE, head)
        return None if found is None else self.ledger.get(found.target)

    def below(self, prefix: str, kind: type[F]) -> tuple[F, ...]:
        """Return the facts of all heads whose names begin so, by name."""
        heads = self.ledger.heads(WORKSPACE, prefix)
        return tuple(read(self.ledger.get(head.target), kind) for head in heads)

    def every(self, kind: type[F], field: str, value: str) -> Iterable[Entry]:
        """Yield all entries of a kind by an indexed field, newest first."""
        after = None
        while True:
            page = self.ledger.find(kind.KIND, where={field: value}, after=after, limit=1000)
            yield from page.entries
            after = page.after
            if after is None:
                return

    def user(self, name: str) -> User | None:
        """Return a user, or None."""
        return self.at(f"users/{name}", User)

    def role(self, user: str, project: str) -> RoleGranted | None:
        """Return what was last granted to a user in a project (or `*`), or None."""
        return self.at(role_head(project, user), RoleGranted)

    def verifier(self, user: str) -> str | None:
        """Return what a user's password is checked against, None when there is none."""
        found = self.at(f"passwords/{user}", PasswordSet)
        return None if found is None else found.verifier


def role_head(project: str, user: str) -> str:
    """Return the name of the head of a user's role in a project."""
    return f"roles/{user}/{project}"
