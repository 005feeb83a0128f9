"""The `Catalog` in SQLite: documents whole, and their attributes in columns that searches read."""

from collections.abc import Iterable, Sequence

from trivet.adapters.sqlite.catalog_writing import (
    find_document,
    groups_of,
    put_documents,
    sort_of_attributes,
)
from trivet.adapters.sqlite.readers import Readers
from trivet.adapters.sqlite.session import numbers
from trivet.adapters.sqlite.writer import Writer
from trivet.core.catalog import (
    Amendment,
    Document,
    Found,
    Search,
    check_amendment,
    check_catalog_search,
)
from trivet.core.ids import check_name


class SqliteCatalog:
    """Documents that are found by conditions."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    def write(self, amendments: Iterable[Amendment], *, synced: bool = True) -> None:
        wanted = tuple(amendments)
        for amendment in wanted:
            check_amendment(amendment)
        self._writer.do(lambda session: put_documents(session, wanted), synced=synced)

    def get(self, collection: str, ids: Sequence[str]) -> tuple[Document, ...]:
        check_name(collection, "collection")
        with self._readers.snapshot() as session:
            found = [find_document(session, collection, one) for one in ids]
        return tuple(document for document in found if document is not None)

    def search(self, search: Search) -> Found:
        from trivet.adapters.sqlite.catalog_search import find_page  # loads NumPy

        check_catalog_search(search)
        with self._readers.snapshot() as session:
            return find_page(session, search)

    def names(
        self, collection: str, prefix: str = "", *, groups: Sequence[str] | None = None
    ) -> tuple[str, ...]:
        check_name(collection, "collection")
        asked = (sort_of_attributes(collection), prefix)
        with self._readers.snapshot() as session:
            if groups is None:
                rows = session.all("words_from", asked)
            else:
                found = groups_of(session, collection, groups)
                rows = session.all("words_of_groups", (*asked, numbers(found))) if found else []
        return tuple(word for (word,) in rows if word.startswith(prefix))
