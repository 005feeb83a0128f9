"""Replaying: all facts in their order, made into documents of a catalog that nobody else uses."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from trivet.core.catalog import Amendment, Catalog, Document, Search, check_amendment
from trivet.core.documents import amended
from trivet.core.errors import NotFound, TrivetError
from trivet.core.facts import Entry, F, read
from trivet.core.ports import Ledger
from trivet.core.projecting import Projectors
from trivet.core.search import find_all, walk

Key = tuple[str, str]
"""A collection and an identifier."""
_PAGE: Final = 500
_HELD: Final = 2000
"""How many changed documents are held before they are written."""
_REMEMBERED: Final = 1000
_MOST_TROUBLES: Final = 100


class Replay:
    """Documents as the facts read so far make them.

    Args:
        ledger: The facts.
        scratch: An empty catalog for the documents; more of them than memory holds may come.
        projectors: What facts make of documents.
    """

    def __init__(self, ledger: Ledger, scratch: Catalog, projectors: Projectors) -> None:
        self._ledger = ledger
        self._scratch = scratch
        self._projectors = projectors
        self._changed: dict[Key, Document | None] = {}
        self._facts: OrderedDict[tuple[str, type[Any]], Any] = OrderedDict()
        self._touched: set[Key] = set()
        self.seq = 0
        """The last fact that was read."""
        self.read = 0
        """How many facts were read."""
        self.troubles: list[str] = []
        """What could not be made of which fact; at most a hundred."""

    def follow(self, most: int | None = None) -> set[Key]:
        """Read the facts that were recorded since; return the documents that they changed.

        Args:
            most: How many facts at most; None: all there are.
        """
        self._touched = set()
        left = most
        while left is None or left > 0:
            page = self._ledger.since(self.seq, _PAGE if left is None else min(_PAGE, left))
            if not page:
                break
            for entry in page:
                self._apply(entry)
                self.seq = entry.seq
            self.read += len(page)
            left = None if left is None else left - len(page)
        self._flush()
        return self._touched

    # --------------------------------------------------------- what projectors ask

    def document(self, collection: str, id: str) -> Document | None:
        """Return a document as it stands, or None."""
        key = (collection, id)
        if key in self._changed:
            return self._changed[key]
        found = self._scratch.get(collection, [id])
        return found[0] if found else None

    def documents(self, search: Search) -> Iterator[Document]:
        """Yield every document that a search finds, whatever its limit is."""
        self._flush()
        yield from walk(self._scratch, msgspec.structs.replace(search, limit=1000))

    def fact(self, id: str, kind: type[F]) -> F | None:
        """Return a fact; None when it is missing, of another kind, or forgotten."""
        key = (id, kind)
        if key not in self._facts:
            try:
                found = read(self._ledger.get(id), kind)
            except NotFound:
                found = None
            self._facts[key] = found
            if len(self._facts) > _REMEMBERED:
                self._facts.popitem(last=False)
        return self._facts[key]

    def entries(self, kind: str, field: str, value: str, *, project: str) -> Iterator[Entry]:
        """Yield facts of a kind by an indexed field, oldest first, later ones among them."""
        return find_all(self._ledger, kind, where={field: value}, project=project)

    # ---------------------------------------------------------------------- inside

    def _apply(self, entry: Entry) -> None:
        projector = self._projectors.get(entry.kind)
        if projector is None or entry.payload is None:
            return
        try:
            for amendment in tuple(projector(entry, self)):
                self._amend(amendment)
        except TrivetError as error:
            # One odd fact must not keep all others from being found.
            if len(self.troubles) < _MOST_TROUBLES:
                self.troubles.append(f"fact {entry.id} ({entry.kind}): {error.message}")
        if len(self._changed) >= _HELD:
            self._flush()

    def _amend(self, amendment: Amendment) -> None:
        check_amendment(amendment)
        key = (amendment.collection, amendment.id)
        self._changed[key] = amended(self.document(*key), amendment)
        self._touched.add(key)

    def _flush(self) -> None:
        if not self._changed:
            return
        writing: list[Amendment] = []
        for (collection, identifier), document in self._changed.items():
            writing.append(Amendment(collection=collection, id=identifier, remove=True))
            if document is not None:
                writing.append(as_amendment(collection, document))
        self._scratch.write(writing, synced=False)
        self._changed = {}


def as_amendment(collection: str, document: Document) -> Amendment:
    """Return what makes a document from nothing."""
    return Amendment(
        collection=collection,
        id=document.id,
        group=document.group,
        set=document.attributes,
        note=document.notes,
    )
