"""A catalog in a dictionary."""

from collections.abc import Iterable, Sequence
from copy import deepcopy

import msgspec

from trivet.core.catalog import (
    Amendment,
    Document,
    Found,
    Search,
    check_amendment,
    check_catalog_search,
)
from trivet.core.documents import amended, arranged, holds, is_behind, position_of
from trivet.core.ids import check_name
from trivet.testing.memory_state import MemoryState


class MemoryCatalog:
    """`Catalog` in a dictionary; every search looks at every document."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    def write(self, amendments: Iterable[Amendment], *, synced: bool = True) -> None:
        del synced  # memory knows no disk
        wanted = tuple(amendments)
        for amendment in wanted:
            check_amendment(amendment)
        with self._state.transaction():
            for amendment in wanted:
                amend(self._state, amendment)

    def get(self, collection: str, ids: Sequence[str]) -> tuple[Document, ...]:
        check_name(collection, "collection")
        with self._state.lock:
            found = [self._state.documents.get((collection, one)) for one in ids]
        return tuple(_copy(document) for document in found if document is not None)

    def search(self, search: Search) -> Found:
        check_catalog_search(search)
        with self._state.lock:
            found = [
                document
                for (collection, _), document in self._state.documents.items()
                if collection == search.collection
                and (search.groups is None or document.group in search.groups)
                and holds(search.where, document.attributes)
            ]
        if search.after is not None:
            found = [one for one in found if is_behind(one, search.order, search.after)]
        page = arranged(found, search.order)[: search.limit]
        is_more = len(found) > len(page)
        documents = map(_copy, page)
        if not search.with_notes:
            documents = (msgspec.structs.replace(one, notes={}) for one in documents)
        return Found(
            documents=tuple(documents),
            after=position_of(page[-1], search.order) if is_more else None,
        )

    def names(
        self, collection: str, prefix: str = "", *, groups: Sequence[str] | None = None
    ) -> tuple[str, ...]:
        check_name(collection, "collection")
        with self._state.lock:
            known = list(self._state.attributes)
        found = {
            name
            for owner, group, name in known
            if owner == collection and (groups is None or group in groups)
        }
        return tuple(sorted(name for name in found if name.startswith(prefix)))


def amend(state: MemoryState, amendment: Amendment) -> None:
    """Change one document, inside the caller's transaction."""
    place = (amendment.collection, amendment.id)
    document = amended(state.documents.get(place), amendment)
    if document is None:
        state.drop(state.documents, place)
        return
    state.set(state.documents, place, document)
    for name in document.attributes:
        state.set(state.attributes, (amendment.collection, document.group, name), value=True)


def _copy(document: Document) -> Document:
    """Return a document that its reader may change without changing what is stored."""
    return Document(
        id=document.id,
        group=document.group,
        attributes=dict(document.attributes),
        notes=deepcopy(document.notes),
    )
