"""Lineage: a fact's parents, walked to the ends.

There is no second record of what came from what. Upwards the walk follows `Entry.parents`,
downwards it asks the ledger who names a fact as parent.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from trivet.core.errors import NotFound
from trivet.core.facts import Entry
from trivet.core.ports import Page

_LIMIT = 10_000


class Readable(Protocol):
    """The part of a ledger that lineage reads."""

    def get(self, id: str) -> Entry | None:  # the field's own name
        """Return the entry, or None."""
        ...

    def find(self, kind: str | None = None, *, parent: str | None = None, limit: int = 100) -> Page:
        """Find entries that name `parent`."""
        ...


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """Entries in the order they were reached (nearest first), and the arrows between them."""

    entries: tuple[Entry, ...]
    arrows: tuple[tuple[str, str], ...]
    """Pairs (parent, child)."""
    complete: bool
    """False when the walk stopped at its limit."""

    def of_kind(self, kind: str) -> tuple[Entry, ...]:
        """Return the entries of one kind, nearest first."""
        return tuple(entry for entry in self.entries if entry.kind == kind)


def ancestors(ledger: Readable, id: str, *, limit: int = _LIMIT) -> Walk:  # the field's own name
    """Walk from a fact to everything it was made from, itself first.

    Raises:
        NotFound: The fact does not exist.
    """
    return _walk(ledger, id, lambda entry: ((p, entry.id) for p in entry.parents), 0, limit)


def descendants(ledger: Readable, id: str, *, limit: int = _LIMIT) -> Walk:  # the field's own name
    """Walk from a fact to everything that was made from it, itself first.

    Raises:
        NotFound: The fact does not exist.
    """

    def children(entry: Entry) -> Iterable[tuple[str, str]]:
        found = ledger.find(parent=entry.id, limit=1000).entries
        return ((entry.id, child.id) for child in found)

    return _walk(ledger, id, children, 1, limit)


def _walk(
    ledger: Readable,
    start: str,
    arrows_of: Callable[[Entry], Iterable[tuple[str, str]]],
    far_end: int,
    limit: int,
) -> Walk:
    first = ledger.get(start)
    if first is None:
        raise NotFound(f"no fact {start}", code="no-fact", hint="Copy the identifier as printed.")
    reached = {start: first}
    arrows: list[tuple[str, str]] = []
    queue = deque([first])
    complete = True
    while queue:
        for arrow in arrows_of(queue.popleft()):
            arrows.append(arrow)
            other = arrow[far_end]
            if other in reached:
                continue
            if len(reached) >= limit:
                complete = False
                continue
            entry = ledger.get(other)
            if entry is not None:
                reached[other] = entry
                queue.append(entry)
    return Walk(entries=tuple(reached.values()), arrows=tuple(arrows), complete=complete)
