"""Searches of the ledger and of the catalog that are read to their end, page by page."""

from collections.abc import Iterator, Mapping

import msgspec

from trivet.core.catalog import Catalog, Document, Search
from trivet.core.facts import Entry
from trivet.core.ports import Ledger


def find_all(
    ledger: Ledger,
    kind: str,
    *,
    where: Mapping[str, str],
    project: str,
    after: int | None = None,
    newest_first: bool = False,
    page: int = 1000,
) -> Iterator[Entry]:
    """Yield every entry that a search finds, those whose payload was forgotten, too.

    The next page is read when it is asked for: whoever needs but a few stops in time.

    Args:
        ledger: Where to search.
        kind: The kind of fact.
        where: One indexed field and its value as text.
        project: Only facts of this project.
        after: Continue behind this `seq`.
        newest_first: Order by `seq`, falling or rising.
        page: How many entries are read at once, 1 to 1,000.
    """
    while True:
        found = ledger.find(
            kind, where=where, project=project, after=after, limit=page, newest_first=newest_first
        )
        yield from found.entries
        after = found.after
        if after is None:
            return


def walk(catalog: Catalog, wanted: Search) -> Iterator[Document]:
    """Yield every document that a search finds; the next page is read when it is asked for.

    Args:
        catalog: Where to search.
        wanted: What to search for; its limit says how many documents are read at once.
    """
    while True:
        page = catalog.search(wanted)
        yield from page.documents
        if page.after is None:
            return
        wanted = msgspec.structs.replace(wanted, after=page.after)
