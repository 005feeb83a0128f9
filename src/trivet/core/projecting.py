"""Projecting: documents as functions of facts, so that they can be made again from them.

A service writes a document in the commit of the fact that it projects, by the very functions that
make it again when the catalog is rebuilt. What a document says is said by facts, or by points.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from trivet.core.catalog import Amendment, Document, Search
from trivet.core.clock import to_micros
from trivet.core.facts import Entry, F


class Known(Protocol):
    """What stood before a fact was recorded, while facts are read in their order."""

    def document(self, collection: str, id: str) -> Document | None:
        """Return a document as it stood, or None."""
        ...

    def documents(self, search: Search) -> Iterator[Document]:
        """Yield every document that a search finds, whatever its limit is."""
        ...

    def fact(self, id: str, kind: type[F]) -> F | None:
        """Return a fact; None when it is missing, of another kind, or forgotten."""
        ...

    def entries(self, kind: str, field: str, value: str, *, project: str) -> Iterator[Entry]:
        """Yield facts of a kind by an indexed field, oldest first, later ones among them."""
        ...


Projector = Callable[[Entry, Known], Iterable[Amendment]]
"""Returns what a fact, whose payload is there, changes of the documents that stood before it."""
Projectors = Mapping[str, Projector]
"""By kind of fact."""


def said_ms(at_ms: int | None, entry: Entry) -> int:
    """Return when something was said, in milliseconds since 1970 (UTC).

    Args:
        at_ms: The time in the fact itself; facts of older formats have none.
        entry: The fact in the ledger, whose commit was a moment later.
    """
    return to_micros(entry.time) // 1000 if at_ms is None else at_ms
